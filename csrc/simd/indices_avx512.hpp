// simd/indices_avx512.hpp - index registers for byte permutations.
//
// Code here is compiled for AVX-512: include it only inside a region of that target, behind a
// run-time check.
#pragma once

#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,avx512f")

namespace qc {
namespace {

// index[k] = f(k), as a register.
template <class F>
inline __m512i indices(F f) noexcept {
    alignas(64) std::uint8_t index[64];
    for (unsigned k = 0; k < 64; ++k) index[k] = static_cast<std::uint8_t>(f(k));
    return _mm512_load_si512(index);
}

// Which of 64 bytes of a plane goes to byte k, so that unpacking kBytes planes within each 16 bytes makes elements in
// order.
template <unsigned kBytes>
constexpr unsigned unpacked(unsigned k) noexcept {
    constexpr unsigned kPart = 16 / kBytes;
    return k % 16 / kPart * (64 / kBytes) + k / 16 * kPart + k % kPart;
}

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
