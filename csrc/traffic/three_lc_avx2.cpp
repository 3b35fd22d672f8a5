// traffic/three_lc_avx2.cpp - 32 elements a step.
#include "traffic/three_lc.hpp"

#include "quantize/floats.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi")

namespace qc::three_lc {
namespace {

__m256i load32(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

template <DType kFrom>
__m256 load8(const std::uint8_t* p) noexcept {
    if constexpr (kFrom == DType::kF32) {
        return _mm256_castsi256_ps(load32(p));
    }
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

template <DType kFrom>
std::uint32_t largest_of(const std::uint8_t* gradient, const float* residual,
                         std::size_t n) noexcept {
    constexpr std::size_t kItem = item_bytes(kFrom);
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i most[4] = {};
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        fetch<kFrom, 32>(gradient, residual, i);
        for (std::size_t k = 0; k < 4; ++k) {
            const std::size_t at = i + 8 * k;
            const __m256 v = _mm256_add_ps(_mm256_loadu_ps(residual + at),
                                           load8<kFrom>(gradient + at * kItem));
            most[k] = _mm256_max_epu32(most[k],
                                       _mm256_and_si256(_mm256_castps_si256(v), magnitude));
        }
    }
    std::uint32_t found = kPortable.largest(gradient + i * kItem, kFrom, residual + i, n - i);
    alignas(32) std::uint32_t lanes[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes),
                       _mm256_max_epu32(_mm256_max_epu32(most[0], most[1]),
                                        _mm256_max_epu32(most[2], most[3])));
    for (const std::uint32_t lane : lanes) found = lane > found ? lane : found;
    return found;
}

template <DType kFrom>
void digits_of(const std::uint8_t* gradient, float* residual, std::size_t n, Step step,
               std::uint8_t* bytes) noexcept {
    constexpr std::size_t kItem = item_bytes(kFrom);
    const __m256 scale = _mm256_set1_ps(step.scale), half = _mm256_set1_ps(step.half);
    const __m256 minus_half = _mm256_set1_ps(-step.half);
    // Packing works in halves of a vector; this puts groups of four back in order.
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        fetch<kFrom, 32>(gradient, residual, i);
        __m256i sign[4];
        for (std::size_t k = 0; k < 4; ++k) {
            const std::size_t at = i + 8 * k;
            const __m256 v = _mm256_add_ps(_mm256_loadu_ps(residual + at),
                                           load8<kFrom>(gradient + at * kItem));
            const __m256 above = _mm256_cmp_ps(v, half, _CMP_GT_OQ);
            const __m256 below = _mm256_cmp_ps(v, minus_half, _CMP_LT_OQ);
            // Blended, not v - 0: that would turn no bit of v, but v + 0 would turn -0 into 0.
            __m256 left = _mm256_blendv_ps(v, _mm256_sub_ps(v, scale), above);
            left = _mm256_blendv_ps(left, _mm256_add_ps(v, scale), below);
            _mm256_storeu_ps(residual + at, left);
            sign[k] = _mm256_sub_epi32(_mm256_castps_si256(below), _mm256_castps_si256(above));
        }
        const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(sign[0], sign[1]),
                                                  _mm256_packs_epi32(sign[2], sign[3]));
        const __m256i digit = _mm256_add_epi8(_mm256_permutevar8x32_epi32(packed, order),
                                              _mm256_set1_epi8(1));
        const __m256i byte = load32(bytes + i);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes + i),
                            _mm256_add_epi8(_mm256_add_epi8(byte, byte),
                                            _mm256_add_epi8(byte, digit)));
    }
    kPortable.digits(gradient + i * kItem, kFrom, residual + i, n - i, step, bytes + i);
}

std::uint32_t largest_avx2(const std::uint8_t* gradient, DType from, const float* residual,
                           std::size_t n) noexcept {
    return from == DType::kF32 ? largest_of<DType::kF32>(gradient, residual, n)
                               : largest_of<DType::kBF16>(gradient, residual, n);
}

void digits_avx2(const std::uint8_t* gradient, DType from, float* residual, std::size_t n,
                 Step step, std::uint8_t* bytes) noexcept {
    return from == DType::kF32 ? digits_of<DType::kF32>(gradient, residual, n, step, bytes)
                               : digits_of<DType::kBF16>(gradient, residual, n, step, bytes);
}

template <bool kStream>
void put(std::uint8_t* out, __m256i v) noexcept {
    if constexpr (kStream) {
        _mm256_stream_si256(reinterpret_cast<__m256i*>(out), v);
    } else {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), v);
    }
}

__m256i at_least(__m256i v, unsigned low) noexcept {
    const __m256i bound = _mm256_set1_epi8(static_cast<char>(low));
    return _mm256_cmpeq_epi8(_mm256_max_epu8(v, bound), v);
}

// -1, 0 and 1, one to a byte, as 32 elements.
template <DType kTo, bool kStream>
void put_signs(__m256i signs, float scale, std::uint8_t* out) noexcept {
    alignas(32) std::uint8_t sign[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(sign), signs);
    if constexpr (kTo == DType::kF32) {
        const __m256 table = _mm256_setr_ps(0, scale, 0, 0, 0, 0, 0, -scale);
        for (std::size_t k = 0; k < 4; ++k) {
            const __m256i place = _mm256_cvtepi8_epi32(
                _mm_loadl_epi64(reinterpret_cast<const __m128i*>(sign + 8 * k)));
            put<kStream>(out + 32 * k,
                         _mm256_castps_si256(_mm256_permutevar8x32_ps(table, place)));
        }
    } else {
        const auto magnitude = static_cast<short>(bf16_from_f32(scale));
        const __m256i plus = _mm256_set1_epi16(magnitude);
        for (std::size_t k = 0; k < 2; ++k) {
            const __m256i s = _mm256_cvtepi8_epi16(
                _mm_load_si128(reinterpret_cast<const __m128i*>(sign + 16 * k)));
            const __m256i kept = _mm256_cmpeq_epi16(s, _mm256_setzero_si256());
            const __m256i top = _mm256_and_si256(s, _mm256_set1_epi16(static_cast<short>(0x8000)));
            put<kStream>(out + 32 * k, _mm256_andnot_si256(kept, _mm256_or_si256(plus, top)));
        }
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
    for (; i + 32 <= n; i += 32) {
        __m256i v = load32(fractions + i);
        for (unsigned k = 0; k < kDigit; ++k) v = _mm256_add_epi8(_mm256_add_epi8(v, v), v);
        const __m256i minus = _mm256_add_epi8(at_least(v, 86), at_least(v, 171));
        put_signs<kTo, kStream>(_mm256_sub_epi8(_mm256_set1_epi8(-1), minus), scale,
                                out + i * kItem);
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

void values_avx2(const std::uint8_t* fractions, std::size_t n, unsigned k, float scale,
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

constinit const Kernels kAvx2{largest_avx2, digits_avx2, values_avx2};

}  // namespace qc::three_lc

QC_TARGET_END
#endif
