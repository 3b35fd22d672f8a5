// quantize/scale_codes_avx2.cpp - eight codes of scales a step.
#include "quantize/scale_codes.hpp"

#if QC_X86
#include <immintrin.h>

#include "quantize/scale_grid.hpp"

QC_TARGET("avx2")

namespace qc {

std::uint64_t scale_codes_avx2(const CodedScales& codes, std::uint64_t entries, float* scales,
                               std::uint32_t& most) noexcept {
    const auto* const mantissas = reinterpret_cast<const int*>(scale_mantissas());
    const std::uint64_t n = readable_codes(codes, entries, 8, 16);
    const __m256i first_bit = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                                 _mm256_set1_epi32(static_cast<int>(codes.width)));
    const __m256i first_byte =
        _mm256_mullo_epi32(_mm256_srli_epi32(first_bit, 3), _mm256_set1_epi32(0x01010101));
    const __m256i bytes = _mm256_add_epi32(first_byte, _mm256_set1_epi32(0x03020100));
    const __m256i shifts = _mm256_and_si256(first_bit, _mm256_set1_epi32(7));
    const __m256i mask = _mm256_set1_epi32((1 << codes.width) - 1);
    const __m256i base = _mm256_set1_epi32(static_cast<int>(codes.base));
    __m256i largest = _mm256_set1_epi32(static_cast<int>(most));
    const std::uint8_t* in = codes.above.data();
    for (std::uint64_t e = 0; e < n; e += 8, in += codes.width) {
        const __m256i both =
            _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
        const __m256i words = _mm256_srlv_epi32(_mm256_shuffle_epi8(both, bytes), shifts);
        const __m256i code = _mm256_add_epi32(_mm256_and_si256(words, mask), base);
        largest = _mm256_max_epu32(largest, code);
        const __m256i known = _mm256_min_epu32(code, _mm256_set1_epi32(kMaxScaleCode));
        const __m256i mantissa =
            _mm256_i32gather_epi32(mantissas, _mm256_and_si256(known, _mm256_set1_epi32(kScaleSteps - 1)), 4);
        const __m256i exponent = _mm256_slli_epi32(_mm256_srli_epi32(known, 5), 23);
        _mm256_storeu_ps(scales + e, _mm256_castsi256_ps(_mm256_or_si256(exponent, mantissa)));
    }
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xB1));
    most = static_cast<std::uint32_t>(_mm_cvtsi128_si32(four));
    return n;
}

}  // namespace qc

QC_TARGET_END
#endif
