// quantize/lattice_floats_avx2.hpp - AVX2: coordinates in float32, put together from bytes.
//
// Code here is compiled for AVX2: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "quantize/lattice_floats.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt")

namespace qc::lattice {
namespace {

// Half the dwords of a register in each lane, in turns: interleaved with others twice, they are in order.
[[gnu::always_inline]] inline __m256i in_turns(__m256i bytes) noexcept {
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

// What makes floats of two bytes in coordinates of two units, eight after eight.
struct Units {
    __m256i upper;   // bytes 2 and 3
    __m256 offset;   // what floats stand above their coordinates

    // Bit i of `last`: coordinate i, in steps of `last_unit` a symbol, has `last_zero` for 0.
    Units(unsigned unit, std::int32_t zero, unsigned last, unsigned last_unit, std::int32_t last_zero) noexcept {
        alignas(32) std::uint16_t words[16];
        alignas(32) float offsets[8];
        for (unsigned i = 0; i < 8; ++i) {
            const bool is_last = (last >> i & 1) != 0;
            const unsigned own = is_last ? last_unit : unit;
            const std::int32_t own_zero = is_last ? last_zero : zero;
            offsets[i] = float_base(own) + static_cast<float>(static_cast<std::int32_t>(own) * own_zero);
            // Interleaving takes the lower four words of each lane, then the upper ones.
            const unsigned at = i / 4 * 8 + i % 4;
            words[at] = words[at + 4] = static_cast<std::uint16_t>(float_bits(own) >> 16);
        }
        upper = _mm256_load_si256(reinterpret_cast<const __m256i*>(words));
        offset = _mm256_load_ps(offsets);
    }

    [[gnu::always_inline]] void put(__m256i floats, __m256 scale, float* out) const noexcept {
        _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_sub_ps(_mm256_castsi256_ps(floats), offset), scale));
    }
};

// 32 coordinates: symbols and the bytes below them.
[[gnu::always_inline]] inline void put_32(__m256i symbols, __m256i low, const Units& units, __m256 scale,
                                          float* out) noexcept {
    symbols = in_turns(symbols);
    low = in_turns(low);
    const __m256i front = _mm256_unpacklo_epi8(low, symbols);
    const __m256i back = _mm256_unpackhi_epi8(low, symbols);
    units.put(_mm256_unpacklo_epi16(front, units.upper), scale, out);
    units.put(_mm256_unpackhi_epi16(front, units.upper), scale, out + 8);
    units.put(_mm256_unpacklo_epi16(back, units.upper), scale, out + 16);
    units.put(_mm256_unpackhi_epi16(back, units.upper), scale, out + 24);
}

[[gnu::always_inline]] inline __m128i load_8(const std::uint8_t* from) noexcept {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
}
[[gnu::always_inline]] inline __m128i load_16(const std::uint8_t* from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
// Eight bytes from each.
[[gnu::always_inline]] inline __m128i load_two(const std::uint8_t* first, const std::uint8_t* second) noexcept {
    return _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(load_8(first)), reinterpret_cast<const double*>(second)));
}

[[gnu::always_inline]] inline std::size_t ones(std::uint64_t mask) noexcept {
    return static_cast<std::size_t>(__builtin_popcountll(mask));
}

// Keeps the compiler from gathering cursors in a vector, which every load would then wait for.
template <class T>
[[gnu::always_inline]] inline void stay_scalar(T& x) noexcept {
    asm("" : "+r"(x));
}
[[gnu::always_inline]] inline void advance(const std::uint8_t*& cursor, std::size_t n) noexcept {
    stay_scalar(n);
    cursor += n;
    stay_scalar(cursor);
}

}  // namespace
}  // namespace qc::lattice

QC_TARGET_END
#endif
