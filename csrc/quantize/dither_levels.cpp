// quantize/dither_levels.cpp - what an encoder of `dithered` rounds to: values in steps, dither added.
//
// One division, one addition and one rounding in float32, the same at every instruction set.
#include <algorithm>
#include <cmath>

#include "quantize/dither.hpp"
#include "quantize/dithered.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {
namespace {

// Elements whose numbers share their upper half.
struct Run {
    Dither dither;
    std::uint32_t element;
    std::size_t n;
};

using LevelsFn = void (*)(const Run& run, const float* values, float step, std::int32_t* out);

void levels_portable(const Run& run, const float* values, float step, std::int32_t* out) {
    for (std::size_t i = 0; i < run.n; ++i) {
        const float u = run.dither.value(run.element + static_cast<std::uint32_t>(i));
        out[i] = static_cast<std::int32_t>(std::nearbyintf(values[i] / step + u));
    }
}

#if QC_X86
QC_TARGET("avx2")
[[gnu::always_inline]] inline __m256i mix_avx2(__m256i x) {
    x = _mm256_mullo_epi32(_mm256_xor_si256(x, _mm256_srli_epi32(x, 16)), _mm256_set1_epi32(0x7FEB352D));
    x = _mm256_mullo_epi32(_mm256_xor_si256(x, _mm256_srli_epi32(x, 15)),
                           _mm256_set1_epi32(static_cast<int>(0x846CA68B)));
    return _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
}

void levels_avx2(const Run& run, const float* values, float step, std::int32_t* out) {
    const std::size_t head = std::min<std::size_t>(-run.element % kDitherClasses, run.n);
    levels_portable({run.dither, run.element, head}, values, step, out);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i weyl = _mm256_set1_epi32(static_cast<int>(kWeyl));
    const __m256i key = _mm256_set1_epi32(static_cast<int>(run.dither.element_key()));
    const __m256 steps = _mm256_set1_ps(step);
    std::size_t i = head;
    for (; i + kDitherClasses <= run.n; i += kDitherClasses) {
        const std::uint32_t element = run.element + static_cast<std::uint32_t>(i);
        const __m256i turn = _mm256_set1_epi32(static_cast<int>(run.dither.turn_of(element)));
        for (unsigned half = 0; half < kDitherClasses; half += 8) {
            const __m256i lane = _mm256_add_epi32(lanes, _mm256_set1_epi32(static_cast<int>(half)));
            const __m256i number = _mm256_add_epi32(lane, _mm256_set1_epi32(static_cast<int>(element)));
            const __m256i mixed = mix_avx2(_mm256_add_epi32(_mm256_mullo_epi32(number, weyl), key));
            const __m256i fraction = _mm256_srli_epi32(mixed, 13);
            const __m256i class_number =
                _mm256_and_si256(_mm256_add_epi32(lane, turn), _mm256_set1_epi32(kDitherClasses - 1));
            const __m256i whole = _mm256_or_si256(_mm256_slli_epi32(class_number, 19), fraction);
            const __m256i odd = _mm256_add_epi32(_mm256_slli_epi32(whole, 1), _mm256_set1_epi32(1 - (1 << 23)));
            const __m256 u = _mm256_mul_ps(_mm256_cvtepi32_ps(odd), _mm256_set1_ps(0x1p-24f));
            const __m256 x = _mm256_div_ps(_mm256_loadu_ps(values + i + half), steps);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + half),
                                _mm256_cvtps_epi32(_mm256_add_ps(x, u)));
        }
    }
    const std::uint32_t rest = run.element + static_cast<std::uint32_t>(i);
    levels_portable({run.dither, rest, run.n - i}, values + i, step, out + i);
}
QC_TARGET_END
constinit const Variants<LevelsFn> levels_of{levels_portable, levels_avx2, levels_avx2};
#else
constinit const Variants<LevelsFn> levels_of{levels_portable};
#endif

}  // namespace

void dithered_levels(std::uint64_t seed, std::uint64_t first, std::span<const float> values, float step,
                     std::int32_t* out) {
    for_runs(seed, first, values.size(),
             [&](const Dither& dither, std::uint32_t element, std::size_t at, std::size_t n) {
                 levels_of.pick()({dither, element, n}, values.data() + at, step, out + at);
             });
}

}  // namespace qc
