// quantize/scale_codes_avx512.cpp - sixteen codes of scales a step.
#include "quantize/scale_codes.hpp"

#if QC_X86
#include <immintrin.h>

#include "quantize/scale_grid.hpp"

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512vbmi")

namespace qc {

std::uint64_t scale_codes_avx512(const CodedScales& codes, std::uint64_t entries, float* scales,
                                 std::uint32_t& most) noexcept {
    const std::uint32_t* const mantissas = scale_mantissas();
    const __m512i mantissas_low = _mm512_loadu_si512(mantissas);
    const __m512i mantissas_high = _mm512_loadu_si512(mantissas + 16);
    const std::uint64_t n = readable_codes(codes, entries, 16, 32);
    const __m512i first_bit =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32(static_cast<int>(codes.width)));
    const __m512i first_byte =
        _mm512_mullo_epi32(_mm512_srli_epi32(first_bit, 3), _mm512_set1_epi32(0x01010101));
    const __m512i bytes = _mm512_add_epi32(first_byte, _mm512_set1_epi32(0x03020100));
    const __m512i shifts = _mm512_and_si512(first_bit, _mm512_set1_epi32(7));
    const __m512i mask = _mm512_set1_epi32((1 << codes.width) - 1);
    const __m512i base = _mm512_set1_epi32(static_cast<int>(codes.base));
    __m512i largest = _mm512_set1_epi32(static_cast<int>(most));
    const std::uint8_t* in = codes.above.data();
    for (std::uint64_t e = 0; e < n; e += 16, in += std::size_t{2} * codes.width) {
        const __m512i read =
            _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)));
        const __m512i words = _mm512_srlv_epi32(_mm512_permutexvar_epi8(bytes, read), shifts);
        const __m512i code = _mm512_add_epi32(_mm512_and_si512(words, mask), base);
        largest = _mm512_max_epu32(largest, code);
        const __m512i known = _mm512_min_epu32(code, _mm512_set1_epi32(kMaxScaleCode));
        const __m512i mantissa = _mm512_permutex2var_epi32(mantissas_low, known, mantissas_high);
        const __m512i exponent = _mm512_slli_epi32(_mm512_srli_epi32(known, 5), 23);
        _mm512_storeu_ps(scales + e, _mm512_castsi512_ps(_mm512_or_si512(exponent, mantissa)));
    }
    most = _mm512_reduce_max_epu32(largest);
    return n;
}

}  // namespace qc

QC_TARGET_END
#endif
