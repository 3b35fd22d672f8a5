// quantize/floats_avx2.cpp - half and bfloat16 eight at a time; the rest as in the portable file.
#include "quantize/floats.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,f16c")

namespace qc {

void to_f32_avx2(const std::uint8_t* in, DType from, std::size_t n, float* out) {
    std::size_t i = 0;
    if (from == DType::kF16) {
        for (; i + 8 <= n; i += 8) {
            const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
            _mm256_storeu_ps(out + i, _mm256_cvtph_ps(h));
        }
    } else if (from == DType::kBF16) {
        const __m256i quiet = _mm256_set1_epi32(0x400000);
        for (; i + 8 <= n; i += 8) {
            const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
            const __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
            const __m256 f = _mm256_castsi256_ps(bits);
            const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(f, f, _CMP_UNORD_Q));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                                _mm256_or_si256(bits, _mm256_and_si256(nan, quiet)));
        }
    }
    to_f32_portable(in + i * item_bytes(from), from, n - i, out + i);
}

void from_f32_avx2(const float* in, std::size_t n, std::uint8_t* out, DType to) {
    std::size_t i = 0;
    if (to == DType::kF16) {
        for (; i + 8 <= n; i += 8) {
            const __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i), h);
        }
    } else if (to == DType::kBF16) {
        const __m256i half = _mm256_set1_epi32(0x7FFF);
        const __m256i one = _mm256_set1_epi32(1);
        const __m256i quiet = _mm256_set1_epi32(0x400000);
        for (; i + 16 <= n; i += 16) {
            __m256i rounded[2];
            for (int k = 0; k < 2; ++k) {
                const __m256 f = _mm256_loadu_ps(in + i + 8 * k);
                const __m256i bits = _mm256_castps_si256(f);
                const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(f, f, _CMP_UNORD_Q));
                const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
                const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(half, odd));
                rounded[k] = _mm256_srli_epi32(
                    _mm256_blendv_epi8(up, _mm256_or_si256(bits, quiet), nan), 16);
            }
            const __m256i packed = _mm256_packus_epi32(rounded[0], rounded[1]);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 2 * i),
                                _mm256_permute4x64_epi64(packed, 0xD8));
        }
    }
    from_f32_portable(in + i, n - i, out + i * item_bytes(to), to);
}

}  // namespace qc

QC_TARGET_END
#endif
