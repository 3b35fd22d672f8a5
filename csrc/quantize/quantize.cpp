#include "quantize/quantize.hpp"

#include <algorithm>
#include <cmath>

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {
namespace {

std::int32_t symbol_of(float w, float scale, std::int32_t zero, const Grid& grid) noexcept {
    if (scale == 0.0f) return std::clamp(zero, 0, grid.max_symbol);
    const double x = std::clamp(static_cast<double>(w) / scale, -grid.reach, grid.reach);
    // 1.5 * 2^52 pushes the fraction out of the mantissa: rounds to nearest even without SSE4.
    const double rounded = x + 6755399441055744.0 - 6755399441055744.0;
    return std::clamp(static_cast<std::int32_t>(rounded) + zero, 0, grid.max_symbol);
}

std::int32_t zero_of(const Grid& grid, std::uint64_t group) noexcept {
    return grid.zero_points != nullptr ? grid.zero_points[group] : grid.zero_point;
}

}  // namespace

void quantize_portable(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols) {
    std::uint64_t group = grid.group;
    std::uint64_t left = grid.left;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const float scale = grid.scales[group];
        const std::int32_t zero = zero_of(grid, group);
        for (; i < end; ++i) symbols[i] = symbol_of(w[i], scale, zero, grid);
        group = group + 1 == grid.groups ? 0 : group + 1;
        left = grid.inner;
    }
}

#if QC_X86
constinit const Variants<QuantizeFn> quantize{quantize_portable, quantize_avx2, quantize_avx512};

QC_TARGET("avx2")
void quantize_avx2(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols) {
    const __m256d high = _mm256_set1_pd(grid.reach);
    const __m256d low = _mm256_set1_pd(-grid.reach);
    const __m128i top = _mm_set1_epi32(grid.max_symbol);
    std::uint64_t group = grid.group;
    std::uint64_t left = grid.left;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const float scale = grid.scales[group];
        const std::int32_t zero = zero_of(grid, group);
        const __m256d scales = _mm256_set1_pd(scale);
        const __m128i zeros = _mm_set1_epi32(zero);
        for (; scale != 0.0f && i + 4 <= end; i += 4) {
            __m256d x = _mm256_div_pd(_mm256_cvtps_pd(_mm_loadu_ps(w + i)), scales);
            x = _mm256_min_pd(_mm256_max_pd(x, low), high);
            const __m128i s = _mm_add_epi32(_mm256_cvtpd_epi32(x), zeros);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(symbols + i),
                             _mm_min_epi32(_mm_max_epi32(s, _mm_setzero_si128()), top));
        }
        for (; i < end; ++i) symbols[i] = symbol_of(w[i], scale, zero, grid);
        group = group + 1 == grid.groups ? 0 : group + 1;
        left = grid.inner;
    }
}
QC_TARGET_END

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq")
namespace {

// round(clip(w / scale)); where the scale is 0 the quotient counts as 0, so the zero point remains.
inline __m256i quotients8(__m256 w, __m256 scales, const Grid& grid) noexcept {
    const __m512d wide = _mm512_cvtps_pd(scales);
    const __mmask8 live = _mm512_cmpneq_pd_mask(wide, _mm512_setzero_pd());
    __m512d x = _mm512_maskz_div_pd(live, _mm512_cvtps_pd(w), wide);
    x = _mm512_min_pd(_mm512_max_pd(x, _mm512_set1_pd(-grid.reach)), _mm512_set1_pd(grid.reach));
    return _mm512_cvtpd_epi32(x);
}

inline void quantize16(const float* w, std::int32_t* symbols, __mmask16 mask, __m512 scales,
                       __m512i zeros, const Grid& grid) noexcept {
    const __m512 v = _mm512_maskz_loadu_ps(mask, w);
    const __m256i low =
        quotients8(_mm512_castps512_ps256(v), _mm512_castps512_ps256(scales), grid);
    const __m256i high =
        quotients8(_mm512_extractf32x8_ps(v, 1), _mm512_extractf32x8_ps(scales, 1), grid);
    const __m512i q = _mm512_inserti32x8(_mm512_castsi256_si512(low), high, 1);
    const __m512i s = _mm512_max_epi32(_mm512_add_epi32(q, zeros), _mm512_setzero_si512());
    _mm512_mask_storeu_epi32(symbols, mask,
                             _mm512_min_epi32(s, _mm512_set1_epi32(grid.max_symbol)));
}

inline __mmask16 first16(std::size_t m) noexcept {
    return static_cast<__mmask16>(m >= 16 ? 0xFFFFu : (1u << m) - 1);
}

// Every weight has a scale of its own: inner = 1.
void quantize_each(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols) {
    std::uint64_t group = grid.group;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end =
            i + static_cast<std::size_t>(std::min<std::uint64_t>(grid.groups - group, n - i));
        for (; i < end; i += 16, group += 16) {
            const __mmask16 mask = first16(end - i);
            const __m512i zeros = grid.zero_points != nullptr
                                      ? _mm512_maskz_loadu_epi32(mask, grid.zero_points + group)
                                      : _mm512_set1_epi32(grid.zero_point);
            quantize16(w + i, symbols + i, mask, _mm512_maskz_loadu_ps(mask, grid.scales + group),
                       zeros, grid);
        }
        i = end;
        group = 0;
    }
}

}  // namespace

void quantize_avx512(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols) {
    if (grid.inner == 1) {
        quantize_each(w, n, grid, symbols);
        return;
    }
    std::uint64_t group = grid.group;
    std::uint64_t left = grid.left;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const __m512 scales = _mm512_set1_ps(grid.scales[group]);
        const __m512i zeros = _mm512_set1_epi32(zero_of(grid, group));
        for (; i < end; i += 16) {
            quantize16(w + i, symbols + i, first16(end - i), scales, zeros, grid);
        }
        i = end;
        group = group + 1 == grid.groups ? 0 : group + 1;
        left = grid.inner;
    }
}
QC_TARGET_END
#else
constinit const Variants<QuantizeFn> quantize{quantize_portable};
#endif

}  // namespace qc
