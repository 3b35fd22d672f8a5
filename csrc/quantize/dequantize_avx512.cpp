// quantize/dequantize_avx512.cpp - 16 or 32 elements a step, tails by masks, so short groups stay fast.
//
// Up to 4 bits, a run's 16 products fit a register and a symbol picks one: no arithmetic per element.
// Rounding to bfloat16 is done by integers, since vcvtneps2bf16 flushes subnormals.
#include "quantize/dequantize.hpp"

#if QC_X86
#include <immintrin.h>

#include <algorithm>

#include "quantize/floats.hpp"

QC_TARGET("avx2,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq")

namespace qc {
namespace {

inline __mmask16 first16(std::size_t m) noexcept {
    return static_cast<__mmask16>(m >= 16 ? 0xFFFFu : (1u << m) - 1);
}
inline __mmask32 first32(std::size_t m) noexcept {
    return m >= 32 ? ~__mmask32{0} : (__mmask32{1} << m) - 1;
}

inline __m256i round_to(__m512 f, DType to) noexcept {
    if (to == DType::kF16) return _mm512_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT);
    const __m512i bits = _mm512_castps_si512(f);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
}

// Writes 16 floats as one of three dtypes.
template <DType kTo>
struct Out {
    std::uint8_t* at;

    void put(std::size_t i, __m512 f, __mmask16 mask) const noexcept {
        if constexpr (kTo == DType::kF32) {
            _mm512_mask_storeu_ps(at + 4 * i, mask, f);
        } else {
            _mm256_mask_storeu_epi16(at + 2 * i, mask, round_to(f, kTo));
        }
    }
    void put(std::size_t i, __m512 f) const noexcept {
        if constexpr (kTo == DType::kF32) {
            _mm512_storeu_ps(at + 4 * i, f);
        } else {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 2 * i), round_to(f, kTo));
        }
    }
};

inline __m512i symbols16(const std::uint8_t* high, const std::uint8_t* low, std::size_t i,
                         __mmask16 mask) noexcept {
    const __m512i l = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, low + i));
    if (high == nullptr) return l;
    const __m512i h = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, high + i));
    return _mm512_or_si512(l, _mm512_slli_epi32(h, 8));
}

// What the run loops share: [i, end) is a run, `entry` its parameters.
template <class Body>
[[gnu::always_inline]] inline void for_each_run(std::size_t n, const Runs& runs, Body body) {
    std::uint64_t entry = runs.entry;
    std::uint64_t left = runs.left;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        body(i, end, entry);
        i = end;
        entry = entry + 1 == runs.entries ? 0 : entry + 1;
        left = runs.inner;
    }
}

// q of symbols 0..15, for the zero point of an entry.
inline __m512 levels16(const Runs& runs, std::uint64_t entry) noexcept {
    const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i scaled = _mm512_mullo_epi32(iota, _mm512_set1_epi32(runs.factor));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(scaled, _mm512_set1_epi32(runs.zero(entry))));
}

template <DType kTo>
void dequantize_table(const std::uint8_t* low, std::size_t n, const Runs& runs, std::uint8_t* at) {
    const bool shared = runs.zero_points == nullptr;
    const __m512 same = levels16(runs, runs.entry);
    for_each_run(n, runs, [&](std::size_t i, std::size_t end, std::uint64_t entry) {
        const __m512 levels = shared ? same : levels16(runs, entry);
        const __m512 table = _mm512_mul_ps(levels, _mm512_set1_ps(runs.scales[entry]));
        if constexpr (kTo == DType::kF32) {
            const Out<kTo> out{at};
            for (; i + 16 <= end; i += 16) {
                out.put(i, _mm512_permutexvar_ps(symbols16(nullptr, low, i, 0xFFFF), table));
            }
            if (i < end) {
                const __mmask16 mask = first16(end - i);
                out.put(i, _mm512_permutexvar_ps(symbols16(nullptr, low, i, mask), table), mask);
            }
        } else {
            const __m512i halves = _mm512_castsi256_si512(round_to(table, kTo));
            for (; i + 32 <= end; i += 32) {
                const __m512i s = _mm512_cvtepu8_epi16(
                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low + i)));
                _mm512_storeu_si512(at + 2 * i, _mm512_permutexvar_epi16(s, halves));
            }
            if (i < end) {
                const __mmask32 mask = first32(end - i);
                const __m512i s = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, low + i));
                _mm512_mask_storeu_epi16(at + 2 * i, mask, _mm512_permutexvar_epi16(s, halves));
            }
        }
    });
}

template <DType kTo>
void dequantize_runs(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, std::uint8_t* at) {
    const Out<kTo> out{at};
    const __m128i shift = _mm_cvtsi32_si128(runs.factor - 1);
    for_each_run(n, runs, [&](std::size_t i, std::size_t end, std::uint64_t entry) {
        const __m512 scales = _mm512_set1_ps(runs.scales[entry]);
        const __m512i zeros = _mm512_set1_epi32(runs.zero(entry));
        for (; i + 16 <= end; i += 16) {
            const __m512i s = symbols16(high, low, i, 0xFFFF);
            const __m512i q = _mm512_sub_epi32(_mm512_sll_epi32(s, shift), zeros);
            out.put(i, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales));
        }
        if (i < end) {
            const __mmask16 mask = first16(end - i);
            const __m512i s = symbols16(high, low, i, mask);
            const __m512i q = _mm512_sub_epi32(_mm512_sll_epi32(s, shift), zeros);
            out.put(i, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales), mask);
        }
    });
}

// Every element has a scale of its own: inner = 1. Passes go from an entry to the last one.
template <DType kTo>
void dequantize_each(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, std::uint8_t* at) {
    const Out<kTo> out{at};
    std::uint64_t entry = runs.entry;
    const __m128i shift = _mm_cvtsi32_si128(runs.factor - 1);
    for (std::size_t i = 0; i < n;) {
        const std::size_t end =
            i + static_cast<std::size_t>(std::min<std::uint64_t>(runs.entries - entry, n - i));
        for (; i < end; i += 16, entry += 16) {
            const __mmask16 mask = first16(end - i);
            const __m512i zeros = runs.zero_points != nullptr
                                      ? _mm512_maskz_loadu_epi32(mask, runs.zero_points + entry)
                                      : _mm512_set1_epi32(runs.zero_point);
            const __m512i s = symbols16(high, low, i, mask);
            const __m512i q = _mm512_sub_epi32(_mm512_sll_epi32(s, shift), zeros);
            const __m512 scales = _mm512_maskz_loadu_ps(mask, runs.scales + entry);
            out.put(i, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales), mask);
        }
        i = end;
        entry = 0;
    }
}

template <DType kTo>
void dequantize_as(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                   const Runs& runs, std::uint8_t* out) {
    if (runs.inner == 1) {
        dequantize_each<kTo>(high, low, n, runs, out);
    } else if (high == nullptr && runs.width <= 4) {
        dequantize_table<kTo>(low, n, runs, out);
    } else {
        dequantize_runs<kTo>(high, low, n, runs, out);
    }
}

}  // namespace

void dequantize_avx512(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                       const Runs& runs, std::uint8_t* out, DType to) {
    switch (to) {
        case DType::kF32: dequantize_as<DType::kF32>(high, low, n, runs, out); break;
        case DType::kBF16: dequantize_as<DType::kBF16>(high, low, n, runs, out); break;
        case DType::kF16: dequantize_as<DType::kF16>(high, low, n, runs, out); break;
        default: dequantize_avx2(high, low, n, runs, out, to); break;
    }
}

}  // namespace qc

QC_TARGET_END
#endif
