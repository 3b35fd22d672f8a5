// simd/byte_table_avx2.hpp - AVX2: look-ups of 32 bytes in a table that lies in registers.
//
// Code here is compiled for AVX2: include it only inside a file that checks at run time.
#pragma once

#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2")

namespace qc {
namespace {

// A table of 2^kBits bytes, but at least 16, by a vector of indices below that.
template <unsigned kBits>
class ByteTable {
public:
    explicit ByteTable(const std::uint8_t* p) noexcept {
        for (__m256i& part : part_) {
            part = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
            p += 16;
        }
    }

    [[gnu::always_inline]] __m256i at(__m256i i) const noexcept { return among<0, kParts>(i); }

private:
    static constexpr unsigned kParts = kBits > 4 ? 1u << (kBits - 4) : 1;

    template <unsigned kFirst, unsigned kCount>
    [[gnu::always_inline]] __m256i among(__m256i i) const noexcept {
        if constexpr (kCount == 1) {
            return _mm256_shuffle_epi8(part_[kFirst], i);
        } else {
            constexpr int kHalf = 8 * kCount;
            constexpr int kToTop = kCount == 2 ? 3 : kCount == 4 ? 2 : 1;
            const __m256i is_upper = kCount == kParts ? _mm256_cmpgt_epi8(i, _mm256_set1_epi8(kHalf - 1))
                                                      : _mm256_slli_epi16(i, kToTop);
            return _mm256_blendv_epi8(among<kFirst, kCount / 2>(i),
                                      among<kFirst + kCount / 2, kCount / 2>(i), is_upper);
        }
    }

    __m256i part_[kParts];
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
