// entropy/bloomier_rounds_avx512.hpp - windows of `bloomier`, 64 positions at a time: a tile is a matrix of
// 8 x 8 bits, and an instruction multiplies it with the bytes of eight positions.
//
// A step is a chain of 30 cycles to the hashes of four blocks and one of 45 from there to their symbols: the hashes of
// the next blocks go beside the tiles of these. Code here is compiled for AVX-512: include it only inside a region of
// that target.
#pragma once

#include "entropy/bloomier.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace qc::bloomier {
namespace {

[[gnu::always_inline]] inline __m512i mix_words(__m512i x) noexcept {
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(kMul1)));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(kMul2)));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

// f with the least of the widths that loops are compiled for.
template <class F>
auto with_word_bits(unsigned r, F f) noexcept {
    if (r <= 6) return f.template operator()<6>();
    return r <= 8 ? f.template operator()<8>() : f.template operator()<16>();
}

// Words, in the low r bits of bytes, to symbols. kSplit tables of 64.
template <unsigned kSplit>
struct SymbolTable {
    __m512i part[kSplit];

    explicit SymbolTable(const State& s) noexcept {
        for (std::size_t k = 0; k < kSplit; ++k) part[k] = _mm512_load_si512(s.symbol_of + 64 * k);
    }
    [[gnu::always_inline]] __m512i operator()(__m512i word) const noexcept {
        if constexpr (kSplit == 1) return _mm512_permutexvar_epi8(word, part[0]);
        if constexpr (kSplit == 4) {
            const __m512i low = _mm512_permutex2var_epi8(part[0], word, part[1]);
            return _mm512_mask_blend_epi8(_mm512_movepi8_mask(word), low,
                                          _mm512_permutex2var_epi8(part[2], word, part[3]));
        }
    }
};

// Tiles of r bytes to matrices, whose rows go from the highest bit down: planes first .. first + 7 of words.
struct Matrices {
    __m512i rows;
    __mmask64 kept;

    Matrices(unsigned r, unsigned first) noexcept {
        alignas(64) std::uint8_t from[64];
        std::uint64_t present = 0;
        for (unsigned k = 0; k < 64; ++k) {
            const unsigned plane = first + 7 - k % 8;
            from[k] = static_cast<std::uint8_t>(plane < r ? k / 8 * r + plane : 0);
            if (plane < r) present |= std::uint64_t{1} << k;
        }
        rows = _mm512_load_si512(from);
        kept = _cvtu64_mask64(present);
    }
    template <bool kWide>
    [[gnu::always_inline]] __m512i of(const std::uint8_t* tiles) const noexcept {
        const __m512i low = _mm512_loadu_si512(tiles);
        if constexpr (!kWide) return _mm512_maskz_permutexvar_epi8(kept, rows, low);
        return _mm512_maskz_permutex2var_epi8(kept, low, rows, _mm512_loadu_si512(tiles + 64));
    }
};

// Starts of four blocks are at most six tiles apart, so that two registers hold all that are asked for.
template <int kTile>
[[gnu::always_inline]] inline __m512i product(__m512i bytes, __m512i low, __m512i high, __m512i at) noexcept {
    const __m512i tiles = _mm512_add_epi64(at, _mm512_set1_epi64(kTile));
    return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_permutex2var_epi64(low, tiles, high), 0);
}

[[gnu::always_inline]] inline __m512i sum_of_3(__m512i a, __m512i b, __m512i c) noexcept {
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

// Products of the columns c with tiles at .. at + 7, added to a mask.
[[gnu::always_inline]] inline __m512i add_products(__m512i mask, const __m512i* c, __m512i low, __m512i high,
                                                   __m512i at) noexcept {
    const __m512i y0 = sum_of_3(mask, product<0>(c[0], low, high, at), product<1>(c[1], low, high, at));
    const __m512i y1 = sum_of_3(product<2>(c[2], low, high, at), product<3>(c[3], low, high, at),
                                product<4>(c[4], low, high, at));
    const __m512i y2 = sum_of_3(product<5>(c[5], low, high, at), product<6>(c[6], low, high, at),
                                product<7>(c[7], low, high, at));
    return sum_of_3(y0, y1, y2);
}

// Words of at most kBits bits: 6, 8 or 16. Calls between(i) before it decodes blocks i .. i + 3: what that does fills
// the time in which those wait for hashes and matrices.
template <unsigned kBits, class Between>
[[gnu::always_inline]] inline void decode_window(const State& s, std::size_t first, std::size_t blocks,
                                                 const std::uint16_t* order, std::uint8_t* out,
                                                 Between between) noexcept {
    constexpr bool kWide = kBits > 8;
    const Matrices matrices(s.r, 0), above(s.r, 8);
    const __m512i block_of = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i quad_of = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i lanes = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3),
                           _mm512_set1_epi32(static_cast<int>(4 * kPhi))),
        _mm512_set1_epi32(static_cast<int>(s.seed + static_cast<std::uint32_t>(first) * 16 * kPhi)));
    const __m512i per_block = _mm512_set1_epi32(static_cast<int>(16 * kPhi));
    const SymbolTable<kBits <= 6 ? 1 : 4> to_symbol(s);
    const __m512i beyond = _mm512_set1_epi8(static_cast<char>(kBeyond));
    const __m512i words_above = _mm512_set1_epi8(static_cast<char>(((1u << s.r) - 1) >> 8));
    // Stores of bytes may change anything but these.
    const unsigned bucket = s.bucket, r = s.r;
    const std::size_t inside_mask = (std::size_t{1} << bucket) - 1, tail_first = s.tail_first;
    const std::uint32_t* const starts = s.starts;
    const std::uint8_t* const tiles = s.tiles;
    const std::uint8_t* const tail = s.tail;

    const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(bucket));

    // Hashed bytes of four blocks: of the next ones while these wait for their tiles.
    const auto hashed = [&](std::size_t i, __m512i* c) __attribute__((always_inline)) {
        std::uint64_t four = 0;
        std::memcpy(&four, order + i, sizeof four);
        const __m512i q = _mm512_permutexvar_epi32(
            quad_of, _mm512_castsi128_si512(_mm_cvtepu16_epi32(_mm_cvtsi64_si128(static_cast<long long>(four)))));
        const __m512i x = _mm512_add_epi32(_mm512_mullo_epi32(q, per_block), lanes);
#pragma GCC unroll 4
        for (std::uint32_t j = 0; j < 4; ++j) {
            c[j] = mix_words(_mm512_add_epi32(x, _mm512_set1_epi32(static_cast<int>(j * kPhi))));
        }
    };
    __m512i next[4];
    hashed(0, next);

    for (std::size_t i = 0; i < blocks; i += 4) {
        __m512i c[8] = {next[0], next[1], next[2], next[3]};
        hashed(i + 4, next);
        between(i);
        // Four blocks lie in one bucket, for it holds a multiple of them.
        const std::size_t b = (first + i) >> bucket;
        const std::uint64_t advance = starts[b + 1] - starts[b];
        const std::uint64_t before = ((first + i) & inside_mask) * advance;
        const std::uint64_t off = before >> bucket;
        const std::size_t t = starts[b] + off;
        const std::uint8_t* const tile = t < tail_first ? tiles + t * r : tail + (t - tail_first) * r;
        // Of the four blocks: the start, from this one's.
        __m512i at = _mm512_mul_epu32(block_of, _mm512_set1_epi64(static_cast<long long>(advance)));
        at = _mm512_add_epi64(at, _mm512_set1_epi64(static_cast<long long>(before & inside_mask)));
        at = _mm512_srl_epi64(at, shift);

        c[4] = _mm512_alignr_epi8(c[0], c[0], kTurn[0]);
        c[5] = _mm512_alignr_epi8(c[1], c[1], kTurn[1]);
        c[6] = _mm512_alignr_epi8(c[2], c[2], kTurn[2]);
        c[7] = _mm512_alignr_epi8(c[3], c[3], kTurn[3]);
        const auto part = [&](const Matrices& m, std::size_t j) __attribute__((always_inline)) {
            const __m512i mask = _mm512_ternarylogic_epi32(c[j], c[j + 1], c[j + 2], 0x78);  // a ^ (b & c)
            return add_products(mask, c, m.of<kWide>(tile), m.of<kWide>(tile + 8 * r), at);
        };
        __m512i word = part(matrices, 0);
        if constexpr (kWide) {
            word = _mm512_mask_mov_epi8(word, _mm512_test_epi8_mask(part(above, 1), words_above), beyond);
        }
        const __m512i y = to_symbol(word);
        const auto put = [&](std::size_t k, __m128i symbols) {
            _mm_store_si128(reinterpret_cast<__m128i*>(out + order[i + k] * kBlockSize), symbols);
        };
        put(0, _mm512_castsi512_si128(y));
        if (i + 1 < blocks) put(1, _mm512_extracti32x4_epi32(y, 1));
        if (i + 2 < blocks) put(2, _mm512_extracti32x4_epi32(y, 2));
        if (i + 3 < blocks) put(3, _mm512_extracti32x4_epi32(y, 3));
    }
}

}  // namespace
}  // namespace qc::bloomier

QC_TARGET_END
#endif
