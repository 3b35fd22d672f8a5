// quantize/lattice_floats_avx512.hpp - AVX-512: coordinates in float32, put together from bytes.
//
// Code here is compiled for AVX-512: include it only inside a region of
// that target, behind a run-time check.
#pragma once

#include "quantize/lattice.hpp"
#include "quantize/lattice_floats.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,popcnt")

namespace qc::lattice {
namespace {

[[gnu::always_inline]] inline std::size_t ones(std::uint64_t mask) noexcept {
    return static_cast<std::size_t>(_mm_popcnt_u64(mask));
}

// Indices for kLines times 16 floats: bytes 0 and 1 of float f are chosen by low(f) and high(f) from 128, the upper ones
// are float_bits(unit(f)). Made once: a call is too short to make them anew.
template <unsigned kLines>
struct alignas(64) FloatIndices {
    std::uint8_t bytes[64 * kLines]{};

    template <class Low, class High, class Unit>
    constexpr FloatIndices(Low low, High high, Unit unit) {
        for (unsigned f = 0; f < 16 * kLines; ++f) {
            bytes[4 * f] = static_cast<std::uint8_t>(low(f));
            bytes[4 * f + 1] = static_cast<std::uint8_t>(high(f));
            bytes[4 * f + 2] = float_bits(unit(f)) >> 16 & 255;
            bytes[4 * f + 3] = float_bits(unit(f)) >> 24;
        }
    }
    __m512i operator[](unsigned line) const noexcept { return _mm512_load_si512(bytes + 64 * line); }
};
[[gnu::always_inline]] inline __m512 floats(__m512i high, __m512i index, __m512i low) noexcept {
    return _mm512_castsi512_ps(_mm512_mask2_permutex2var_epi8(high, index, 0x3333333333333333, low));
}

// What floats of two units stand above their coordinates: those of `last`, and the others.
inline __m512 offsets(__mmask16 last, unsigned unit, std::int32_t zero, unsigned last_unit,
                      std::int32_t last_zero) noexcept {
    return _mm512_mask_mov_ps(_mm512_set1_ps(float_base(unit) + static_cast<float>(zero)), last,
                              _mm512_set1_ps(float_base(last_unit) + static_cast<float>(last_zero)));
}

using FloatsFn = void (*)(const State&, Cursors&, std::size_t, float, float*) noexcept;

template <FloatsFn stream, FloatsFn store>
void next(const State& s, Cursors& at, std::size_t n, float scale, bool around, float* out) {
    (around ? stream : store)(s, at, n, scale, out);
}

}  // namespace
}  // namespace qc::lattice

QC_TARGET_END
#endif
