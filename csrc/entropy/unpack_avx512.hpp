// entropy/unpack_avx512.hpp - AVX-512: packed symbols to registers of 64.
//
// For loops that fuse. Code here is compiled for AVX-512: include it only inside a region of that
// target, behind a run-time check.
#pragma once

#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")

namespace qc {
namespace {

template <unsigned kBits>
struct Unpacker {
    __m512i gather;
    __m512i shift;

    Unpacker() noexcept {
        alignas(64) std::uint8_t bytes[64];
        alignas(64) std::uint8_t shifts[64];
        for (unsigned k = 0; k < 64; ++k) {
            const unsigned byte = k % 8 < kBits ? k % 8 : 0;
            bytes[k] = static_cast<std::uint8_t>(k / 8 * kBits + byte);
            shifts[k] = static_cast<std::uint8_t>(k % 8 * kBits);
        }
        gather = _mm512_load_si512(bytes);
        shift = _mm512_load_si512(shifts);
    }

    // Reads exactly the bytes of 64 symbols.
    __m512i get(const std::uint8_t* p) const noexcept {
        constexpr __mmask64 used = kBits == 8 ? ~__mmask64{0} : (__mmask64{1} << (8 * kBits)) - 1;
        const __m512i v = _mm512_maskz_loadu_epi8(used, p);
        if constexpr (kBits == 8) return v;
        return _mm512_and_si512(
            _mm512_multishift_epi64_epi8(shift, _mm512_permutexvar_epi8(gather, v)),
            _mm512_set1_epi8(static_cast<char>((1u << kBits) - 1)));
    }
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
