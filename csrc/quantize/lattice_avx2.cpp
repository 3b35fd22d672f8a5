// quantize/lattice_avx2.cpp - points of d4 and e8 in float32, eight coordinates at a time.
//
// Two cursors share a word, which a class shifts: chosen by an index they would wait for stores to each other.
#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include "core/bytes.hpp"

#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")

namespace qc::lattice {
namespace {

class TwoCursors {
public:
    TwoCursors(std::size_t first, std::size_t second) noexcept : both_(first | second << 32) {}

    std::size_t operator[](unsigned k) const noexcept { return static_cast<std::uint32_t>(both_ >> 32 * k); }
    void advance(unsigned k, std::uint64_t n) noexcept { both_ += n << 32 * k; }
    void advance_where(std::uint64_t mask, unsigned k) noexcept { both_ += (std::uint64_t{1} << 32 * k) & mask; }

private:
    std::uint64_t both_;
};

constexpr std::uint64_t kOnes = 0x0101010101010101;

[[gnu::always_inline]] inline unsigned odd(std::uint64_t bytes, unsigned flip) noexcept {
    return (static_cast<unsigned>(_mm_popcnt_u64(bytes & kOnes)) ^ flip) & 1;
}

// Symbols, shifted, and what is added to them: coordinates.
[[gnu::always_inline]] inline void put(std::uint64_t symbols, __m256i shifts, const std::int32_t* add, __m256 scale,
                                       float* out) noexcept {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(symbols)));
    const __m256i x = _mm256_add_epi32(_mm256_sllv_epi32(wide, shifts),
                                       _mm256_load_si256(reinterpret_cast<const __m256i*>(add)));
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtepi32_ps(x), scale));
}

unsigned flip_of(const Stream& s) noexcept { return static_cast<unsigned>(s.zero & 1); }

// ---- d4: two vectors

void count_d4(const State& s, std::size_t* counts) {
    const std::uint8_t* const from = s.streams[0].symbols;
    // Three symbols and an odd zero each: flipping once is flipping thrice.
    const unsigned flip = flip_of(s.streams[0]);
    const std::size_t vectors = s.vectors;
    std::size_t n = 0;
    for (std::size_t v = 0; v < vectors; ++v) n += odd(load<std::uint32_t>(from + 3 * v) & 0xFFFFFF, flip);
    counts[0] = vectors - n;
    counts[1] = n;
}

void next_d4(const State& s, Cursors& cursors, std::size_t n, float scale, bool, float* out) {
    const std::uint8_t* from = s.streams[0].symbols + cursors.free[0];
    const std::uint8_t* const last = s.streams[1].symbols;
    const unsigned flip = flip_of(s.streams[0]);
    TwoCursors at(cursors.last[0], cursors.last[1]);
    alignas(32) std::int32_t add[4][8];
    for (unsigned k = 0; k < 4; ++k) {
        for (unsigned i = 0; i < 8; ++i) {
            const auto p = static_cast<std::int32_t>(k >> i / 4 & 1);
            add[k][i] = i % 4 == 3 ? p - 2 * s.streams[1].zero : -s.streams[0].zero;
        }
    }
    const __m256i shifts = _mm256_setr_epi32(0, 0, 0, 1, 0, 0, 0, 1);
    const __m256 scales = _mm256_set1_ps(scale);
    const auto vector = [&](unsigned& p) __attribute__((always_inline)) {
        const std::uint64_t z = load<std::uint32_t>(from) & 0xFFFFFF;
        from += 3;
        p = odd(z, flip);
        const std::uint64_t m = last[at[p]];
        at.advance(p, 1);
        return z | m << 24;
    };
    std::size_t v = 0;
    for (; v + 2 <= n; v += 2) {
        unsigned p0 = 0;
        unsigned p1 = 0;
        const std::uint64_t first = vector(p0);
        const std::uint64_t second = vector(p1);
        put(first | second << 32, shifts, add[p0 | p1 << 1], scales, out + 4 * v);
    }
    cursors.vector += v;
    cursors.free[0] += 3 * v;
    cursors.last[0] = at[0];
    cursors.last[1] = at[1];
    if (v < n) kMergePortable[kD4].next(s, cursors, n - v, scale, false, out + 4 * v);
}

// ---- e8: one vector

constexpr std::uint64_t kSeven = 0x00FFFFFFFFFFFFFF;

void count_e8(const State& s, std::size_t* counts) {
    const std::uint8_t* const from = s.streams[1].symbols;
    const unsigned flip = flip_of(s.streams[1]);
    const std::size_t even = s.cursors.free[1] / 7;
    const std::size_t ends[3] = {0, even, s.vectors};
    for (unsigned h = 0; h < 2; ++h) {
        std::size_t n = 0;
        for (std::size_t v = ends[h]; v < ends[h + 1]; ++v) n += odd(load<std::uint64_t>(from + 7 * v) & kSeven, flip);
        counts[2 * h] = ends[h + 1] - ends[h] - n;
        counts[2 * h + 1] = n;
    }
}

void next_e8(const State& s, Cursors& cursors, std::size_t n, float scale, bool, float* out) {
    const std::uint8_t* const bits = s.streams[0].symbols + cursors.vector;
    const std::uint8_t* const from = s.streams[1].symbols;
    const std::uint8_t* const last = s.streams[2].symbols;
    const unsigned flip = flip_of(s.streams[1]);
    TwoCursors free(cursors.free[0], cursors.free[1]);
    TwoCursors of_h[2] = {{cursors.last[0], cursors.last[1]}, {cursors.last[2], cursors.last[3]}};
    alignas(32) std::int32_t add[4][8];
    for (unsigned k = 0; k < 4; ++k) {
        const auto h = static_cast<std::int32_t>(k >> 1);
        const auto p = static_cast<std::int32_t>(k & 1);
        for (unsigned i = 0; i < 7; ++i) add[k][i] = h - 2 * s.streams[1].zero;
        add[k][7] = h + 2 * p - 4 * s.streams[2].zero;
    }
    const __m256i shifts = _mm256_setr_epi32(1, 1, 1, 1, 1, 1, 1, 2);
    const __m256 scales = _mm256_set1_ps(scale);
    for (std::size_t v = 0; v < n; ++v) {
        const unsigned h = bits[v];
        const std::uint64_t z = load<std::uint64_t>(from + free[h]) & kSeven;
        free.advance(h, 7);
        const unsigned p = odd(z, flip);
        const std::uint64_t mask = 0 - std::uint64_t{h};
        const std::uint64_t m = last[(of_h[0][p] & ~mask) | (of_h[1][p] & mask)];
        of_h[0].advance_where(~mask, p);
        of_h[1].advance_where(mask, p);
        put(z | m << 56, shifts, add[2 * h + p], scales, out + 8 * v);
    }
    cursors.vector += n;
    cursors.free[0] = free[0];
    cursors.free[1] = free[1];
    for (unsigned k = 0; k < 4; ++k) cursors.last[k] = of_h[k / 2][k % 2];
}

}  // namespace

const Merge kMergeAvx2[5] = {{}, {}, {next_d4, count_d4, false}, {next_e8, count_e8, false}, {}};

}  // namespace qc::lattice

#pragma GCC pop_options
#endif
