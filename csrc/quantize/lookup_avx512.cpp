// quantize/lookup_avx512.cpp - tables in registers: whole elements of up to 64, single bytes of 256.
#include "quantize/lookup.hpp"

#if QC_X86
#include <immintrin.h>

#include "quantize/table_sink.hpp"

QC_TARGET("avx2,bmi,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")

namespace qc {
namespace {

// Up to 64 elements of 4 bytes.
std::size_t lookup_words(const std::uint8_t* symbols, unsigned bits, std::size_t n, const std::uint8_t* table,
                         std::uint8_t* out) noexcept {
    const __m512i t0 = _mm512_load_si512(table);
    const __m512i t1 = _mm512_load_si512(table + 64);
    const __m512i t2 = _mm512_load_si512(table + 128);
    const __m512i t3 = _mm512_load_si512(table + 192);
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512i at =
            _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(symbols + i)));
        __m512i v;
        if (bits <= 4) {
            v = _mm512_permutexvar_epi32(at, t0);
        } else {
            v = _mm512_permutex2var_epi32(t0, at, t1);
            if (bits == 6) {
                const __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
                v = _mm512_mask_blend_epi32(upper, v, _mm512_permutex2var_epi32(t2, at, t3));
            }
        }
        _mm512_storeu_si512(out + 4 * i, v);
    }
    return i;
}

// Up to 64 elements of 2 bytes.
std::size_t lookup_halves(const std::uint8_t* symbols, unsigned bits, std::size_t n, const std::uint8_t* table,
                          std::uint8_t* out) noexcept {
    const __m512i t0 = _mm512_load_si512(table);
    const __m512i t1 = _mm512_load_si512(table + 64);
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m512i at =
            _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols + i)));
        const __m512i v =
            bits <= 5 ? _mm512_permutexvar_epi16(at, t0) : _mm512_permutex2var_epi16(t0, at, t1);
        _mm512_storeu_si512(out + 2 * i, v);
    }
    return i;
}

// All 256 elements, byte by byte.
template <unsigned kBytes, unsigned kRegisters, bool kUpper>
std::size_t lookup_bytes(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* planes,
                         std::uint8_t* out) noexcept {
    const TableLines<kBytes, kRegisters, kUpper> table(planes);
    const __m512i place = indices([](unsigned k) { return unpacked<kBytes>(k); });
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i lines[kBytes];
        table.get(_mm512_permutexvar_epi8(place, _mm512_loadu_si512(symbols + i)), lines);
#pragma GCC unroll 4
        for (unsigned k = 0; k < kBytes; ++k) _mm512_storeu_si512(out + kBytes * i + 64 * k, lines[k]);
    }
    return i;
}

template <unsigned kBytes>
std::size_t lookup_bytes(const std::uint8_t* symbols, unsigned bits, std::size_t n, const std::uint8_t* table,
                         std::uint8_t* out) noexcept {
    alignas(64) std::uint8_t planes[256 * kBytes];
    if (split_bytes(table, kBytes, planes)) {
        return bits == 7 ? lookup_bytes<kBytes, 2, true>(symbols, n, planes, out)
                         : lookup_bytes<kBytes, 4, true>(symbols, n, planes, out);
    }
    return bits == 7 ? lookup_bytes<kBytes, 2, false>(symbols, n, planes, out)
                     : lookup_bytes<kBytes, 4, false>(symbols, n, planes, out);
}

}  // namespace

void lookup_avx512(const std::uint8_t* symbols, unsigned bits, std::size_t n, const std::uint8_t* table,
                   std::size_t item, std::uint8_t* out) {
    std::size_t i = 0;
    if (item == 4) {
        i = bits <= 6 ? lookup_words(symbols, bits, n, table, out) : lookup_bytes<4>(symbols, bits, n, table, out);
    } else if (item == 2) {
        i = bits <= 6 ? lookup_halves(symbols, bits, n, table, out) : lookup_bytes<2>(symbols, bits, n, table, out);
    }
    lookup_rest(symbols, i, n, table, item, out);
}

}  // namespace qc

QC_TARGET_END
#endif
