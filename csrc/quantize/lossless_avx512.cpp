// quantize/lossless_avx512.cpp - planes of 2- and 4-byte words, 64 words a step.
//
// Byte transposes are vpermi2b and unpacks; the rotation is vpshrd or vprol. Limit: the stores.
#include "quantize/lossless.hpp"
#include "simd/indices_avx512.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")

namespace qc {
namespace {

inline __m512i load512(const std::uint8_t* p) noexcept { return _mm512_loadu_si512(p); }

inline __m512i unmap16(__m512i y, Mapping m) noexcept {
    if (m == Mapping::kRotate) return _mm512_shrdi_epi16(y, y, 1);
    if (m == Mapping::kZigzag) {
        const __m512i odd = _mm512_and_si512(y, _mm512_set1_epi16(1));
        return _mm512_xor_si512(_mm512_srli_epi16(y, 1),
                                _mm512_sub_epi16(_mm512_setzero_si512(), odd));
    }
    return y;
}
inline __m512i unmap32(__m512i y, Mapping m) noexcept {
    if (m == Mapping::kRotate) return _mm512_ror_epi32(y, 1);
    if (m == Mapping::kZigzag) {
        const __m512i odd = _mm512_and_si512(y, _mm512_set1_epi32(1));
        return _mm512_xor_si512(_mm512_srli_epi32(y, 1),
                                _mm512_sub_epi32(_mm512_setzero_si512(), odd));
    }
    return y;
}
inline __m512i map16(__m512i x, Mapping m) noexcept {
    if (m == Mapping::kRotate) return _mm512_shldi_epi16(x, x, 1);
    if (m == Mapping::kZigzag) {
        return _mm512_xor_si512(_mm512_add_epi16(x, x), _mm512_srai_epi16(x, 15));
    }
    return x;
}
inline __m512i map32(__m512i x, Mapping m) noexcept {
    if (m == Mapping::kRotate) return _mm512_rol_epi32(x, 1);
    if (m == Mapping::kZigzag) {
        return _mm512_xor_si512(_mm512_add_epi32(x, x), _mm512_srai_epi32(x, 31));
    }
    return x;
}

std::size_t merge2(const std::uint8_t* const* planes, Mapping m, std::size_t n,
                   std::uint8_t* out) noexcept {
    const __m512i first = indices([](unsigned k) { return k % 2 * 64 + k / 2; });
    const __m512i second = indices([](unsigned k) { return k % 2 * 64 + k / 2 + 32; });
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i high = load512(planes[0] + i);
        const __m512i low = load512(planes[1] + i);
        _mm512_storeu_si512(out + 2 * i, unmap16(_mm512_permutex2var_epi8(low, first, high), m));
        _mm512_storeu_si512(out + 2 * i + 64,
                            unmap16(_mm512_permutex2var_epi8(low, second, high), m));
    }
    return i;
}

std::size_t merge4(const std::uint8_t* const* planes, Mapping m, std::size_t n,
                   std::uint8_t* out) noexcept {
    // Within 128-bit lanes, unpacks give words 16L + 4j + ...; lanes are put in order at the end.
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i b3 = load512(planes[0] + i), b2 = load512(planes[1] + i);
        const __m512i b1 = load512(planes[2] + i), b0 = load512(planes[3] + i);
        const __m512i low0 = _mm512_unpacklo_epi8(b0, b1), low1 = _mm512_unpackhi_epi8(b0, b1);
        const __m512i high0 = _mm512_unpacklo_epi8(b2, b3), high1 = _mm512_unpackhi_epi8(b2, b3);
        const __m512i w0 = _mm512_unpacklo_epi16(low0, high0);  // words 0-3, 16-19, 32-35, 48-51
        const __m512i w1 = _mm512_unpackhi_epi16(low0, high0);  // words 4-7, ...
        const __m512i w2 = _mm512_unpacklo_epi16(low1, high1);
        const __m512i w3 = _mm512_unpackhi_epi16(low1, high1);
        const __m512i a = _mm512_shuffle_i32x4(w0, w1, 0x44);  // 0-3 16-19 | 4-7 20-23
        const __m512i b = _mm512_shuffle_i32x4(w2, w3, 0x44);
        const __m512i c = _mm512_shuffle_i32x4(w0, w1, 0xEE);
        const __m512i d = _mm512_shuffle_i32x4(w2, w3, 0xEE);
        std::uint8_t* o = out + 4 * i;
        _mm512_storeu_si512(o, unmap32(_mm512_shuffle_i32x4(a, b, 0x88), m));
        _mm512_storeu_si512(o + 64, unmap32(_mm512_shuffle_i32x4(a, b, 0xDD), m));
        _mm512_storeu_si512(o + 128, unmap32(_mm512_shuffle_i32x4(c, d, 0x88), m));
        _mm512_storeu_si512(o + 192, unmap32(_mm512_shuffle_i32x4(c, d, 0xDD), m));
    }
    return i;
}

std::size_t split2(const std::uint8_t* in, Mapping m, std::size_t n,
                   std::uint8_t* const* planes) noexcept {
    const __m512i odd = indices([](unsigned k) { return 2 * k + 1; });
    const __m512i even = indices([](unsigned k) { return 2 * k; });
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i a = map16(load512(in + 2 * i), m);
        const __m512i b = map16(load512(in + 2 * i + 64), m);
        _mm512_storeu_si512(planes[0] + i, _mm512_permutex2var_epi8(a, odd, b));
        _mm512_storeu_si512(planes[1] + i, _mm512_permutex2var_epi8(a, even, b));
    }
    return i;
}

std::size_t split4(const std::uint8_t* in, Mapping m, std::size_t n,
                   std::uint8_t* const* planes) noexcept {
    // Each register's bytes sorted by plane: plane k is its 128-bit lane k.
    const __m512i sort = indices([](unsigned k) { return k % 16 * 4 + 3 - k / 16; });
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i w[4];
        for (int k = 0; k < 4; ++k) {
            w[k] = _mm512_permutexvar_epi8(sort, map32(load512(in + 4 * i + 64 * k), m));
        }
        const __m512i a = _mm512_shuffle_i32x4(w[0], w[1], 0x44);  // p0 p1 | p0 p1
        const __m512i b = _mm512_shuffle_i32x4(w[2], w[3], 0x44);
        const __m512i c = _mm512_shuffle_i32x4(w[0], w[1], 0xEE);  // p2 p3 | p2 p3
        const __m512i d = _mm512_shuffle_i32x4(w[2], w[3], 0xEE);
        _mm512_storeu_si512(planes[0] + i, _mm512_shuffle_i32x4(a, b, 0x88));
        _mm512_storeu_si512(planes[1] + i, _mm512_shuffle_i32x4(a, b, 0xDD));
        _mm512_storeu_si512(planes[2] + i, _mm512_shuffle_i32x4(c, d, 0x88));
        _mm512_storeu_si512(planes[3] + i, _mm512_shuffle_i32x4(c, d, 0xDD));
    }
    return i;
}

}  // namespace

void merge_planes_avx512(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                         std::size_t n, std::uint8_t* out) {
    std::size_t done = 0;
    if (bytes == 2) done = merge2(planes, m, n, out);
    if (bytes == 4) done = merge4(planes, m, n, out);
    const std::uint8_t* rest[8];
    for (std::size_t k = 0; k < bytes; ++k) rest[k] = planes[k] + done;
    merge_planes_portable(rest, bytes, m, n - done, out + done * bytes);
}

void split_planes_avx512(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
                         std::uint8_t* const* planes) {
    std::size_t done = 0;
    if (bytes == 2) done = split2(in, m, n, planes);
    if (bytes == 4) done = split4(in, m, n, planes);
    std::uint8_t* rest[8];
    for (std::size_t k = 0; k < bytes; ++k) rest[k] = planes[k] + done;
    split_planes_portable(in + done * bytes, bytes, m, n - done, rest);
}

}  // namespace qc

QC_TARGET_END
#endif
