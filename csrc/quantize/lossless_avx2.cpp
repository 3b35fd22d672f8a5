// quantize/lossless_avx2.cpp - planes of 2- and 4-byte words, 32 and 16 words a step.
//
// Other word sizes are rare in models and go the portable way.
#include "quantize/lossless.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2")

namespace qc {
namespace {

inline __m256i load256(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline void store256(std::uint8_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
inline __m128i load128(const std::uint8_t* p) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

inline __m256i unmap16(__m256i y, Mapping m) noexcept {
    const __m256i half = _mm256_srli_epi16(y, 1);
    if (m == Mapping::kRotate) return _mm256_or_si256(half, _mm256_slli_epi16(y, 15));
    if (m == Mapping::kZigzag) {
        const __m256i odd = _mm256_and_si256(y, _mm256_set1_epi16(1));
        return _mm256_xor_si256(half, _mm256_sub_epi16(_mm256_setzero_si256(), odd));
    }
    return y;
}
inline __m256i unmap32(__m256i y, Mapping m) noexcept {
    const __m256i half = _mm256_srli_epi32(y, 1);
    if (m == Mapping::kRotate) return _mm256_or_si256(half, _mm256_slli_epi32(y, 31));
    if (m == Mapping::kZigzag) {
        const __m256i odd = _mm256_and_si256(y, _mm256_set1_epi32(1));
        return _mm256_xor_si256(half, _mm256_sub_epi32(_mm256_setzero_si256(), odd));
    }
    return y;
}
inline __m256i map16(__m256i x, Mapping m) noexcept {
    const __m256i twice = _mm256_add_epi16(x, x);
    if (m == Mapping::kRotate) return _mm256_or_si256(twice, _mm256_srli_epi16(x, 15));
    if (m == Mapping::kZigzag) return _mm256_xor_si256(twice, _mm256_srai_epi16(x, 15));
    return x;
}
inline __m256i map32(__m256i x, Mapping m) noexcept {
    const __m256i twice = _mm256_add_epi32(x, x);
    if (m == Mapping::kRotate) return _mm256_or_si256(twice, _mm256_srli_epi32(x, 31));
    if (m == Mapping::kZigzag) return _mm256_xor_si256(twice, _mm256_srai_epi32(x, 31));
    return x;
}

std::size_t merge2(const std::uint8_t* const* planes, Mapping m, std::size_t n,
                   std::uint8_t* out) noexcept {
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        // Quadwords 0 2 1 3, so that the unpacks within lanes give words in order.
        const __m256i high = _mm256_permute4x64_epi64(load256(planes[0] + i), 0xD8);
        const __m256i low = _mm256_permute4x64_epi64(load256(planes[1] + i), 0xD8);
        store256(out + 2 * i, unmap16(_mm256_unpacklo_epi8(low, high), m));
        store256(out + 2 * i + 32, unmap16(_mm256_unpackhi_epi8(low, high), m));
    }
    return i;
}

std::size_t merge4(const std::uint8_t* const* planes, Mapping m, std::size_t n,
                   std::uint8_t* out) noexcept {
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m128i b3 = load128(planes[0] + i), b2 = load128(planes[1] + i);
        const __m128i b1 = load128(planes[2] + i), b0 = load128(planes[3] + i);
        const __m128i low[2] = {_mm_unpacklo_epi8(b0, b1), _mm_unpackhi_epi8(b0, b1)};
        const __m128i high[2] = {_mm_unpacklo_epi8(b2, b3), _mm_unpackhi_epi8(b2, b3)};
        for (int k = 0; k < 2; ++k) {
            const __m256i words = _mm256_set_m128i(_mm_unpackhi_epi16(low[k], high[k]),
                                                   _mm_unpacklo_epi16(low[k], high[k]));
            store256(out + 4 * i + 32 * k, unmap32(words, m));
        }
    }
    return i;
}

std::size_t split2(const std::uint8_t* in, Mapping m, std::size_t n,
                   std::uint8_t* const* planes) noexcept {
    const __m256i low = _mm256_set1_epi16(0xFF);
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i a = map16(load256(in + 2 * i), m);
        const __m256i b = map16(load256(in + 2 * i + 32), m);
        const __m256i h = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
        const __m256i l = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
        store256(planes[0] + i, _mm256_permute4x64_epi64(h, 0xD8));
        store256(planes[1] + i, _mm256_permute4x64_epi64(l, 0xD8));
    }
    return i;
}

std::size_t split4(const std::uint8_t* in, Mapping m, std::size_t n,
                   std::uint8_t* const* planes) noexcept {
    // Each lane's bytes sorted by plane; then plane k is dword k of every lane.
    const __m256i sort = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(3, 7, 11, 15, 2, 6, 10, 14, 1, 5, 9, 13, 0, 4, 8, 12));
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i sorted = _mm256_shuffle_epi8(map32(load256(in + 4 * i), m), sort);
        const __m128i a = _mm256_castsi256_si128(sorted);
        const __m128i b = _mm256_extracti128_si256(sorted, 1);
        const __m128i p01 = _mm_unpacklo_epi32(a, b);
        const __m128i p23 = _mm_unpackhi_epi32(a, b);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(planes[0] + i), p01);
        _mm_storeh_pd(reinterpret_cast<double*>(planes[1] + i), _mm_castsi128_pd(p01));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(planes[2] + i), p23);
        _mm_storeh_pd(reinterpret_cast<double*>(planes[3] + i), _mm_castsi128_pd(p23));
    }
    return i;
}

}  // namespace

void merge_planes_avx2(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                       std::size_t n, std::uint8_t* out) {
    std::size_t done = 0;
    if (bytes == 2) done = merge2(planes, m, n, out);
    if (bytes == 4) done = merge4(planes, m, n, out);
    const std::uint8_t* rest[8];
    for (std::size_t k = 0; k < bytes; ++k) rest[k] = planes[k] + done;
    merge_planes_portable(rest, bytes, m, n - done, out + done * bytes);
}

void split_planes_avx2(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
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
