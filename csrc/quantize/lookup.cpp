#include "quantize/lookup.hpp"

#include <cstring>

#include "core/bytes.hpp"
#include "simd/byte_table_avx2.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {
namespace {

template <class T>
void lookup_items(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* table,
                  std::uint8_t* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        store(out + i * sizeof(T), load<T>(table + symbols[i] * sizeof(T)));
    }
}

void lookup_portable(const std::uint8_t* symbols, unsigned, std::size_t n, const std::uint8_t* table,
                     std::size_t item, std::uint8_t* out) {
    switch (item) {
        case 2: lookup_items<std::uint16_t>(symbols, n, table, out); break;
        case 4: lookup_items<std::uint32_t>(symbols, n, table, out); break;
        default: lookup_items<std::uint64_t>(symbols, n, table, out); break;
    }
}

// Returns the bits that some element has. Every call of a lookup begins with this: loops that become vectors.
template <class T>
T split_items(const std::uint8_t* __restrict table, std::uint8_t* __restrict planes) noexcept {
    T all = 0;
    for (unsigned s = 0; s < 256; ++s) all |= load<T>(table + s * sizeof(T));
    for (std::size_t k = 0; k < sizeof(T); ++k) {
        for (unsigned s = 0; s < 256; ++s) {
            planes[256 * k + s] = static_cast<std::uint8_t>(load<T>(table + s * sizeof(T)) >> (8 * k));
        }
    }
    return all;
}

#if QC_X86
QC_TARGET("avx2")
// The two upper bytes of each of the first 64 elements, apart.
struct UpperBytes {
    alignas(32) std::uint8_t planes[2][64];
    unsigned lower = 0;  // what the other bytes have

    UpperBytes(const std::uint8_t* table, std::size_t item) noexcept {
        if (item == 2) {
            fill<std::uint16_t>(table);
        } else {
            fill<std::uint32_t>(table);
        }
    }

private:
    template <class T>
    void fill(const std::uint8_t* table) noexcept {
        constexpr unsigned kShift = 8 * (sizeof(T) - 2);
        T all = 0;
        for (unsigned k = 0; k < 64; ++k) {
            const T element = load<T>(table + k * sizeof(T));
            all |= element;
            planes[0][k] = static_cast<std::uint8_t>(element >> kShift);
            planes[1][k] = static_cast<std::uint8_t>(element >> (kShift + 8));
        }
        lower = all & ((1u << kShift) - 1);
    }
};

// Elements that have no other bytes; returns for how many.
template <unsigned kBits, std::size_t kItem>
std::size_t lookup_upper(const std::uint8_t* symbols, std::size_t n, const UpperBytes& bytes,
                         std::uint8_t* out) noexcept {
    const ByteTable<kBits> low(bytes.planes[0]);
    const ByteTable<kBits> high(bytes.planes[1]);
    const __m256i zero = _mm256_setzero_si256();
    // So that what is unpacked within halves of registers lies in order.
    const __m256i order = kItem == 2 ? _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7)
                                     : _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i at = _mm256_permutevar8x32_epi32(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols + i)), order);
        const __m256i first = low.at(at);
        const __m256i second = high.at(at);
        const __m256i pairs[2] = {_mm256_unpacklo_epi8(first, second), _mm256_unpackhi_epi8(first, second)};
        auto* to = reinterpret_cast<__m256i*>(out + i * kItem);
        for (const __m256i pair : pairs) {
            if constexpr (kItem == 2) {
                _mm256_storeu_si256(to++, pair);
            } else {
                _mm256_storeu_si256(to++, _mm256_unpacklo_epi16(zero, pair));
                _mm256_storeu_si256(to++, _mm256_unpackhi_epi16(zero, pair));
            }
        }
    }
    return i;
}

template <std::size_t kItem>
std::size_t lookup_upper(const std::uint8_t* symbols, unsigned bits, std::size_t n, const UpperBytes& bytes,
                         std::uint8_t* out) noexcept {
    return bits <= 4   ? lookup_upper<4, kItem>(symbols, n, bytes, out)
           : bits == 5 ? lookup_upper<5, kItem>(symbols, n, bytes, out)
                       : lookup_upper<6, kItem>(symbols, n, bytes, out);
}

// Tables of up to 16 entries of four bytes lie in two registers; returns for how many.
std::size_t lookup_words(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* table, std::uint8_t* out) noexcept {
    const __m256 low = _mm256_loadu_ps(reinterpret_cast<const float*>(table));
    const __m256 high = _mm256_loadu_ps(reinterpret_cast<const float*>(table) + 8);
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(symbols + i)));
        const __m256 is_high = _mm256_castsi256_ps(_mm256_slli_epi32(at, 28));
        _mm256_storeu_ps(reinterpret_cast<float*>(out + 4 * i),
                         _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, at), _mm256_permutevar8x32_ps(high, at), is_high));
    }
    return i;
}

// Tables of up to 64 entries of two bytes lie in registers, by bytes.
void lookup_avx2(const std::uint8_t* symbols, unsigned bits, std::size_t n, const std::uint8_t* table,
                 std::size_t item, std::uint8_t* out) {
    std::size_t i = 0;
    if (bits <= 6 && item <= 4 && n >= 32) {
        const UpperBytes bytes(table, item);
        if (item == 2) {
            i = lookup_upper<2>(symbols, bits, n, bytes, out);
        } else if (bytes.lower == 0) {
            i = lookup_upper<4>(symbols, bits, n, bytes, out);
        } else if (bits <= 4) {
            i = lookup_words(symbols, n, table, out);
        }
    }
    if (item == 4) {
        const int* const base = reinterpret_cast<const int*>(table);
        for (; i + 8 <= n; i += 8) {
            const __m256i at = _mm256_cvtepu8_epi32(
                _mm_loadl_epi64(reinterpret_cast<const __m128i*>(symbols + i)));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 4 * i),
                                _mm256_i32gather_epi32(base, at, 4));
        }
    }
    lookup_rest(symbols, i, n, table, item, out);
}
QC_TARGET_END
#endif

}  // namespace

bool split_bytes(const std::uint8_t* table, std::size_t item, std::uint8_t* planes) noexcept {
    if (item == 2) {
        split_items<std::uint16_t>(table, planes);
        return false;
    }
    return (split_items<std::uint32_t>(table, planes) & 0xFFFF) == 0;
}

void lookup_rest(const std::uint8_t* symbols, std::size_t begin, std::size_t end, const std::uint8_t* table,
                 std::size_t item, std::uint8_t* out) noexcept {
    lookup_portable(symbols + begin, 8, end - begin, table, item, out + begin * item);
}

#if QC_X86
constinit const Variants<LookupFn> lookup{lookup_portable, lookup_avx2, lookup_avx512};
#else
constinit const Variants<LookupFn> lookup{lookup_portable};
#endif

}  // namespace qc
