// simd/spread_avx2.hpp - AVX2: the next bytes to the places that a mask names.
//
// Code here is compiled for AVX2: include it only inside a region of that target, behind a run-time check.
#pragma once

#include <array>
#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2")

namespace qc {

// Shuffles that spread the next bytes over the ones of a mask, and zero the rest.
constexpr std::array<std::uint64_t, 256> make_spreads() {
    std::array<std::uint64_t, 256> table{};
    for (unsigned m = 0; m < 256; ++m) {
        std::uint64_t next = 0;
        for (unsigned k = 0; k < 8; ++k) {
            table[m] |= (m >> k & 1 ? next++ : std::uint64_t{0x80}) << (8 * k);
        }
    }
    return table;
}
inline constexpr std::array<std::uint64_t, 256> kSpreads = make_spreads();

namespace {

inline __m128i spread_8(std::uint32_t mask, const std::uint8_t* in) noexcept {
    const auto* const bytes = reinterpret_cast<const __m128i*>(in);
    const auto* const shuffle = reinterpret_cast<const __m128i*>(&kSpreads[mask & 0xFF]);
    return _mm_shuffle_epi8(_mm_loadl_epi64(bytes), _mm_loadl_epi64(shuffle));
}

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
