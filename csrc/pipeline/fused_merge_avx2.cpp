// pipeline/fused_merge_avx2.cpp - AVX2: exponents from rANS states, mantissas from memory, words around the caches.
#include <cstring>

#include "entropy/rans_rounds_avx2.hpp"
#include "pipeline/fused.hpp"
#include "simd/vector_stream_avx2.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

// The top bytes of 32 words are moved to where vectors begin, the other planes are read there.
template <unsigned kBytes>
class MergeSink {
    static constexpr unsigned kLower = kBytes - 1;

public:
    MergeSink(const std::uint8_t* const* lower, std::uint8_t* out) noexcept : out_(out), at_(-std::ptrdiff_t{out_.lead()}) {
        for (unsigned k = 0; k < kLower; ++k) lower_[k] = lower[k];
    }

    [[gnu::always_inline]] void put(__m256i top) noexcept {
        const __m256i placed = out_.place(top);
        __m256i low[kLower], vectors[kBytes];
        if (at_ < 0) {
            load_part(-static_cast<std::size_t>(at_), 32, low);
        } else {
#pragma GCC unroll 3
            for (unsigned k = 0; k < kLower; ++k) {
                const std::uint8_t* const p = lower_[k] + at_;
                low[k] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
                _mm_prefetch(p + kReadAhead, _MM_HINT_T0);
            }
        }
        at_ += 32;
        merge(placed, low, vectors);
        out_.put_first(vectors[0]);
#pragma GCC unroll 3
        for (unsigned k = 1; k < kBytes; ++k) out_.put(vectors[k]);
    }

    void flush() noexcept {
        const __m256i placed = out_.place(_mm256_setzero_si256());
        __m256i low[kLower], vectors[kBytes];
        load_part(0, out_.lead(), low);
        merge(placed, low, vectors);
        out_.flush(vectors[0]);
    }

private:
    // Bytes [begin, end) of the next 32, which alone belong to the planes.
    void load_part(std::size_t begin, std::size_t end, __m256i* low) const noexcept {
        for (unsigned k = 0; k < kLower; ++k) {
            alignas(32) std::uint8_t bytes[32] = {};
            std::memcpy(bytes + begin, lower_[k] + (at_ + static_cast<std::ptrdiff_t>(begin)), end - begin);
            low[k] = _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
        }
    }

    [[gnu::always_inline]] static void merge(__m256i top, const __m256i* low, __m256i* vectors) noexcept {
        const __m256i next = ordered(low[0]);
        const __m256i high[2] = {_mm256_unpacklo_epi8(next, top), _mm256_unpackhi_epi8(next, top)};
        if constexpr (kBytes == 2) {
            vectors[0] = rotate(high[0]);
            vectors[1] = rotate(high[1]);
        } else {
            const __m256i b1 = ordered(low[1]), b0 = ordered(low[2]);
            const __m256i lower[2] = {_mm256_unpacklo_epi8(b0, b1), _mm256_unpackhi_epi8(b0, b1)};
#pragma GCC unroll 2
            for (unsigned k = 0; k < 2; ++k) {
                vectors[2 * k] = rotate(_mm256_unpacklo_epi16(lower[k], high[k]));
                vectors[2 * k + 1] = rotate(_mm256_unpackhi_epi16(lower[k], high[k]));
            }
        }
    }

    static __m256i ordered(__m256i bytes) noexcept { return VectorStream<kBytes>::in_order(bytes); }

    // Words to the right by one bit.
    static __m256i rotate(__m256i words) noexcept {
        if constexpr (kBytes == 2) {
            return _mm256_or_si256(_mm256_srli_epi16(words, 1), _mm256_slli_epi16(words, 15));
        }
        return _mm256_or_si256(_mm256_srli_epi32(words, 1), _mm256_slli_epi32(words, 31));
    }

    VectorStream<kBytes> out_;
    const std::uint8_t* lower_[kLower];
    std::ptrdiff_t at_;
};

template <unsigned kBytes>
Status merge_to(rans::Stream& s, std::size_t n, const std::uint8_t* const* lower, std::uint8_t* out) noexcept {
    rans::InOrder<MergeSink<kBytes>> sink(lower, out);
    return rans::next_into(s, n, sink);
}

}  // namespace

Status fused_merge_avx2(rans::Stream& s, std::size_t n, const std::uint8_t* const* lower, std::size_t bytes,
                        std::uint8_t* out) noexcept {
    return bytes == 2 ? merge_to<2>(s, n, lower, out) : merge_to<4>(s, n, lower, out);
}

}  // namespace qc

QC_TARGET_END
#endif
