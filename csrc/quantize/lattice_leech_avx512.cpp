// quantize/lattice_leech_avx512.cpp - points of the Leech lattice in float32, two vectors to a register.
//
// What is chosen by a class that follows from parities would wait for them, and cursors in memory for each other. So 64
// vectors go through three loops: classes, last coordinates of all by class, floats.
#include <algorithm>

#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include "quantize/lattice_floats_avx512.hpp"
#include "simd/float_lines.hpp"
#include "simd/indices_avx512.hpp"

namespace qc::lattice {
namespace {

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt")

constexpr std::size_t kBatch = 64;  // vectors
constexpr unsigned kLastClasses = 6;
constexpr std::uint64_t kVector = 0xFFFFFF;
constexpr std::uint64_t kFree = 0x7FFFFF7FFFFF;

// Bits of the coordinates of two vectors, 24 each.
struct Pair {
    std::uint64_t h;
    std::uint64_t c;
};

class Pairs {
public:
    explicit Pairs(const std::uint8_t* h, const std::uint8_t* c) noexcept : h_(h), c_(c) {}

    [[gnu::always_inline]] Pair at(std::size_t v) const noexcept {
        const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(c_ + 12 * v));
        const std::uint32_t m = _mm256_test_epi8_mask(bits, _mm256_set1_epi8(1));
        return {h_[v] * kVector | h_[v + 1] * (kVector << 24),
                words_[m & 4095] | std::uint64_t{words_[m >> 12 & 4095]} << 24};
    }

private:
    const std::uint32_t* words_ = golay_words();
    const std::uint8_t* h_;
    const std::uint8_t* c_;
};

// Of the last coordinates of both vectors: bytes 0 and 1.
[[gnu::always_inline]] inline std::uint32_t last_classes(const Pair& x, std::uint64_t odd0, std::uint64_t odd1) noexcept {
    const std::uint64_t c = x.c & ~x.h;
    const std::uint64_t first = 3 * odd0 + 2 * (x.h >> 23 & 1) + (c >> 23 & 1);
    const std::uint64_t second = 3 * odd1 + 2 * (x.h >> 47 & 1) + (c >> 47 & 1);
    return static_cast<std::uint32_t>(first | second << 8);
}

// Symbols of a class, some of which are odd: with an odd zero the others stand for odd integers.
struct Source {
    const std::uint8_t* next;
    std::uint64_t flip;

    explicit Source(const Stream& s) noexcept
        : next(s.symbols), flip((s.zero & 1) != 0 ? ~std::uint64_t{0} : 0) {}
};

// Parities need no order: the symbols of a vector and class are neighbours.
[[gnu::always_inline]] inline std::size_t odd_symbols(const std::uint8_t* symbols, std::size_t n) noexcept {
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols));
    return ones(_bzhi_u32(_mm256_test_epi8_mask(y, _mm256_set1_epi8(1)), static_cast<unsigned>(n)));
}

void count_leech(const State& s, std::size_t* counts) {
    const Pairs pairs(s.streams[0].symbols, s.streams[1].symbols);
    Source of[3] = {Source(s.streams[2]), Source(s.streams[3]), Source(s.streams[4])};
    // With h all are of class 2, else those of class 0 come in its place. Masks, as no branch could be foreseen.
    const auto odd = [&](std::uint64_t h, std::uint64_t c) __attribute__((always_inline)) {
        const std::uint64_t all = 0 - (h & 1);
        const std::size_t n1 = ones(c & ~h & 0x7FFFFF);
        const std::size_t n = 23 - n1;
        const auto at = [](const std::uint8_t* p) { return reinterpret_cast<std::uintptr_t>(p); };
        const auto* from = reinterpret_cast<const std::uint8_t*>((at(of[0].next) & ~all) | (at(of[2].next) & all));
        const std::size_t sum = odd_symbols(from, n) + odd_symbols(of[1].next, n1) + (h & 1) +
                                (((of[0].flip & ~all) | (of[2].flip & all)) & n) + (of[1].flip & n1);
        of[0].next += n & ~all;
        of[2].next += n & all;
        of[1].next += n1;
        return sum & 1;
    };
    for (std::size_t v = 0; v < s.vectors; v += kBatch) {
        const std::size_t n = std::min(kBatch, s.vectors - v);
        alignas(64) std::uint16_t classes[kBatch / 2];
        for (std::size_t i = 0; 2 * i < n; ++i) {
            const Pair x = pairs.at(v + 2 * i);
            const std::uint64_t odd0 = odd(x.h, x.c);
            // A vector behind the last one is not there to be counted.
            const std::uint64_t odd1 = 2 * i + 1 < n ? odd(x.h >> 24, x.c >> 24) : 0;
            classes[i] = static_cast<std::uint16_t>(last_classes(x, odd0, odd1));
        }
        const __m512i all = _mm512_load_si512(classes);
        for (unsigned k = 0; k < kLastClasses; ++k) {
            const std::uint64_t mask = _mm512_cmpeq_epi8_mask(all, _mm512_set1_epi8(static_cast<char>(k)));
            counts[k] += ones(_bzhi_u64(mask, static_cast<unsigned>(n)));
        }
    }
}

// Behind the 48 coordinates stand the last ones of both vectors, and their parities as low bytes.
constexpr FloatIndices<3> kLeechIndices([](unsigned f) { return f % 24 == 23 ? 50 + f / 24 : 52; },
                                        [](unsigned f) { return f % 24 == 23 ? 48 + f / 24 : f; },
                                        [](unsigned f) { return f % 24 == 23 ? 8u : 4u; });

struct Batch {
    Pair pairs[kBatch / 2];
    std::uint8_t y[24 * kBatch + 16];
    alignas(64) std::uint16_t classes[kBatch / 2];
    alignas(64) std::uint32_t behind[kBatch / 2];
};

// All but the last coordinates of n vectors, and which class those have.
[[gnu::always_inline]] inline void place_free(const Pairs& pairs, std::size_t v, std::size_t n, Source (&of)[3],
                                              Batch& batch) noexcept {
    for (std::size_t i = 0; 2 * i < n; ++i) {
        const Pair x = batch.pairs[i] = pairs.at(v + 2 * i);
        const std::uint64_t of_class[3] = {~(x.c | x.h) & kFree, x.c & ~x.h & kFree, x.h & kFree};
        __m512i y = _mm512_setzero_si512();
        // Codewords have even weight, so what mirroring does to the parity cancels out.
        std::uint64_t odd = x.h & 0x800000800000;
#pragma GCC unroll 3
        for (unsigned k = 0; k < 3; ++k) {
            y = _mm512_mask_expand_epi8(y, of_class[k], _mm512_loadu_si512(of[k].next));
            of[k].next += ones(of_class[k]);
            odd ^= of[k].flip & of_class[k];
        }
        _mm512_storeu_si512(batch.y + 48 * i, y);
        odd ^= _mm512_test_epi8_mask(y, _mm512_set1_epi8(1));
        batch.classes[i] = static_cast<std::uint16_t>(
            last_classes(x, ones(odd & kVector) & 1, ones(odd >> 24) & 1));
    }
}

[[gnu::always_inline]] inline void take_last(const std::uint8_t* last, std::size_t n, Cursors& at,
                                             Batch& batch) noexcept {
    const __m512i classes = _mm512_load_si512(batch.classes);
    const __mmask64 live = _bzhi_u64(~0ull, static_cast<unsigned>(n));
    __m512i m = _mm512_setzero_si512();
#pragma GCC unroll 6
    for (unsigned k = 0; k < kLastClasses; ++k) {
        const std::uint64_t mask =
            _mm512_mask_cmpeq_epi8_mask(live, classes, _mm512_set1_epi8(static_cast<char>(k)));
        m = _mm512_mask_expand_epi8(m, mask, _mm512_loadu_si512(last + at.last[k]));
        at.last[k] += ones(mask);
    }
    const __m512i odd = _mm512_maskz_set1_epi8(_mm512_cmpgt_epu8_mask(classes, _mm512_set1_epi8(2)),
                                               static_cast<char>(0x80));
    // Two bytes of each in turns.
    const __m512i front = indices([](unsigned k) { return k / 4 * 2 + k % 2 + k / 2 % 2 * 64; });
    const __m512i back = indices([](unsigned k) { return k / 4 * 2 + k % 2 + k / 2 % 2 * 64 + 32; });
    _mm512_store_si512(batch.behind, _mm512_permutex2var_epi8(m, front, odd));
    _mm512_store_si512(batch.behind + 16, _mm512_permutex2var_epi8(m, back, odd));
}

// Offsets of the three lines of a pair, by class.
struct Offsets {
    __m512 of[3][3];

    explicit Offsets(const State& s) noexcept {
        constexpr __mmask16 kLast[3] = {0, 0x0080, 0x8000};
        constexpr std::int32_t kLess[3] = {0, 2, 1};  // 2c, or h
        for (unsigned j = 0; j < 3; ++j) {
            for (unsigned k = 0; k < 3; ++k) {
                of[j][k] = offsets(kLast[j], 4, 4 * s.streams[2 + k].zero - kLess[k], 8,
                                   8 * s.streams[5].zero - kLess[k]);
            }
        }
    }
};

template <bool kStream>
void next_leech(const State& s, Cursors& cursors, std::size_t n, float scale, float* out) noexcept {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const Pairs pairs(s.streams[0].symbols, s.streams[1].symbols);
    Source of[3] = {Source(s.streams[2]), Source(s.streams[3]), Source(s.streams[4])};
    for (unsigned k = 0; k < 3; ++k) of[k].next += at.free[k];
    const __m512i index[3] = {kLeechIndices[0], kLeechIndices[1], kLeechIndices[2]};
    const Offsets offset(s);
    const __m512 scales = _mm512_set1_ps(scale);
    const __m512 sign = _mm512_set1_ps(-0.0f);
    FloatLines<kStream> lines(out);
    Batch batch;
    const std::size_t even = n / 2 * 2;
    for (std::size_t v = 0; v < even; v += kBatch) {
        const std::size_t m = std::min(kBatch, even - v);
        place_free(pairs, at.vector + v, m, of, batch);
        take_last(s.streams[5].symbols, m, at, batch);
        for (std::size_t i = 0; 2 * i < m; ++i) {
            const auto behind = static_cast<int>(batch.behind[i]);
            const __m512i y = _mm512_inserti32x4(_mm512_loadu_si512(batch.y + 48 * i), _mm_cvtsi32_si128(behind), 3);
            const std::uint64_t h = batch.pairs[i].h;
            const std::uint64_t class1 = batch.pairs[i].c & ~h;
            const std::uint64_t negative = batch.pairs[i].c & h;
#pragma GCC unroll 3
            for (unsigned j = 0; j < 3; ++j) {
                const __m512 t = floats(y, index[j], y);
                __m512 x = _mm512_sub_ps(t, offset.of[j][0]);
                x = _mm512_mask_sub_ps(x, static_cast<__mmask16>(class1 >> 16 * j), t, offset.of[j][1]);
                x = _mm512_mask_sub_ps(x, static_cast<__mmask16>(h >> 16 * j), t, offset.of[j][2]);
                x = _mm512_mask_xor_ps(x, static_cast<__mmask16>(negative >> 16 * j), x, sign);
                lines.put(_mm512_mul_ps(x, scales));
            }
        }
    }
    if (even > 0) lines.flush();
    for (unsigned k = 0; k < 3; ++k) at.free[k] = static_cast<std::size_t>(of[k].next - s.streams[2 + k].symbols);
    at.vector += even;
    cursors = at;
    if (even < n) kMergePortable[kLeech].next(s, cursors, n - even, scale, false, out + 24 * even);
}

}  // namespace

const Merge kLeechAvx512{next<next_leech<true>, next_leech<false>>, count_leech, true};

void measure_leech_avx512(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors, std::size_t* lengths) {
    const Pairs pairs(h, c);
    std::size_t n1 = 0;
    std::size_t n2 = 0;
    for (std::size_t v = 0; v < vectors; v += 2) {
        const Pair x = pairs.at(v);
        const std::uint64_t live = v + 1 < vectors ? kFree : kFree & kVector;
        n1 += ones(x.c & ~x.h & live);
        n2 += ones(x.h & live);
    }
    lengths[0] += 23 * vectors - n1 - n2;
    lengths[1] += n1;
    lengths[2] += n2;
}

QC_TARGET_END

}  // namespace qc::lattice

#endif
