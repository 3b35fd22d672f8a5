// pipeline/profile_rows_avx512.cpp - transposes of 16 x 16 bytes in four registers.
#include "pipeline/profile_rows.hpp"

#if QC_X86
#include <immintrin.h>

#include "simd/indices_avx512.hpp"

QC_TARGET("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")

namespace qc {
namespace {

constexpr unsigned kRows = RowRuns::kRows;
constexpr std::size_t kTile = RowRuns::kTile;

// The same four bytes of four vectors side by side, dword 4l + k of them what is wanted in quarter l of register k.
[[gnu::always_inline]] inline __m512i fours() noexcept {
    return indices([](unsigned i) { return i % 4 * 16 + i / 4 % 4 * 4 + i / 16; });
}

// 16 vectors of 16 bytes, at(0) .. at(15), transposed, in order.
template <class At>
[[gnu::always_inline]] inline void transposed(At at, __m512i fours, __m512i (&to)[4]) noexcept {
    __m512i a[4];
#pragma GCC unroll 4
    for (unsigned k = 0; k < 4; ++k) {
        const auto load = [&](unsigned l) __attribute__((always_inline)) {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at(4 * k + l)));
        };
        a[k] = _mm512_castsi128_si512(load(0));
        a[k] = _mm512_inserti32x4(a[k], load(1), 1);
        a[k] = _mm512_inserti32x4(a[k], load(2), 2);
        a[k] = _mm512_inserti32x4(a[k], load(3), 3);
        a[k] = _mm512_permutexvar_epi8(fours, a[k]);
    }
    const __m512i b0 = _mm512_unpacklo_epi32(a[0], a[1]);
    const __m512i b1 = _mm512_unpackhi_epi32(a[0], a[1]);
    const __m512i b2 = _mm512_unpacklo_epi32(a[2], a[3]);
    const __m512i b3 = _mm512_unpackhi_epi32(a[2], a[3]);
    to[0] = _mm512_unpacklo_epi64(b0, b2);
    to[1] = _mm512_unpackhi_epi64(b0, b2);
    to[2] = _mm512_unpacklo_epi64(b1, b3);
    to[3] = _mm512_unpackhi_epi64(b1, b3);
}

// Quarter g of register k becomes quarter k of register g.
[[gnu::always_inline]] inline void transpose_quarters(__m512i (&a)[4]) noexcept {
    const __m512i b0 = _mm512_shuffle_i32x4(a[0], a[1], 0x44);
    const __m512i b1 = _mm512_shuffle_i32x4(a[2], a[3], 0x44);
    const __m512i b2 = _mm512_shuffle_i32x4(a[0], a[1], 0xEE);
    const __m512i b3 = _mm512_shuffle_i32x4(a[2], a[3], 0xEE);
    a[0] = _mm512_shuffle_i32x4(b0, b1, 0x88);
    a[1] = _mm512_shuffle_i32x4(b0, b1, 0xDD);
    a[2] = _mm512_shuffle_i32x4(b2, b3, 0x88);
    a[3] = _mm512_shuffle_i32x4(b2, b3, 0xDD);
}

// 64 columns, at these places, of `rows` rows.
[[gnu::always_inline]] inline void put_tile(const RowRuns& runs, const std::uint16_t* places, __m512i fours,
                                            std::size_t columns, unsigned rows, std::uint8_t* out) noexcept {
    __m512i part[4][4];  // 16 columns each of all rows
#pragma GCC unroll 4
    for (unsigned k = 0; k < 4; ++k) {
        transposed([&](unsigned c) __attribute__((always_inline)) {
            return runs.turned + std::size_t{places[16 * k + c]} * kRows;
        }, fours, part[k]);
    }
    const __mmask64 inside = _bzhi_u64(~0ull, static_cast<unsigned>(columns));
#pragma GCC unroll 4
    for (unsigned q = 0; q < 4; ++q) {
        __m512i a[4] = {part[0][q], part[1][q], part[2][q], part[3][q]};
        transpose_quarters(a);
#pragma GCC unroll 4
        for (unsigned g = 0; g < 4; ++g) {
            std::uint8_t* const to = out + (4 * q + g) * runs.length;
            if (rows == kRows && columns == kTile) {
                _mm512_storeu_si512(to, a[g]);
            } else if (4 * q + g < rows) {
                _mm512_mask_storeu_epi8(to, inside, a[g]);
            }
        }
    }
}

}  // namespace

// What is written beyond a run, the next one overwrites.
void turn_runs_avx512(const RowRuns& runs, unsigned sum, std::size_t from, std::size_t to) noexcept {
    const __m512i index = fours();
    std::uint8_t* const out = runs.turned + runs.first[sum] * kRows;
    for (std::size_t i = from; i < to; i += 16) {
        __m512i columns[4];
        transposed([&](unsigned r) __attribute__((always_inline)) { return runs.plane + runs.starts[r][sum] + i; },
                   index, columns);
#pragma GCC unroll 4
        for (unsigned k = 0; k < 4; ++k) _mm512_storeu_si512(out + i * kRows + 64 * k, columns[k]);
    }
}

void put_tiles_avx512(const RowRuns& runs, unsigned rows, std::size_t from, std::size_t to,
                      std::uint8_t* out) noexcept {
    const __m512i index = fours();
    std::size_t i = from;
    for (; i + kTile <= to; i += kTile) put_tile(runs, runs.places + i, index, kTile, rows, out + i);
    if (i == to) return;
    std::uint16_t places[kTile] = {};
    for (std::size_t k = i; k < to; ++k) places[k - i] = runs.places[k];
    put_tile(runs, places, index, to - i, rows, out + i);
}

}  // namespace qc

QC_TARGET_END
#endif
