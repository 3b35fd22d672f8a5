// traffic/three_lc_avx512.cpp - 64 elements a step. Limit: memory, on the way out and in.
#include "traffic/three_lc.hpp"

#include "quantize/floats.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq")

namespace qc::three_lc {
namespace {

template <DType kFrom>
__m512 load16(const std::uint8_t* p) noexcept {
    if constexpr (kFrom == DType::kF32) return _mm512_loadu_ps(p);
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

template <DType kFrom>
std::uint32_t largest_of(const std::uint8_t* gradient, const float* residual,
                         std::size_t n) noexcept {
    constexpr std::size_t kItem = item_bytes(kFrom);
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i most[4] = {};
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        fetch<kFrom, 64>(gradient, residual, i);
        for (std::size_t k = 0; k < 4; ++k) {
            const std::size_t at = i + 16 * k;
            const __m512 v = _mm512_add_ps(_mm512_loadu_ps(residual + at),
                                           load16<kFrom>(gradient + at * kItem));
            most[k] = _mm512_max_epu32(most[k],
                                       _mm512_and_si512(_mm512_castps_si512(v), magnitude));
        }
    }
    const __m512i all = _mm512_max_epu32(_mm512_max_epu32(most[0], most[1]),
                                         _mm512_max_epu32(most[2], most[3]));
    const std::uint32_t rest = kPortable.largest(gradient + i * kItem, kFrom, residual + i, n - i);
    const std::uint32_t found = _mm512_reduce_max_epu32(all);
    return found > rest ? found : rest;
}

template <DType kFrom>
void digits_of(const std::uint8_t* gradient, float* residual, std::size_t n, Step step,
               std::uint8_t* bytes) noexcept {
    constexpr std::size_t kItem = item_bytes(kFrom);
    const __m512 scale = _mm512_set1_ps(step.scale), half = _mm512_set1_ps(step.half);
    const __m512 minus_half = _mm512_set1_ps(-step.half);
    const __m512i one = _mm512_set1_epi8(1);
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        fetch<kFrom, 64>(gradient, residual, i);
        __mmask64 up = 0, down = 0;
        for (unsigned k = 0; k < 4; ++k) {
            const std::size_t at = i + 16 * k;
            __m512 v = _mm512_add_ps(_mm512_loadu_ps(residual + at),
                                     load16<kFrom>(gradient + at * kItem));
            const __mmask16 above = _mm512_cmp_ps_mask(v, half, _CMP_GT_OQ);
            const __mmask16 below = _mm512_cmp_ps_mask(v, minus_half, _CMP_LT_OQ);
            v = _mm512_mask_sub_ps(v, above, v, scale);
            v = _mm512_mask_add_ps(v, below, v, scale);
            _mm512_storeu_ps(residual + at, v);
            up |= static_cast<__mmask64>(above) << (16 * k);
            down |= static_cast<__mmask64>(below) << (16 * k);
        }
        const __m512i byte = _mm512_loadu_si512(bytes + i);
        __m512i next = _mm512_add_epi8(_mm512_add_epi8(byte, byte), _mm512_add_epi8(byte, one));
        next = _mm512_mask_add_epi8(next, up, next, one);
        next = _mm512_mask_sub_epi8(next, down, next, one);
        _mm512_storeu_si512(bytes + i, next);
    }
    kPortable.digits(gradient + i * kItem, kFrom, residual + i, n - i, step, bytes + i);
}

std::uint32_t largest_avx512(const std::uint8_t* gradient, DType from, const float* residual,
                             std::size_t n) noexcept {
    return from == DType::kF32 ? largest_of<DType::kF32>(gradient, residual, n)
                               : largest_of<DType::kBF16>(gradient, residual, n);
}

void digits_avx512(const std::uint8_t* gradient, DType from, float* residual, std::size_t n,
                   Step step, std::uint8_t* bytes) noexcept {
    return from == DType::kF32 ? digits_of<DType::kF32>(gradient, residual, n, step, bytes)
                               : digits_of<DType::kBF16>(gradient, residual, n, step, bytes);
}

template <bool kStream>
void put(std::uint8_t* out, __m512i v) noexcept {
    if constexpr (kStream) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(out), v);
    } else {
        _mm512_storeu_si512(out, v);
    }
}

template <unsigned kDigit, DType kTo, bool kStream>
void values_of(const std::uint8_t* fractions, std::size_t n, float scale,
               std::uint8_t* out) noexcept {
    constexpr std::size_t kItem = item_bytes(kTo);
    std::size_t i = 0;
    if constexpr (kStream) {
        i = (-reinterpret_cast<std::uintptr_t>(out) % 64) / kItem;
        if (i > n) i = n;
        kPortable.values(fractions, i, kDigit, scale, out, kTo, false);
    }
    const __m512i two_thirds = _mm512_set1_epi8(static_cast<char>(171));
    const __m512i third = _mm512_set1_epi8(86);
    std::uint16_t bf16[2];
    const float both[] = {scale, -scale};
    if constexpr (kTo == DType::kBF16) {
        for (unsigned k = 0; k < 2; ++k) bf16[k] = bf16_from_f32(both[k]);
    }
    for (; i + 64 <= n; i += 64) {
        __m512i v = _mm512_loadu_si512(fractions + i);
        for (unsigned k = 0; k < kDigit; ++k) v = _mm512_add_epi8(_mm512_add_epi8(v, v), v);
        const __mmask64 up = _mm512_cmpge_epu8_mask(v, two_thirds);
        const __mmask64 down = _mm512_cmplt_epu8_mask(v, third);
        std::uint8_t* const to = out + i * kItem;
        if constexpr (kTo == DType::kF32) {
            const __m512 plus = _mm512_set1_ps(scale), minus = _mm512_set1_ps(-scale);
            for (unsigned k = 0; k < 4; ++k) {
                const auto above = static_cast<__mmask16>(up >> (16 * k));
                const auto below = static_cast<__mmask16>(down >> (16 * k));
                const __m512 value =
                    _mm512_mask_mov_ps(_mm512_maskz_mov_ps(above, plus), below, minus);
                put<kStream>(to + 64 * k, _mm512_castps_si512(value));
            }
        } else {
            const __m512i plus = _mm512_set1_epi16(static_cast<short>(bf16[0]));
            const __m512i minus = _mm512_set1_epi16(static_cast<short>(bf16[1]));
            for (unsigned k = 0; k < 2; ++k) {
                const auto above = static_cast<__mmask32>(up >> (32 * k));
                const auto below = static_cast<__mmask32>(down >> (32 * k));
                put<kStream>(to + 64 * k,
                             _mm512_mask_mov_epi16(_mm512_maskz_mov_epi16(above, plus), below,
                                                   minus));
            }
        }
    }
    kPortable.values(fractions + i, n - i, kDigit, scale, out + i * kItem, kTo, false);
}

template <unsigned kDigit>
void digit_values(const std::uint8_t* fractions, std::size_t n, float scale, std::uint8_t* out,
                  DType to, bool stream) noexcept {
    if (to == DType::kF32) {
        return stream ? values_of<kDigit, DType::kF32, true>(fractions, n, scale, out)
                      : values_of<kDigit, DType::kF32, false>(fractions, n, scale, out);
    }
    return stream ? values_of<kDigit, DType::kBF16, true>(fractions, n, scale, out)
                  : values_of<kDigit, DType::kBF16, false>(fractions, n, scale, out);
}

void values_avx512(const std::uint8_t* fractions, std::size_t n, unsigned k, float scale,
                   std::uint8_t* out, DType to, bool stream) noexcept {
    switch (k) {
        case 0: return digit_values<0>(fractions, n, scale, out, to, stream);
        case 1: return digit_values<1>(fractions, n, scale, out, to, stream);
        case 2: return digit_values<2>(fractions, n, scale, out, to, stream);
        case 3: return digit_values<3>(fractions, n, scale, out, to, stream);
        default: return digit_values<4>(fractions, n, scale, out, to, stream);
    }
}

}  // namespace

constinit const Kernels kAvx512{largest_avx512, digits_avx512, values_avx512};

}  // namespace qc::three_lc

QC_TARGET_END
#endif
