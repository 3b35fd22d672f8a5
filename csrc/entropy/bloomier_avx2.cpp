// entropy/bloomier_avx2.cpp - windows of `bloomier`, 32 positions at a time.
//
// A tile becomes the products with all low and all high nibbles: two shuffles multiply 16 positions. The
// tables of the tiles in reach lie in a ring, written twice, so that successive ones are contiguous.
#include "entropy/bloomier.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt")

namespace qc::bloomier {
namespace {

constexpr std::uint32_t kRing = 32;
constexpr std::size_t kTable = 32;  // bytes
constexpr std::size_t kAbove = 2 * kRing * kTable;

[[gnu::always_inline]] inline void fill_nibbles(const std::uint8_t* tile, unsigned r, std::uint8_t* ring,
                                                std::uint32_t at) noexcept {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    std::uint64_t planes = 0;
    std::memcpy(&planes, tile, r);
    std::uint64_t table[4];
    for (unsigned h = 0; h < 2; ++h) {
        std::uint64_t x = _pext_u64(planes, kOnes << (4 * h)) << 8;
        x |= (x ^ _pext_u64(planes, kOnes << (4 * h + 1)) * 0x0101) << 16;
        x = (x & 0xFFFFFFFF) | (x ^ _pext_u64(planes, kOnes << (4 * h + 2)) * 0x01010101) << 32;
        table[2 * h] = x;
        table[2 * h + 1] = x ^ _pext_u64(planes, kOnes << (4 * h + 3)) * kOnes;
    }
    std::memcpy(ring + at % kRing * kTable, table, kTable);
    std::memcpy(ring + (kRing + at % kRing) * kTable, table, kTable);
}

[[gnu::always_inline]] inline __m256i mix_words(__m256i x) noexcept {
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(static_cast<int>(kMul1)));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(static_cast<int>(kMul2)));
    return _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
}

[[gnu::always_inline]] inline __m256i two_tables(const std::uint8_t* a, const std::uint8_t* b) noexcept {
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(a))),
        _mm_load_si128(reinterpret_cast<const __m128i*>(b)), 1);
}

// Of 32 positions whose tables begin at `a` and, of the second sixteen, at `b`; added to y.
[[gnu::always_inline]] inline __m256i add_products(__m256i y, const __m256i* c, const std::uint8_t* a,
                                                   const std::uint8_t* b) noexcept {
    const __m256i nibble = _mm256_set1_epi8(15);
#pragma GCC unroll 8
    for (std::size_t j = 0; j < 8; ++j) {
        const __m256i low = two_tables(a + j * kTable, b + j * kTable);
        const __m256i high = two_tables(a + j * kTable + 16, b + j * kTable + 16);
        y = _mm256_xor_si256(y, _mm256_shuffle_epi8(low, _mm256_and_si256(c[j], nibble)));
        y = _mm256_xor_si256(y, _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(c[j], 4), nibble)));
    }
    return y;
}

template <bool kWide>
void decode_window(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    const __m256i words = _mm256_set1_epi8(static_cast<char>((1u << s.r) - 1));
    const __m256i words_above = _mm256_set1_epi8(static_cast<char>(((1u << s.r) - 1) >> 8));
    const __m256i lanes = _mm256_add_epi32(
        _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3), _mm256_set1_epi32(static_cast<int>(4 * kPhi))),
        _mm256_set1_epi32(static_cast<int>(s.seed)));
    const __m256i zero = _mm256_set1_epi8(static_cast<char>(s.zero));
    const __m256i beyond = _mm256_set1_epi8(static_cast<char>(kBeyond));
    const unsigned rounds = (s.n_values + 15) / 16;
    alignas(16) std::uint8_t symbols[256] = {};
    for (unsigned w = 0; w < s.n_values; ++w) symbols[w] = s.symbol_of[w] ^ s.zero;

    for (std::size_t i = 0; i < blocks; i += 2) {
        const bool two = i + 1 < blocks;
        const std::uint32_t t0 = s.start(first + i), t1 = two ? s.start(first + i + 1) : t0;
        if (s.ready < t0) s.ready = t0;
        for (; s.ready < t1 + kRowTiles; ++s.ready) {
            const std::uint8_t* const tile = s.tile(s.ready);
            fill_nibbles(tile, kWide ? 8 : s.r, s.tables, s.ready);
            if constexpr (kWide) fill_nibbles(tile + 8, s.r - 8, s.tables + kAbove, s.ready);
        }
        const std::uint8_t* const a = s.tables + t0 % kRing * kTable;
        const std::uint8_t* const b = a + (t1 - t0) * kTable;
        const std::uint32_t q0 = order[i], q1 = order[i + 1];
        const auto base = [&](std::uint32_t q) {
            return _mm_set1_epi32(static_cast<int>((static_cast<std::uint32_t>(first) + q) * 16 * kPhi));
        };
        const __m256i x = _mm256_add_epi32(lanes, _mm256_set_m128i(base(q1), base(q0)));
        __m256i c[8];
#pragma GCC unroll 4
        for (std::uint32_t j = 0; j < 4; ++j) {
            c[j] = mix_words(_mm256_add_epi32(x, _mm256_set1_epi32(static_cast<int>(j * kPhi))));
        }
        c[4] = _mm256_alignr_epi8(c[0], c[0], kTurn[0]);
        c[5] = _mm256_alignr_epi8(c[1], c[1], kTurn[1]);
        c[6] = _mm256_alignr_epi8(c[2], c[2], kTurn[2]);
        c[7] = _mm256_alignr_epi8(c[3], c[3], kTurn[3]);
        const __m256i mask = _mm256_xor_si256(c[0], _mm256_and_si256(c[1], c[2]));
        __m256i y = _mm256_and_si256(add_products(mask, c, a, b), words);
        if constexpr (kWide) {
            __m256i above = _mm256_xor_si256(c[1], _mm256_and_si256(c[2], c[3]));
            above = _mm256_and_si256(add_products(above, c, a + kAbove, b + kAbove), words_above);
            y = _mm256_blendv_epi8(beyond, y, _mm256_cmpeq_epi8(above, _mm256_setzero_si256()));
        }
        // Words of each sixteen symbols in turn; a shuffle gives 0 where an index has its top bit.
        __m256i out = zero;
        for (unsigned k = 0; k < rounds; ++k) {
            const __m256i table = _mm256_broadcastsi128_si256(
                _mm_load_si128(reinterpret_cast<const __m128i*>(symbols + 16 * k)));
            const __m256i index = _mm256_sub_epi8(y, _mm256_set1_epi8(static_cast<char>(16 * k)));
            out = _mm256_xor_si256(out, _mm256_shuffle_epi8(table, _mm256_adds_epu8(index, _mm256_set1_epi8(0x70))));
        }
        _mm_store_si128(reinterpret_cast<__m128i*>(s.out + q0 * kBlockSize), _mm256_castsi256_si128(out));
        if (two) {
            _mm_store_si128(reinterpret_cast<__m128i*>(s.out + q1 * kBlockSize), _mm256_extracti128_si256(out, 1));
        }
    }
}

}  // namespace

void window_avx2(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    if (s.r > 8) return decode_window<true>(s, first, blocks, order);
    decode_window<false>(s, first, blocks, order);
}

}  // namespace qc::bloomier

QC_TARGET_END
#endif
