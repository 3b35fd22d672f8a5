// quantize/dequantize_avx2.cpp - eight elements a step. Integer arithmetic up to q, one multiply after.
#include "quantize/dequantize.hpp"

#if QC_X86
#include <immintrin.h>

#include <algorithm>

#include "quantize/floats.hpp"

QC_TARGET("avx2")

namespace qc {
namespace {

template <bool kWide>
inline __m256i symbols8(const std::uint8_t* high, const std::uint8_t* low, std::size_t i) noexcept {
    const __m256i l =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low + i)));
    if constexpr (!kWide) return l;
    const __m256i h =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(high + i)));
    return _mm256_or_si256(l, _mm256_slli_epi32(h, 8));
}

template <bool kWide>
void dequantize_runs(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, float* out) {
    std::uint64_t entry = runs.entry;
    std::uint64_t left = runs.left;
    const __m128i shift = _mm_cvtsi32_si128(runs.factor - 1);
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const float scale = runs.scales[entry];
        const std::int32_t zero = runs.zero(entry);
        const __m256 scales = _mm256_set1_ps(scale);
        const __m256i zeros = _mm256_set1_epi32(zero);
        for (; i + 8 <= end; i += 8) {
            const __m256i s = symbols8<kWide>(high, low, i);
            const __m256i q = _mm256_sub_epi32(_mm256_sll_epi32(s, shift), zeros);
            _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtepi32_ps(q), scales));
        }
        for (; i < end; ++i) {
            const std::int32_t s = kWide ? high[i] << 8 | low[i] : low[i];
            out[i] = static_cast<float>(runs.factor * s - zero) * scale;
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
        for (; i + 8 <= end; i += 8, entry += 8) {
            const __m256i zeros =
                runs.zero_points != nullptr
                    ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(runs.zero_points + entry))
                    : _mm256_set1_epi32(runs.zero_point);
            const __m256i s = symbols8<kWide>(high, low, i);
            const __m256i q = _mm256_sub_epi32(_mm256_sll_epi32(s, shift), zeros);
            _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtepi32_ps(q),
                                                    _mm256_loadu_ps(runs.scales + entry)));
        }
        for (; i < end; ++i, ++entry) {
            const std::int32_t s = kWide ? high[i] << 8 | low[i] : low[i];
            out[i] = static_cast<float>(runs.factor * s - runs.zero(entry)) * runs.scales[entry];
        }
        entry = 0;
    }
}

void dequantize_f32(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                    const Runs& runs, float* out) {
    if (runs.inner == 1) {
        high == nullptr ? dequantize_each<false>(high, low, n, runs, out)
                        : dequantize_each<true>(high, low, n, runs, out);
    } else {
        high == nullptr ? dequantize_runs<false>(high, low, n, runs, out)
                        : dequantize_runs<true>(high, low, n, runs, out);
    }
}

}  // namespace

void dequantize_avx2(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, std::uint8_t* out, DType to) {
    if (to == DType::kF32) {
        dequantize_f32(high, low, n, runs, reinterpret_cast<float*>(out));
        return;
    }
    // By way of a few floats that stay in L1.
    constexpr std::size_t kPart = 512;
    alignas(32) float part[kPart];
    const std::size_t item = item_bytes(to);
    Runs rest = runs;
    for (std::size_t i = 0; i < n; i += kPart) {
        const std::size_t m = std::min(kPart, n - i);
        dequantize_f32(high == nullptr ? nullptr : high + i, low + i, m, rest, part);
        from_f32_avx2(part, m, out + i * item, to);
        const std::uint64_t passed = runs.inner - runs.left + i + m;  // since the first run began
        rest.entry = (runs.entry + passed / runs.inner) % runs.entries;
        rest.left = runs.inner - passed % runs.inner;
    }
}

}  // namespace qc

QC_TARGET_END
#endif
