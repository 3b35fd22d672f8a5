// quantize/lattice_avx2.cpp - points of z, d4 and e8 in float32, eight vectors at a time, without branches.
//
// Parities of eight vectors are a mask, which names the places of last coordinates; a cursor moves on by its ones.
#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include <algorithm>
#include <array>

#include "core/bytes.hpp"
#include "quantize/lattice_floats_avx2.hpp"
#include "simd/spread_avx2.hpp"

QC_TARGET("avx2,bmi,bmi2,popcnt")

namespace qc::lattice {
namespace {

// ---- z

void count_z(const State& s, std::size_t* counts) { counts[0] += s.vectors - s.cursors.vector; }

void next_z(const State& s, Cursors& cursors, std::size_t n, float scale, bool, float* out) {
    const std::uint8_t* const from = s.streams[0].symbols + cursors.last[0];
    const __m256i zeros = _mm256_set1_epi32(s.streams[0].zero);
    const __m256 scales = _mm256_set1_ps(scale);
    std::size_t v = 0;
    for (; v + 8 <= n; v += 8) {
        const __m256i m = _mm256_sub_epi32(
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + v))), zeros);
        _mm256_storeu_ps(out + v, _mm256_mul_ps(_mm256_cvtepi32_ps(m), scales));
    }
    cursors.vector += v;
    cursors.last[0] += v;
    if (v < n) kMergePortable[kZ].next(s, cursors, n - v, scale, false, out + v);
}

// ---- d4

struct D4Step {
    // Three symbols and an odd zero each: flipping once is flipping thrice.
    __m256i flip;

    explicit D4Step(const State& s) noexcept : flip(_mm256_set1_epi32(static_cast<int>(s.streams[0].zero << 31))) {}

    // Three symbols of each vector in place.
    [[gnu::always_inline]] static __m256i place(const std::uint8_t* from) noexcept {
        const __m256i threes = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
        return _mm256_shuffle_epi8(_mm256_set_m128i(load_16(from + 12), load_16(from)), threes);
    }
    // In sign bits: odd sums.
    [[gnu::always_inline]] __m256i odd_of(__m256i z) const noexcept {
        const __m256i sum = _mm256_xor_si256(_mm256_xor_si256(z, _mm256_srli_epi32(z, 8)), _mm256_srli_epi32(z, 16));
        return _mm256_xor_si256(_mm256_slli_epi32(sum, 31), flip);
    }
    [[gnu::always_inline]] static std::uint32_t mask_of(__m256i odd) noexcept {
        return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(odd)));
    }
};

void count_d4(const State& s, std::size_t* counts) {
    const D4Step step(s);
    const std::uint8_t* const from = s.streams[0].symbols;
    const std::size_t vectors = s.vectors;
    std::size_t n = 0;
    for (std::size_t v = 0; v < vectors; v += 8) {
        const std::uint32_t odd = step.mask_of(step.odd_of(step.place(from + 3 * v)));
        n += ones(vectors - v < 8 ? _bzhi_u32(odd, static_cast<unsigned>(vectors - v)) : odd);
    }
    counts[0] = vectors - n;
    counts[1] = n;
}

void next_d4(const State& s, Cursors& cursors, std::size_t n, float scale, bool, float* out) {
    const D4Step step(s);
    const std::uint8_t* from = s.streams[0].symbols + cursors.free[0];
    const std::uint8_t* last[2] = {s.streams[1].symbols + cursors.last[0], s.streams[1].symbols + cursors.last[1]};
    const Units units(1, s.streams[0].zero, 0x88, 2, s.streams[1].zero);
    const __m256 scales = _mm256_set1_ps(scale);
    std::size_t v = 0;
    for (; v + 8 <= n; v += 8) {
        const __m256i z = step.place(from);
        from += 24;
        const __m256i odd = step.odd_of(z);
        const std::uint32_t mask = step.mask_of(odd);
        const __m128i m = _mm_or_si128(spread_8(~mask, last[0]), spread_8(mask, last[1]));
        advance(last[0], 8 - ones(mask));
        advance(last[1], ones(mask));
        const __m256i all = _mm256_or_si256(z, _mm256_slli_epi32(_mm256_cvtepu8_epi32(m), 24));
        put_32(all, odd, units, scales, out + 4 * v);
    }
    cursors.vector += v;
    cursors.free[0] += 3 * v;
    for (unsigned k = 0; k < 2; ++k) cursors.last[k] = static_cast<std::size_t>(last[k] - s.streams[1].symbols);
    if (v < n) kMergePortable[kD4].next(s, cursors, n - v, scale, false, out + 4 * v);
}

// ---- e8

// [h]: where the seven symbols of each of eight vectors, of bits h, stand among those of the same bit.
constexpr std::array<std::uint64_t, 256> make_places() {
    std::array<std::uint64_t, 256> places{};
    for (unsigned h = 0; h < 256; ++h) {
        unsigned next[2] = {0, 0};
        for (unsigned v = 0; v < 8; ++v) {
            places[h] |= std::uint64_t{next[h >> v & 1]} << 8 * v;
            next[h >> v & 1] += 7;
        }
    }
    return places;
}
constexpr std::array<std::uint64_t, 256> kPlaces = make_places();

// In sign bits: vectors with an odd sum of the first seven integers.
[[gnu::always_inline]] inline __m256i odd_of_sevens(__m256i z, __m256i flip) noexcept {
    const __m256i low = _mm256_xor_si256(_mm256_and_si256(z, _mm256_set1_epi64x(0x0001010101010101)), flip);
    return _mm256_slli_epi64(_mm256_sad_epu8(low, _mm256_setzero_si256()), 63);
}
[[gnu::always_inline]] inline std::uint32_t signs(__m256i x) noexcept {
    return static_cast<std::uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(x)));
}
__m256i flip_of(const Stream& s) noexcept { return _mm256_set1_epi64x(s.zero & 1); }

// Vectors of one class stand one after the other, so nothing has to be put in order.
void count_e8(const State& s, std::size_t* counts) {
    const __m256i flip = flip_of(s.streams[1]);
    const __m256i sevens = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, -1, 7, 8, 9, 10, 11, 12, 13, -1));
    const std::uint8_t* symbols = s.streams[1].symbols;
    const std::size_t even = s.cursors.free[1] / 7;
    const std::size_t of_h[2] = {even, s.vectors - even};
    for (unsigned h = 0; h < 2; ++h) {
        std::size_t n = 0;
        for (std::size_t left = of_h[h]; left > 0;) {
            const std::size_t some = left < 4 ? left : 4;
            const __m256i z = _mm256_shuffle_epi8(_mm256_set_m128i(load_16(symbols + 14), load_16(symbols)), sevens);
            n += ones(_bzhi_u32(signs(odd_of_sevens(z, flip)), static_cast<unsigned>(some)));
            symbols += 7 * some;
            left -= some;
        }
        counts[2 * h] = of_h[h] - n;
        counts[2 * h + 1] = n;
    }
}

constexpr std::size_t kBatch = 64;  // vectors: in one loop all would wait for parities

struct Eights {
    __m256i z[2];    // seven symbols of each vector in place
    __m256i low[2];  // the bytes below them
    std::uint32_t h_mask;
    std::uint32_t odd_mask;
};

void next_e8(const State& s, Cursors& cursors, std::size_t n, float scale, bool, float* out) {
    const std::uint8_t* const bits = s.streams[0].symbols + cursors.vector;
    const std::uint8_t* const symbols = s.streams[1].symbols;
    const __m256i flip = flip_of(s.streams[1]);
    const Units units(2, s.streams[1].zero, 0x80, 4, s.streams[2].zero);
    const __m256i sevens = _mm256_set1_epi64x(0x00FFFFFFFFFFFFFF);
    const __m256i h_bytes = _mm256_set1_epi64x(0x4080808080808080);
    const __m256i to_last[2] = {
        _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1, -1, -1, -1, 1,
                         -1, -1, -1, -1, -1, -1, -1, 2, -1, -1, -1, -1, -1, -1, -1, 3),
        _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, 4, -1, -1, -1, -1, -1, -1, -1, 5,
                         -1, -1, -1, -1, -1, -1, -1, 6, -1, -1, -1, -1, -1, -1, -1, 7)};
    const __m256 scales = _mm256_set1_ps(scale);
    std::size_t free[2] = {cursors.free[0], cursors.free[1]};
    const std::uint8_t* last[4];
    for (unsigned k = 0; k < 4; ++k) last[k] = s.streams[2].symbols + cursors.last[k];
    const std::size_t whole = n / 8 * 8;
    Eights batch[kBatch / 8];
    for (std::size_t v = 0; v < whole; v += kBatch) {
        const std::size_t eights = std::min(kBatch, whole - v) / 8;
        for (std::size_t i = 0; i < eights; ++i) {
            Eights& x = batch[i];
            const __m128i h = load_8(bits + v + 8 * i);
            x.h_mask = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_slli_epi16(h, 7)));
            const __m256i of_h = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_cvtepu8_epi32(h));
            const __m256i between = _mm256_and_si256(of_h, _mm256_set1_epi32(static_cast<int>(free[1] - free[0])));
            const __m256i places = _mm256_cvtepu8_epi32(
                _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&kPlaces[x.h_mask])));
            alignas(32) std::uint32_t at[8];
            _mm256_store_si256(reinterpret_cast<__m256i*>(at), _mm256_add_epi32(places, between));
            asm("" : "+m"(at));  // else they are taken out of the vector one by one
            const std::uint8_t* const from = symbols + free[0];
            free[0] += 7 * (8 - ones(x.h_mask));
            free[1] += 7 * ones(x.h_mask);
            x.odd_mask = 0;
#pragma GCC unroll 2
            for (unsigned k = 0; k < 2; ++k) {
                const std::uint32_t* const a = at + 4 * k;
                const __m256i z =
                    _mm256_set_m128i(load_two(from + a[2], from + a[3]), load_two(from + a[0], from + a[1]));
                const __m256i odd = odd_of_sevens(z, flip);
                const auto four = load<std::int32_t>(bits + v + 8 * i + 4 * k);
                const __m256i h64 = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
                const __m256i low = _mm256_and_si256(_mm256_sub_epi64(_mm256_setzero_si256(), h64), h_bytes);
                x.odd_mask |= signs(odd) << 4 * k;
                x.z[k] = _mm256_and_si256(z, sevens);
                x.low[k] = _mm256_or_si256(low, odd);
            }
        }
        for (std::size_t i = 0; i < eights; ++i) {
            const Eights& x = batch[i];
            const std::uint32_t of_class[4] = {~(x.h_mask | x.odd_mask) & 0xFF, x.odd_mask & ~x.h_mask,
                                               x.h_mask & ~x.odd_mask, x.h_mask & x.odd_mask};
            __m128i m = _mm_setzero_si128();
#pragma GCC unroll 4
            for (unsigned k = 0; k < 4; ++k) {
                m = _mm_or_si128(m, spread_8(of_class[k], last[k]));
                advance(last[k], ones(of_class[k]));
            }
            const __m256i both = _mm256_broadcastq_epi64(m);
#pragma GCC unroll 2
            for (unsigned k = 0; k < 2; ++k) {
                const __m256i all = _mm256_or_si256(x.z[k], _mm256_shuffle_epi8(both, to_last[k]));
                put_32(all, x.low[k], units, scales, out + 8 * v + 64 * i + 32 * k);
            }
        }
    }
    cursors.vector += whole;
    for (unsigned k = 0; k < 2; ++k) cursors.free[k] = free[k];
    for (unsigned k = 0; k < 4; ++k) cursors.last[k] = static_cast<std::size_t>(last[k] - s.streams[2].symbols);
    if (whole < n) kMergePortable[kE8].next(s, cursors, n - whole, scale, false, out + 8 * whole);
}

}  // namespace

const Merge kMergeAvx2[5] = {{}, {next_z, count_z, false}, {next_d4, count_d4, false}, {next_e8, count_e8, false}, kLeechAvx2};

}  // namespace qc::lattice

QC_TARGET_END
#endif
