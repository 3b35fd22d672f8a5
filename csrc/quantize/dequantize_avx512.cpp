// quantize/dequantize_avx512.cpp - 16 elements a step, tails by masks, so short groups stay fast.
#include "quantize/dequantize.hpp"

#if QC_X86
#include <immintrin.h>

#include <algorithm>

#pragma GCC push_options
#pragma GCC target("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512dq")

namespace qc {
namespace {

template <bool kWide>
inline __m512i symbols16(const std::uint8_t* high, const std::uint8_t* low, std::size_t i,
                         __mmask16 mask) noexcept {
    const __m512i l = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, low + i));
    if constexpr (!kWide) return l;
    const __m512i h = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, high + i));
    return _mm512_or_si512(l, _mm512_slli_epi32(h, 8));
}

inline __mmask16 first(std::size_t m) noexcept {
    return static_cast<__mmask16>(m >= 16 ? 0xFFFFu : (1u << m) - 1);
}

template <bool kWide>
void dequantize_runs(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, float* out) {
    std::uint64_t entry = runs.entry;
    std::uint64_t left = runs.left;
    const __m128i shift = _mm_cvtsi32_si128(runs.factor - 1);
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const __m512 scales = _mm512_set1_ps(runs.scales[entry]);
        const __m512i zeros = _mm512_set1_epi32(runs.zero(entry));
        for (; i + 16 <= end; i += 16) {
            const __m512i s = symbols16<kWide>(high, low, i, 0xFFFF);
            const __m512i q = _mm512_sub_epi32(_mm512_sll_epi32(s, shift), zeros);
            _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales));
        }
        if (i < end) {
            const __mmask16 mask = first(end - i);
            const __m512i s = symbols16<kWide>(high, low, i, mask);
            const __m512i q = _mm512_sub_epi32(_mm512_sll_epi32(s, shift), zeros);
            _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales));
            i = end;
        }
        entry = entry + 1 == runs.entries ? 0 : entry + 1;
        left = runs.inner;
    }
}

// Every element has a scale of its own: inner = 1.
template <bool kWide>
void dequantize_each(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, float* out) {
    std::uint64_t entry = runs.entry;
    const __m128i shift = _mm_cvtsi32_si128(runs.factor - 1);
    for (std::size_t i = 0; i < n;) {
        const std::size_t end =
            i + static_cast<std::size_t>(std::min<std::uint64_t>(runs.entries - entry, n - i));
        for (; i < end; i += 16, entry += 16) {
            const __mmask16 mask = first(end - i);
            const __m512i zeros = runs.zero_points != nullptr
                                      ? _mm512_maskz_loadu_epi32(mask, runs.zero_points + entry)
                                      : _mm512_set1_epi32(runs.zero_point);
            const __m512i s = symbols16<kWide>(high, low, i, mask);
            const __m512i q = _mm512_sub_epi32(_mm512_sll_epi32(s, shift), zeros);
            const __m512 scales = _mm512_maskz_loadu_ps(mask, runs.scales + entry);
            _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales));
        }
        i = end;
        entry = 0;
    }
}

}  // namespace

void dequantize_avx512(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                       const Runs& runs, float* out) {
    if (runs.inner == 1) {
        high == nullptr ? dequantize_each<false>(high, low, n, runs, out)
                        : dequantize_each<true>(high, low, n, runs, out);
    } else {
        high == nullptr ? dequantize_runs<false>(high, low, n, runs, out)
                        : dequantize_runs<true>(high, low, n, runs, out);
    }
}

}  // namespace qc

#pragma GCC pop_options
#endif
