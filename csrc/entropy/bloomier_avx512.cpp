// entropy/bloomier_avx512.cpp - windows of `bloomier`, 64 positions at a time: a tile is a matrix of
// 8 x 8 bits, and an instruction multiplies it with the bytes of eight positions.
#include "entropy/bloomier.hpp"

#if QC_X86
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,gfni")

namespace qc::bloomier {
namespace {

[[gnu::always_inline]] inline __m512i mix_words(__m512i x) noexcept {
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(kMul1)));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(kMul2)));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

// Words, in the low r bits of bytes, to symbols.
struct SymbolTable {
    __m512i part[4];
    unsigned r;

    explicit SymbolTable(const State& s) noexcept : r(s.r) {
        for (std::size_t k = 0; k < 4; ++k) part[k] = _mm512_load_si512(s.symbol_of + 64 * k);
    }
    [[gnu::always_inline]] __m512i operator()(__m512i word) const noexcept {
        if (r <= 6) return _mm512_permutexvar_epi8(word, part[0]);
        const __m512i low = _mm512_permutex2var_epi8(part[0], word, part[1]);
        if (r == 7) return low;
        return _mm512_mask_blend_epi8(_mm512_movepi8_mask(word), low,
                                      _mm512_permutex2var_epi8(part[2], word, part[3]));
    }
};

}  // namespace

void window_avx512(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    // Tiles of r bytes to matrices, whose rows go from the highest bit down.
    alignas(64) std::uint8_t rows[64];
    std::uint64_t present = 0;
    for (unsigned k = 0; k < 64; ++k) {
        const unsigned plane = 7 - k % 8;
        rows[k] = static_cast<std::uint8_t>(plane < s.r ? k / 8 * s.r + plane : 0);
        if (plane < s.r) present |= std::uint64_t{1} << k;
    }
    const __m512i spread = _mm512_load_si512(rows);
    const __mmask64 kept = _cvtu64_mask64(present);
    const __m512i block_of = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i quad_of = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i lanes = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3),
                           _mm512_set1_epi32(static_cast<int>(4 * kPhi))),
        _mm512_set1_epi32(static_cast<int>(s.seed + static_cast<std::uint32_t>(first) * 16 * kPhi)));
    const __m512i per_block = _mm512_set1_epi32(static_cast<int>(16 * kPhi));
    const SymbolTable to_symbol(s);
    const std::size_t per_bucket = std::size_t{1} << s.bucket;

    for (std::size_t i = 0; i < blocks; i += 4) {
        // Four blocks lie in one bucket, for it holds a multiple of them.
        const std::size_t b = (first + i) >> s.bucket, inside = (first + i) & (per_bucket - 1);
        const std::uint64_t advance = s.starts[b + 1] - s.starts[b];
        const std::uint64_t before = inside * advance;
        const std::uint64_t off = before >> s.bucket;
        const std::uint8_t* const tile = s.tile(s.starts[b] + off);
        const __m512i low = _mm512_maskz_permutexvar_epi8(kept, spread, _mm512_loadu_si512(tile));
        const __m512i high = _mm512_maskz_permutexvar_epi8(kept, spread, _mm512_loadu_si512(tile + 8 * s.r));
        __m512i at = _mm512_add_epi64(_mm512_mul_epu32(block_of, _mm512_set1_epi64(static_cast<long long>(advance))),
                                      _mm512_set1_epi64(static_cast<long long>(before)));
        at = _mm512_sub_epi64(_mm512_srli_epi64(at, s.bucket), _mm512_set1_epi64(static_cast<long long>(off)));

        std::uint64_t four = 0;
        std::memcpy(&four, order + i, sizeof four);
        const __m512i q = _mm512_permutexvar_epi32(
            quad_of, _mm512_castsi128_si512(_mm_cvtepu16_epi32(_mm_cvtsi64_si128(static_cast<long long>(four)))));
        const __m512i x = _mm512_add_epi32(_mm512_mullo_epi32(q, per_block), lanes);
        __m512i c[8];
#pragma GCC unroll 4
        for (std::uint32_t j = 0; j < 4; ++j) {
            c[j] = mix_words(_mm512_add_epi32(x, _mm512_set1_epi32(static_cast<int>(j * kPhi))));
        }
        c[4] = _mm512_alignr_epi8(c[0], c[0], kTurn[0]);
        c[5] = _mm512_alignr_epi8(c[1], c[1], kTurn[1]);
        c[6] = _mm512_alignr_epi8(c[2], c[2], kTurn[2]);
        c[7] = _mm512_alignr_epi8(c[3], c[3], kTurn[3]);
        __m512i y = _mm512_ternarylogic_epi32(c[0], c[1], c[2], 0x78);  // c0 ^ (c1 & c2)
#pragma GCC unroll 8
        for (long long j = 0; j < 8; ++j) {
            const __m512i matrix =
                _mm512_permutex2var_epi64(low, _mm512_add_epi64(at, _mm512_set1_epi64(j)), high);
            y = _mm512_xor_si512(y, _mm512_gf2p8affine_epi64_epi8(c[j], matrix, 0));
        }
        y = to_symbol(y);
        const auto put = [&](std::size_t k, __m128i symbols) {
            _mm_store_si128(reinterpret_cast<__m128i*>(s.out + order[i + k] * kBlockSize), symbols);
        };
        put(0, _mm512_castsi512_si128(y));
        if (i + 1 < blocks) put(1, _mm512_extracti32x4_epi32(y, 1));
        if (i + 2 < blocks) put(2, _mm512_extracti32x4_epi32(y, 2));
        if (i + 3 < blocks) put(3, _mm512_extracti32x4_epi32(y, 3));
    }
}

}  // namespace qc::bloomier

#pragma GCC pop_options
#endif
