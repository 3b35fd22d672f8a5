// quantize/lattice_avx512.cpp - streams to lattice points, several vectors at a time, without branches.
//
// The next symbols of each class are loaded from its cursor and expanded to the places that a mask of the
// class names; a cursor moves on by the ones in its mask.
#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include "core/bytes.hpp"

namespace qc::lattice {
namespace {

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt")

constexpr std::uint64_t kOnes = 0x0101010101010101;

[[gnu::always_inline]] inline std::size_t ones(std::uint64_t mask) noexcept {
    return static_cast<std::size_t>(_mm_popcnt_u64(mask));
}

[[gnu::always_inline]] inline __m512i expanded(std::uint64_t mask, const std::uint8_t* from) noexcept {
    return _mm512_maskz_expand_epi8(mask, _mm512_loadu_si512(from));
}
[[gnu::always_inline]] inline __m256i expanded(std::uint32_t mask, const std::uint8_t* from) noexcept {
    return _mm256_maskz_expand_epi8(mask, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
[[gnu::always_inline]] inline __m128i expanded(std::uint16_t mask, const std::uint8_t* from) noexcept {
    return _mm_maskz_expand_epi8(mask, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

// Symbols s, 32 at a time, become (s << shift) + base, and more where masks say so.
struct Widening {
    __m512i shift;
    __m512i base;

    [[gnu::always_inline]] __m512i operator()(__m256i symbols) const noexcept {
        return _mm512_add_epi16(_mm512_sllv_epi16(_mm512_cvtepu8_epi16(symbols), shift), base);
    }
};

// For vectors of `dim` coordinates of which the last has a stream of its own.
[[gnu::always_inline]] inline Widening widening(unsigned dim, int shift, std::int32_t zero, int last_shift,
                                                std::int32_t last_zero) noexcept {
    const __mmask32 last = dim == 4 ? 0x88888888u : 0x80808080u;
    const auto both = [&](int most, int at_last) {
        return _mm512_mask_mov_epi16(_mm512_set1_epi16(static_cast<short>(most)), last,
                                     _mm512_set1_epi16(static_cast<short>(at_last)));
    };
    return {both(shift, last_shift), both(-(zero << shift), -(last_zero << last_shift))};
}

// ---- d4: 16 vectors

struct D4Step {
    const std::uint8_t* from;
    std::uint64_t flip;

    explicit D4Step(const State& s) noexcept
        : from(s.streams[0].symbols), flip((s.streams[0].zero & 1) != 0 ? 0xFFFF : 0) {}

    // Three symbols of each vector in place; `odd` has their parities.
    [[gnu::always_inline]] __m512i next(Cursors& at, std::uint32_t& odd) const noexcept {
        const __m512i z = expanded(std::uint64_t{0x7777777777777777}, from + at.free[0]);
        at.free[0] += 48;
        std::uint64_t parity = _mm512_test_epi8_mask(z, _mm512_set1_epi8(1));
        parity ^= parity >> 1 ^ parity >> 2;
        odd = static_cast<std::uint32_t>(_pext_u64(parity, 0x1111111111111111) ^ flip);
        return z;
    }
};

void count_d4(const State& s, std::size_t* counts) {
    Cursors at = s.cursors;
    const D4Step step(s);
    for (std::size_t v = 0; v < s.vectors; v += 16) {
        std::uint32_t odd = 0;
        step.next(at, odd);
        const std::size_t n = s.vectors - v;
        counts[1] += ones(n < 16 ? odd & ((1u << n) - 1) : odd);
    }
    counts[0] += s.vectors - counts[1];
}

void next_d4(const State& s, Cursors& cursors, std::size_t n, std::int16_t* out) {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const D4Step step(s);
    const Widening widen = widening(4, 0, s.streams[0].zero, 1, s.streams[1].zero);
    const std::uint8_t* const last = s.streams[1].symbols;
    const __m512i one = _mm512_set1_epi16(1);
    std::size_t v = 0;
    for (; v + 16 <= n; v += 16, out += 64) {
        std::uint32_t odd = 0;
        const __m512i z = step.next(at, odd);
        const __m128i m = _mm_or_si128(expanded(static_cast<std::uint16_t>(~odd), last + at.last[0]),
                                       expanded(static_cast<std::uint16_t>(odd), last + at.last[1]));
        at.last[0] += 16 - ones(odd);
        at.last[1] += ones(odd);
        const __m512i all = _mm512_or_si512(
            z, _mm512_maskz_expand_epi8(0x8888888888888888, _mm512_castsi128_si512(m)));
        const std::uint64_t at_last = _pdep_u64(odd, 0x8888888888888888);
        for (unsigned half = 0; half < 2; ++half) {
            const __m512i x = widen(half == 0 ? _mm512_castsi512_si256(all)
                                              : _mm512_extracti64x4_epi64(all, 1));
            const auto mask = static_cast<__mmask32>(at_last >> 32 * half);
            _mm512_storeu_si512(out + 32 * half, _mm512_mask_add_epi16(x, mask, x, one));
        }
    }
    at.vector += v;
    cursors = at;
    if (v < n) kMergePortable[kD4].next(s, cursors, n - v, out);
}

// ---- e8: 8 vectors

// Bit 0 of each byte: whether the byte has an odd number of ones.
[[gnu::always_inline]] inline std::uint64_t parities(std::uint64_t bytes) noexcept {
    bytes ^= bytes >> 4;
    bytes ^= bytes >> 2;
    bytes ^= bytes >> 1;
    return bytes & kOnes;
}

struct E8Step {
    const std::uint8_t* bits;
    const std::uint8_t* from;
    std::uint64_t flip;

    explicit E8Step(const State& s) noexcept
        : bits(s.streams[0].symbols), from(s.streams[1].symbols),
          flip((s.streams[1].zero & 1) != 0 ? 0xFF : 0) {}

    // Seven symbols of each vector in place; bits h and parities of the vectors.
    [[gnu::always_inline]] __m512i next(Cursors& at, std::size_t v, std::uint64_t& h,
                                        std::uint64_t& odd) const noexcept {
        const std::uint64_t spread = load<std::uint64_t>(bits + v) * 255;
        h = _pext_u64(spread, kOnes);
        const std::uint64_t places = 0x7F7F7F7F7F7F7F7F;
        const __m512i z = _mm512_or_si512(expanded(~spread & places, from + at.free[0]),
                                          expanded(spread & places, from + at.free[1]));
        at.free[0] += 56 - 7 * ones(h);
        at.free[1] += 7 * ones(h);
        odd = _pext_u64(parities(_mm512_test_epi8_mask(z, _mm512_set1_epi8(1))), kOnes) ^ flip;
        return z;
    }
};

// Vectors of one class stand one after the other, so nothing has to be put in order.
std::size_t odd_e8(const std::uint8_t* from, std::size_t vectors) noexcept {
    std::size_t odd = 0;
    for (std::size_t v = 0; v < vectors; v += 8) {
        const std::size_t n = vectors - v < 8 ? vectors - v : 8;
        const std::uint64_t symbols = _mm512_test_epi8_mask(_mm512_loadu_si512(from + 7 * v),
                                                            _mm512_set1_epi8(1));
        odd += ones(parities(_pdep_u64(symbols, 0x7F7F7F7F7F7F7F7F >> 8 * (8 - n))));
    }
    return odd;
}

void count_e8(const State& s, std::size_t* counts) {
    const std::uint8_t* const from = s.streams[1].symbols;
    const std::size_t even = s.cursors.free[1] / 7;
    const std::size_t of_h[2] = {even, s.vectors - even};
    for (unsigned h = 0; h < 2; ++h) {
        const std::size_t odd = odd_e8(from + 7 * even * h, of_h[h]);
        const bool flip = (s.streams[1].zero & 1) != 0;
        counts[2 * h + !flip] = odd;
        counts[2 * h + flip] = of_h[h] - odd;
    }
}

void next_e8(const State& s, Cursors& cursors, std::size_t n, std::int16_t* out) {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const E8Step step(s);
    const Widening widen = widening(8, 1, s.streams[1].zero, 2, s.streams[2].zero);
    const std::uint8_t* const last = s.streams[2].symbols;
    const __m512i one = _mm512_set1_epi16(1);
    const __m512i two = _mm512_set1_epi16(2);
    std::size_t v = 0;
    for (; v + 8 <= n; v += 8, out += 64) {
        std::uint64_t h = 0;
        std::uint64_t odd = 0;
        const __m512i z = step.next(at, at.vector + v, h, odd);
        const std::uint64_t of_class[4] = {~(h | odd) & 255, odd & ~h, h & ~odd, h & odd};
        __m128i m = _mm_setzero_si128();
        for (unsigned k = 0; k < 4; ++k) {
            m = _mm_or_si128(m, expanded(static_cast<std::uint16_t>(of_class[k]), last + at.last[k]));
            at.last[k] += ones(of_class[k]);
        }
        const __m512i all = _mm512_or_si512(
            z, _mm512_maskz_expand_epi8(0x8080808080808080, _mm512_castsi128_si512(m)));
        const std::uint64_t with_h = _pdep_u64(h, kOnes) * 255;
        const std::uint64_t at_last = _pdep_u64(odd, 0x8080808080808080);
        for (unsigned half = 0; half < 2; ++half) {
            __m512i x = widen(half == 0 ? _mm512_castsi512_si256(all)
                                        : _mm512_extracti64x4_epi64(all, 1));
            x = _mm512_mask_add_epi16(x, static_cast<__mmask32>(with_h >> 32 * half), x, one);
            x = _mm512_mask_add_epi16(x, static_cast<__mmask32>(at_last >> 32 * half), x, two);
            _mm512_storeu_si512(out + 32 * half, x);
        }
    }
    at.vector += v;
    cursors = at;
    if (v < n) kMergePortable[kE8].next(s, cursors, n - v, out);
}

// ---- leech: one vector

struct LeechStep {
    static constexpr std::uint32_t kFree = 0x7FFFFF;
    const std::uint32_t* words = golay_words();
    const std::uint8_t* bits;
    const std::uint8_t* information;
    const std::uint8_t* from[3];
    std::uint32_t flip[3];

    explicit LeechStep(const State& s) noexcept
        : bits(s.streams[0].symbols), information(s.streams[1].symbols) {
        for (unsigned k = 0; k < 3; ++k) {
            from[k] = s.streams[2 + k].symbols;
            flip[k] = (s.streams[2 + k].zero & 1) != 0 ? ~0u : 0;
        }
    }

    struct Vector {
        std::uint32_t h;
        std::uint32_t c;
        std::uint32_t of_class[3];
        std::uint32_t odd;    // parity of the last y
        __m256i y;

        std::uint32_t last_class() const noexcept { return 3 * odd + (h != 0 ? 2 : c >> 23); }
    };

    [[gnu::always_inline]] Vector next(Cursors& at, std::size_t v) const noexcept {
        const std::uint8_t* const b = information + 12 * v;
        const std::uint64_t m = _pext_u64(load<std::uint64_t>(b), kOnes) |
                                _pext_u64(load<std::uint32_t>(b + 8), kOnes) << 8;
        Vector x;
        x.h = bits[v];
        x.c = words[m];
        const std::uint32_t even = x.h - 1;
        x.of_class[0] = ~x.c & kFree & even;
        x.of_class[1] = x.c & kFree & even;
        x.of_class[2] = kFree & ~even;
        x.y = _mm256_setzero_si256();
        std::uint32_t flipped = 0;
        for (unsigned k = 0; k < 3; ++k) {
            x.y = _mm256_or_si256(x.y, expanded(x.of_class[k], from[k] + at.free[k]));
            at.free[k] += ones(x.of_class[k]);
            flipped ^= flip[k] & x.of_class[k];
        }
        // Codewords have even weight, so what mirroring does to the parity cancels out.
        const std::uint32_t parities = _mm256_test_epi8_mask(x.y, _mm256_set1_epi8(1)) ^ flipped;
        x.odd = (static_cast<std::uint32_t>(ones(parities)) ^ x.h) & 1;
        return x;
    }
};

void count_leech(const State& s, std::size_t* counts) {
    Cursors at = s.cursors;
    const LeechStep step(s);
    for (std::size_t v = 0; v < s.vectors; ++v) ++counts[step.next(at, v).last_class()];
}

void next_leech(const State& s, Cursors& cursors, std::size_t n, std::int16_t* out) {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const LeechStep step(s);
    const Stream& last = s.streams[5];
    const auto zero_of = [&](unsigned k) {
        return _mm512_set1_epi16(static_cast<short>(s.streams[2 + k].zero));
    };
    const __m512i zeros[3] = {zero_of(0), zero_of(1), zero_of(2)};
    const __m512i minus_one = _mm512_set1_epi16(-1);
    const __m512i two = _mm512_set1_epi16(2);
    for (std::size_t v = 0; v < n; ++v, ++at.vector, out += 24) {
        const LeechStep::Vector vector = step.next(at, at.vector);
        const std::int32_t m = last.symbols[at.last[vector.last_class()]++] - last.zero;
        __m512i zero = _mm512_mask_mov_epi16(zeros[0], vector.of_class[1], zeros[1]);
        zero = _mm512_mask_mov_epi16(zero, vector.of_class[2], zeros[2]);
        __m512i z = _mm512_sub_epi16(_mm512_cvtepu8_epi16(vector.y), zero);
        z = _mm512_mask_set1_epi16(z, 1u << 23,
                                   static_cast<short>(2 * m + static_cast<std::int32_t>(vector.odd)));
        z = _mm512_mask_sub_epi16(z, vector.c & (0 - vector.h), minus_one, z);
        __m512i x = _mm512_add_epi16(_mm512_slli_epi16(z, 2),
                                     _mm512_set1_epi16(static_cast<short>(vector.h)));
        x = _mm512_mask_add_epi16(x, vector.c, x, two);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_castsi512_si256(x));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm512_extracti32x4_epi32(x, 2));
    }
    cursors = at;
}

#pragma GCC pop_options

}  // namespace

const Merge kMergeAvx512[5] = {{}, {}, {next_d4, count_d4}, {next_e8, count_e8}, {next_leech, count_leech}};

}  // namespace qc::lattice

#endif
