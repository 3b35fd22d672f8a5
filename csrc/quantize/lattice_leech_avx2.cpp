// quantize/lattice_leech_avx2.cpp - points of the Leech lattice in float32, a vector to a register.
//
// The symbols of a vector come from one class, or where no h is set from two; a shuffle by the codeword merges them. In
// one loop all would wait for parities, so 64 vectors go through three: symbols, last coordinates, floats.
#include <algorithm>
#include <array>

#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include "quantize/lattice_floats_avx2.hpp"

QC_TARGET("avx2,bmi,bmi2,popcnt")

namespace qc::lattice {
namespace {

constexpr std::uint32_t kFree = 0x7FFFFF;
constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr unsigned kCases = 8;  // of a vector: parity of the free coordinates, h, last bit of the codeword

constexpr unsigned class_of(unsigned which) noexcept {
    return 3 * (which >> 2) + ((which & 2) | (which & ~(which >> 1) & 1));  // no branch could be foreseen
}

// Shuffles that take the next byte of the second eight where a bit is set, else of the first.
constexpr std::array<std::uint64_t, 256> make_merges() {
    std::array<std::uint64_t, 256> table{};
    for (unsigned m = 0; m < 256; ++m) {
        std::uint64_t next[2] = {0, 8};
        for (unsigned k = 0; k < 8; ++k) table[m] |= next[m >> k & 1]++ << 8 * k;
    }
    return table;
}
constexpr std::array<std::uint64_t, 256> kMerges = make_merges();

// Six counts in a word: in memory they would wait for each other.
class Counts {
public:
    static constexpr std::size_t kMost = 1000;  // that are taken

    // How many were taken of the class before.
    [[gnu::always_inline]] std::size_t take(unsigned which) noexcept {
        const unsigned shift = kBits * class_of(which);
        const std::size_t before = all_ >> shift & kMask;
        all_ += std::uint64_t{1} << shift;
        return before;
    }
    void add_to(std::size_t* counts) const noexcept {
        for (unsigned k = 0; k < kMaxClasses; ++k) counts[k] += all_ >> kBits * k & kMask;
    }

private:
    static constexpr unsigned kBits = 10;
    static constexpr std::uint64_t kMask = (1u << kBits) - 1;
    std::uint64_t all_ = 0;
};

class Codewords {
public:
    explicit Codewords(const std::uint8_t* bits) noexcept : bits_(bits) {}

    [[gnu::always_inline]] std::uint32_t at(std::size_t v) const noexcept {
        const __m128i bits = _mm_slli_epi16(load_16(bits_ + 12 * v), 7);
        return words_[_mm_movemask_epi8(bits) & 4095];
    }

private:
    const std::uint32_t* words_ = golay_words();
    const std::uint8_t* bits_;
};

// The first where no h is set, else the second. With masks, as no branch could be foreseen.
[[gnu::always_inline]] inline const std::uint8_t* by_h(std::size_t h, const std::uint8_t* zero,
                                                       const std::uint8_t* one) noexcept {
    std::size_t between = static_cast<std::size_t>(one - zero) & (0 - h);
    stay_scalar(between);
    return zero + static_cast<std::ptrdiff_t>(between);  // may be behind
}

// Parities need no order: the symbols of a vector and class are neighbours.
[[gnu::always_inline]] inline std::size_t odd_symbols(const std::uint8_t* symbols, std::size_t n) noexcept {
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols));
    const auto odd = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(y, 7)));
    return ones(_bzhi_u32(odd, static_cast<unsigned>(n)));
}

void count_leech(const State& s, std::size_t* counts) {
    const Codewords words(s.streams[1].symbols);
    const std::uint8_t* const h_bits = s.streams[0].symbols;
    const std::uint8_t* next[3];
    for (unsigned k = 0; k < 3; ++k) next[k] = s.streams[2 + k].symbols;
    // With an odd zero even symbols stand for odd integers.
    const std::size_t flip_of_h[2] = {s.streams[2].zero & 1u, s.streams[4].zero & 1u};
    const std::size_t flip = s.streams[3].zero & 1u;
    for (std::size_t begin = 0; begin < s.vectors; begin += Counts::kMost) {
        Counts of;
        const std::size_t end = std::min(begin + Counts::kMost, s.vectors);
        for (std::size_t v = begin; v < end; ++v) {
            const std::size_t h = h_bits[v];
            const std::size_t all = 0 - h;
            const std::uint32_t c = words.at(v);
            const std::size_t n1 = ones(c & kFree & ~all);
            const std::size_t n = 23 - n1;
            const std::uint8_t* const from = by_h(h, next[0], next[2]);
            const std::size_t odd = odd_symbols(from, n) + odd_symbols(next[1], n1) + h + n * flip_of_h[h] + n1 * flip;
            advance(next[0], n & ~all);
            advance(next[1], n1);
            advance(next[2], n & all);
            of.take(static_cast<unsigned>((odd & 1) << 2 | h << 1 | c >> 23));
        }
        of.add_to(counts);
    }
}

// Symbols less their zero, plus 128: so a mirrored one, -1 - y, is its complement.
constexpr int bias_of(const Stream& s) noexcept { return 128 - s.zero; }

struct Constants {
    __m128i bias[2];               // [h]: of the two classes that are merged
    alignas(32) std::uint8_t low[kCases][32];  // below symbols: what coordinates have beside four times those
    __m256i mirror[2];             // [h]
    Units units{4, 128, 0, 4, 128};
    Units last_units{4, 128, 0x80, 8, 128};

    explicit Constants(const State& s) noexcept {
        for (unsigned h = 0; h < 2; ++h) {
            const __m128i first = _mm_set1_epi8(static_cast<char>(bias_of(s.streams[h != 0 ? 4 : 2])));
            const __m128i second = _mm_set1_epi8(static_cast<char>(bias_of(s.streams[3])));
            bias[h] = _mm_unpacklo_epi64(first, second);
            mirror[h] = _mm256_set1_epi8(h != 0 ? -1 : 0);
        }
        for (unsigned which = 0; which < kCases; ++which) {
            const unsigned h = which >> 1 & 1;
            const unsigned c = which & 1;
            const unsigned p = (which >> 2) ^ (h & c);
            std::fill_n(low[which], 32, static_cast<std::uint8_t>(h << 6));
            low[which][kLastByte] = static_cast<std::uint8_t>(p << 7 | c << 6 | h << 5);
        }
    }

    static constexpr unsigned kLastByte = 27;  // of coordinate 23, once dwords have been put in turns
};

constexpr std::size_t kBatch = 64;  // vectors
static_assert(kBatch <= Counts::kMost);

struct Batch {
    alignas(32) std::uint8_t y[kBatch][32];
    std::uint32_t c[kBatch];
    std::uint8_t which[kBatch];
};

// All but the last coordinates.
[[gnu::always_inline]] inline void merge_free(const State& s, std::size_t first, std::size_t n,
                                              const Constants& constant, const std::uint8_t* (&next)[3],
                                              Batch& batch) noexcept {
    const Codewords words(s.streams[1].symbols + 12 * first);
    const std::uint8_t* const h_bits = s.streams[0].symbols + first;
    for (std::size_t v = 0; v < n; ++v) {
        const std::uint32_t h = h_bits[v];
        const std::uint32_t c = words.at(v);
        const std::uint32_t merged = c & (h - 1);
        const std::uint8_t* const a = by_h(h, next[0], next[2]);
        const std::uint8_t* const b = next[1];
        const std::size_t n0 = ones(merged & 0xFF);
        const std::size_t n1 = ones(merged & 0xFFFF);
        const std::size_t n2 = ones(merged & kFree);
        const auto eight = [&](std::size_t from, std::size_t set, std::uint32_t bits) __attribute__((always_inline)) {
            const __m128i y = _mm_add_epi8(load_two(a + from - set, b + set), constant.bias[h]);
            return _mm_shuffle_epi8(y, load_8(reinterpret_cast<const std::uint8_t*>(&kMerges[bits & 0xFF])));
        };
        const __m128i y0 = eight(0, 0, merged);
        const __m128i y1 = eight(8, n0, merged >> 8);
        const __m128i y2 = eight(16, n1, merged >> 16);
        const std::size_t all = 0 - std::size_t{h};
        advance(next[0], (23 - n2) & ~all);
        advance(next[1], n2);
        advance(next[2], 23 & all);
        _mm_store_si128(reinterpret_cast<__m128i*>(batch.y[v]), _mm_unpacklo_epi64(y0, y1));
        _mm_store_si128(reinterpret_cast<__m128i*>(batch.y[v] + 16), y2);
        batch.c[v] = c;
        // Codewords have even weight, so what mirroring does to the parity cancels out.
        const __m128i sum = _mm_xor_si128(_mm_xor_si128(y0, y1), _mm_slli_epi64(y2, 8));
        const auto odd = ones(static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum)) & kOnes) + h;
        batch.which[v] = static_cast<std::uint8_t>((odd & 1) << 2 | h << 1 | c >> 23);
    }
}

[[gnu::always_inline]] inline void put_floats(const Batch& batch, std::size_t n, const Constants& constant, float scale,
                                              float* out) noexcept {
    // Of the codeword, bits to bytes, dwords in turns.
    const __m256i byte_of = _mm256_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3,
                                             0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m256i bit_of = _mm256_set_m128i(_mm_set1_epi32(static_cast<int>(0x80402010u)), _mm_set1_epi32(0x08040201));
    // The last coordinate has its own.
    const __m256i two = _mm256_setr_epi32(-0x7F7F7F80, -0x7F7F7F80, -0x7F7F7F80, -0x7F7F7F80,
                                          -0x7F7F7F80, -0x7F7F7F80, 0x00808080, -0x7F7F7F80);
    const __m256 scales = _mm256_set1_ps(scale);
    const Units units = constant.units;
    const Units last_units = constant.last_units;
    for (std::size_t v = 0; v < n; ++v, out += 24) {
        const unsigned which = batch.which[v];
        const __m256i y = in_turns(_mm256_load_si256(reinterpret_cast<const __m256i*>(batch.y[v])));
        const __m256i bits = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(batch.c[v])), byte_of);
        const __m256i of_c = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit_of), bit_of);
        const __m256i z = _mm256_xor_si256(y, _mm256_and_si256(of_c, constant.mirror[which >> 1 & 1]));
        const __m256i low = _mm256_or_si256(
            _mm256_and_si256(of_c, two), _mm256_load_si256(reinterpret_cast<const __m256i*>(constant.low[which])));
        const __m256i front = _mm256_unpacklo_epi8(low, z);
        const __m256i back = _mm256_unpackhi_epi8(low, z);
        units.put(_mm256_unpacklo_epi16(front, units.upper), scales, out);
        units.put(_mm256_unpackhi_epi16(front, units.upper), scales, out + 8);
        last_units.put(_mm256_unpacklo_epi16(back, last_units.upper), scales, out + 16);
    }
}

void next_leech(const State& s, Cursors& cursors, std::size_t n, float scale, bool, float* out) {
    const std::uint8_t* next[3];
    for (unsigned k = 0; k < 3; ++k) next[k] = s.streams[2 + k].symbols + cursors.free[k];
    const Constants constant(s);
    const auto last_bias = static_cast<unsigned>(bias_of(s.streams[5]));
    Batch batch;
    while (n > 0) {
        const std::size_t some = std::min(n, kBatch);
        merge_free(s, cursors.vector, some, constant, next, batch);
        const std::uint8_t* last[kCases];
        for (unsigned which = 0; which < kCases; ++which) {
            last[which] = s.streams[5].symbols + cursors.last[class_of(which)];
        }
        Counts taken;
        for (std::size_t v = 0; v < some; ++v) {
            const unsigned which = batch.which[v];
            batch.y[v][23] = static_cast<std::uint8_t>(last[which][taken.take(which)] + last_bias);
        }
        taken.add_to(cursors.last);
        put_floats(batch, some, constant, scale, out);
        cursors.vector += some;
        out += 24 * some;
        n -= some;
    }
    for (unsigned k = 0; k < 3; ++k) {
        cursors.free[k] = static_cast<std::size_t>(next[k] - s.streams[2 + k].symbols);
    }
}

}  // namespace

const Merge kLeechAvx2{next_leech, count_leech, false};

void measure_leech_avx2(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors, std::size_t* lengths) {
    const Codewords words(c);
    std::size_t n1 = 0;
    std::size_t odd = 0;
    for (std::size_t v = 0; v < vectors; ++v) {
        n1 += ones(words.at(v) & kFree & (h[v] - 1u));
        odd += h[v];
    }
    lengths[0] += 23 * (vectors - odd) - n1;
    lengths[1] += n1;
    lengths[2] += 23 * odd;
}

}  // namespace qc::lattice

QC_TARGET_END
#endif
