// quantize/lattice_leech_avx512.cpp - points of the Leech lattice in float32, by way of bytes.
//
// All vectors get their coordinates but the last, as bytes, and with them the classes of those; then last coordinates and
// floats are made together. Integers too wide for bytes are left to AVX2.
#include <algorithm>

#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include "core/bytes.hpp"
#include "quantize/lattice_floats_avx512.hpp"
#include "simd/float_lines.hpp"
#include "simd/indices_avx512.hpp"

namespace qc::lattice {
namespace {

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt")

constexpr std::size_t kBatch = 64;  // vectors
constexpr unsigned kLastClasses = 6;
constexpr std::uint64_t kVectors[4] = {0, 0xFFFFFF, 0xFFFFFF000000, 0xFFFFFFFFFFFF};  // bits of two vectors
constexpr std::uint64_t kFree = 0x7FFFFF7FFFFF;

// The twelve bits of each of two vectors.
[[gnu::always_inline]] inline std::uint32_t twelve_each(const std::uint8_t* c) noexcept {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(c));
    return _mm256_test_epi8_mask(bits, _mm256_set1_epi8(1));
}

[[gnu::always_inline]] inline std::uint64_t h_of_batch(const std::uint8_t* h) noexcept {
    return _mm512_test_epi8_mask(_mm512_loadu_si512(h), _mm512_set1_epi8(1));
}

// Coordinates fit a byte: |4z| + 3 below 128, also in the last place, where z = 2m + p. And zeros are even.
bool takes_leech(const State& s) noexcept {
    const auto [least, most] = std::minmax({s.width[2], s.width[3], s.width[4]});
    return !s.escaping && least >= 2 && most <= 6 && s.width[5] <= 5;
}

// What a coordinate has beside four times its symbol: of class k.
__m512i beside(const State& s, unsigned k) noexcept {
    constexpr std::int32_t kAbove[3] = {0, 2, 1};  // 2c, or h
    return _mm512_set1_epi8(static_cast<char>(kAbove[k] - 4 * s.streams[2 + k].zero));
}

// What last coordinates are: above the class whether they are negated.
constexpr unsigned kNegated = 8;

[[gnu::always_inline]] inline __m512i classes(std::uint64_t odd, std::uint64_t h, std::uint64_t c) noexcept {
    __m512i all = _mm512_maskz_set1_epi8(odd, 3);
    all = _mm512_mask_add_epi8(all, h, all, _mm512_set1_epi8(2));
    all = _mm512_mask_add_epi8(all, c & ~h, all, _mm512_set1_epi8(1));
    return _mm512_mask_add_epi8(all, c & h, all, _mm512_set1_epi8(kNegated));
}

// Bits of last coordinates: the top ones of the third and sixth byte of eight.
[[gnu::always_inline]] inline std::uint64_t last_bits(const std::uint64_t (&words)[kBatch / 2]) noexcept {
    const __m512i index = indices([](unsigned k) { return k / 2 % 16 * 8 + 2 + k % 2 * 3; });
    const __m512i front = _mm512_permutex2var_epi8(_mm512_load_si512(words), index, _mm512_load_si512(words + 8));
    const __m512i back = _mm512_permutex2var_epi8(_mm512_load_si512(words + 16), index, _mm512_load_si512(words + 24));
    return _mm512_movepi8_mask(_mm512_shuffle_i64x2(front, back, 0x44));
}

// All coordinates but the last of each vector, and which class those have. With h and c both 1 a coordinate is negated:
// h + 2c + 4(-1 - y) = -(4y + 1).
void place_leech(State& s, Workspace& workspace) {
    const std::size_t vectors = s.vectors;
    const std::size_t room = 24 * vectors + 64;
    s.points = workspace.get(Workspace::kGather, room + vectors + kBatch);
    s.last_classes = s.points + room;
    const std::uint8_t* c = s.streams[1].symbols;
    const std::uint8_t* next[3] = {s.streams[2].symbols, s.streams[3].symbols, s.streams[4].symbols};
    const __m512i beside0 = beside(s, 0);
    const __m512i beside1 = beside(s, 1);
    const __m512i beside2 = beside(s, 2);
    const std::uint32_t* const golay = golay_words();
    std::uint8_t* to = s.points;
    for (std::size_t begin = 0; begin < vectors; begin += kBatch) {
        const std::uint64_t h_last = h_of_batch(s.streams[0].symbols + begin);
        alignas(64) std::uint64_t words[kBatch / 2];
        alignas(64) std::uint8_t odd_ones[kBatch];
        std::uint64_t h_left = h_last;
        // Of an odd number of vectors the last one has a neighbour made of what stands behind the streams.
        const std::size_t pairs = (std::min(kBatch, vectors - begin) + 1) / 2;
        for (std::size_t i = 0; i < pairs; ++i, c += 24, to += 48, h_left >>= 2) {
            const std::uint32_t m = twelve_each(c);
            const std::uint64_t word = golay[m & 4095] | std::uint64_t{golay[m >> 12 & 4095]} << 24;
            const std::uint64_t h = kVectors[h_left & 3];
            words[i] = word;
            const std::uint64_t of_class[3] = {~(word | h) & kFree, word & ~h & kFree, h & kFree};
            __m512i y = _mm512_setzero_si512();
#pragma GCC unroll 3
            for (unsigned k = 0; k < 3; ++k) {
                y = _mm512_or_si512(y, _mm512_maskz_expand_epi8(of_class[k], _mm512_loadu_si512(next[k])));
                next[k] += ones(of_class[k]);
            }
            const std::uint64_t odd = _mm512_test_epi8_mask(y, _mm512_set1_epi8(1));
            odd_ones[2 * i] = static_cast<std::uint8_t>(ones(odd & kVectors[1]));
            odd_ones[2 * i + 1] = static_cast<std::uint8_t>(ones(odd >> 24));
            __m512i beside = _mm512_mask_mov_epi8(beside0, of_class[1], beside1);
            beside = _mm512_mask_mov_epi8(beside, of_class[2], beside2);
            const __m512i twice = _mm512_add_epi8(y, y);
            y = _mm512_add_epi8(_mm512_add_epi8(twice, twice), beside);
            _mm512_storeu_si512(to, _mm512_mask_sub_epi8(y, h & word, _mm512_setzero_si512(), y));
        }
        // Codewords have even weight, so what negation does to the parity cancels out.
        const std::uint64_t odds =
            _mm512_test_epi8_mask(_mm512_load_si512(odd_ones), _mm512_set1_epi8(1)) ^ h_last;
        _mm512_storeu_si512(s.last_classes + begin, classes(odds, h_last, last_bits(words)));
    }
}

[[gnu::always_inline]] inline __m512i classes_at(const State& s, std::size_t v) noexcept {
    return _mm512_loadu_si512(s.last_classes + v);
}
[[gnu::always_inline]] inline std::uint64_t of_class(__m512i classes, unsigned k, std::size_t n) noexcept {
    const __m512i class_bits = _mm512_and_si512(classes, _mm512_set1_epi8(kNegated - 1));
    return _bzhi_u64(_mm512_cmpeq_epi8_mask(class_bits, _mm512_set1_epi8(static_cast<char>(k))), static_cast<unsigned>(n));
}

void count_leech(const State& s, std::size_t* counts) {
    for (std::size_t v = 0; v < s.vectors; v += kBatch) {
        const __m512i classes = classes_at(s, v);
        for (unsigned k = 0; k < kLastClasses; ++k) {
            counts[k] += ones(of_class(classes, k, std::min(kBatch, s.vectors - v)));
        }
    }
}

// Puts the last coordinates of n <= kBatch vectors where they belong.
//   ends   by class, what a coordinate has beside eight times its symbol
[[gnu::always_inline]] inline void place_last(const State& s, std::size_t v, std::size_t n, __m512i ends,
                                              Cursors& at) noexcept {
    const std::uint8_t* const last = s.streams[5].symbols;
    const __m512i classes = classes_at(s, v);
    __m512i m = _mm512_setzero_si512();
#pragma GCC unroll 6
    for (unsigned k = 0; k < kLastClasses; ++k) {
        const std::uint64_t mask = of_class(classes, k, n);
        m = _mm512_or_si512(m, _mm512_maskz_expand_epi8(mask, _mm512_loadu_si512(last + at.last[k])));
        at.last[k] += ones(mask);
    }
    const __m512i eightfold = _mm512_and_si512(_mm512_slli_epi16(m, 3), _mm512_set1_epi8(static_cast<char>(0xF8)));
    __m512i x = _mm512_add_epi8(eightfold, _mm512_permutexvar_epi8(classes, ends));
    x = _mm512_mask_sub_epi8(x, _mm512_test_epi8_mask(classes, _mm512_set1_epi8(kNegated)), _mm512_setzero_si512(), x);
    alignas(64) std::uint8_t bytes[kBatch];
    _mm512_store_si512(bytes, x);
    std::uint8_t* const to = s.points + 24 * v + 23;
    for (std::size_t i = 0; i < n; ++i) to[24 * i] = bytes[i];
}

__m512i make_ends(const State& s) noexcept {
    constexpr std::int32_t kAbove[kLastClasses] = {0, 2, 1, 4, 6, 5};
    alignas(64) std::uint8_t ends[64] = {};
    for (unsigned k = 0; k < 2 * kNegated; ++k) {
        if (k % kNegated >= kLastClasses) continue;
        ends[k] = static_cast<std::uint8_t>(kAbove[k % kNegated] - 8 * s.streams[5].zero);
    }
    return _mm512_load_si512(ends);
}

template <bool kStream>
void next_leech(const State& s, Cursors& cursors, std::size_t n, float scale, float* out) noexcept {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const __m512i ends = make_ends(s);
    const __m512 scales = _mm512_set1_ps(scale);
    const std::size_t end = at.vector + n;
    FloatLines<kStream> lines(out);
    const auto floats_at = [&](const std::uint8_t* from) __attribute__((always_inline)) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), scales);
    };
    // One batch ahead: what was just stored byte by byte cannot be loaded as a whole yet.
    place_last(s, at.vector, std::min(kBatch, n), ends, at);
    for (std::size_t v = at.vector; v < end; v += kBatch) {
        if (v + kBatch < end) place_last(s, v + kBatch, std::min(kBatch, end - v - kBatch), ends, at);
        const std::size_t m = 24 * std::min(kBatch, end - v);
        const std::uint8_t* const from = s.points + 24 * v;
        std::size_t i = 0;
        for (; i + 16 <= m; i += 16) lines.put(floats_at(from + i));
        if (v + kBatch >= end) lines.put_last(floats_at(from + i), static_cast<unsigned>(m - i));
    }
    at.vector = end;
    cursors = at;
}

}  // namespace

const Merge kLeechAvx512{next<next_leech<true>, next_leech<false>>, count_leech, true, takes_leech, place_leech};

void measure_leech_avx512(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors, std::size_t* lengths) {
    constexpr std::uint32_t kWithoutH[4] = {0xFFFFFF, 0xFFF000, 0x000FFF, 0};
    const std::uint8_t* const weights = golay_weights();
    std::size_t n1 = 0;
    std::size_t n2 = 0;
    for (std::size_t begin = 0; begin < vectors; begin += kBatch) {
        const std::size_t n = std::min(kBatch, vectors - begin);
        std::uint64_t h_left = h_of_batch(h + begin);
        n2 += ones(_bzhi_u64(h_left, static_cast<unsigned>(n)));
        h_left |= ~_bzhi_u64(~0ull, static_cast<unsigned>(n));  // what is not there has no codeword
        for (std::size_t i = 0; i < n; i += 2, c += 24, h_left >>= 2) {
            const std::uint32_t m = twelve_each(c) & kWithoutH[h_left & 3];
            n1 += weights[m & 4095];
            n1 += weights[m >> 12];
        }
    }
    lengths[0] += 23 * (vectors - n2) - n1;
    lengths[1] += n1;
    lengths[2] += 23 * n2;
}

QC_TARGET_END

}  // namespace qc::lattice

#endif
