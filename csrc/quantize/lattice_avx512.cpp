// quantize/lattice_avx512.cpp - streams to lattice points in float32, several vectors at a time, without branches.
//
// The next symbols of each class are loaded from its cursor and expanded to the places that a mask of the class
// names; a cursor moves on by the ones in its mask.
#include "quantize/lattice.hpp"

#if QC_X86
#include <immintrin.h>

#include <array>

#include "core/bytes.hpp"
#include "quantize/lattice_floats_avx512.hpp"
#include "simd/float_lines.hpp"
#include "simd/indices_avx512.hpp"

namespace qc::lattice {
namespace {

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt")

[[gnu::always_inline]] inline __m128i load_16(const std::uint8_t* from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// ---- z

void count_z(const State& s, std::size_t* counts) { counts[0] += s.vectors - s.cursors.vector; }

template <bool kStream>
void next_z(const State& s, Cursors& cursors, std::size_t n, float scale, float* out) noexcept {
    const std::uint8_t* const from = s.streams[0].symbols + cursors.last[0];
    const __m512i zeros = _mm512_set1_epi32(s.streams[0].zero);
    const __m512 scales = _mm512_set1_ps(scale);
    FloatLines<kStream> lines(out);
    std::size_t v = 0;
    for (; v + 16 <= n; v += 16) {
        const __m512i m = _mm512_sub_epi32(_mm512_cvtepu8_epi32(load_16(from + v)), zeros);
        lines.put(_mm512_mul_ps(_mm512_cvtepi32_ps(m), scales));
    }
    if (v > 0) lines.flush();
    cursors.vector += v;
    cursors.last[0] += v;
    if (v < n) kMergePortable[kZ].next(s, cursors, n - v, scale, false, out + v);
}

// ---- d4: 16 vectors

struct D4Step {
    const std::uint8_t* from;
    std::uint32_t flip;
    __m512i threes = indices([](unsigned k) { return k / 4 * 3 + k % 4; });

    explicit D4Step(const State& s) noexcept
        : from(s.streams[0].symbols), flip((s.streams[0].zero & 1) != 0 ? 0xFFFF : 0) {}

    // Three symbols of each vector in place; `odd` has their parities.
    [[gnu::always_inline]] __m512i next(Cursors& at, std::uint32_t& odd) const noexcept {
        constexpr int kXor3 = 0x96;
        const __m512i z = _mm512_maskz_permutexvar_epi8(0x7777777777777777, threes,
                                                        _mm512_loadu_si512(from + at.free[0]));
        at.free[0] += 48;
        const __m512i sum =
            _mm512_ternarylogic_epi32(z, _mm512_srli_epi32(z, 8), _mm512_srli_epi32(z, 16), kXor3);
        odd = _mm512_test_epi32_mask(sum, _mm512_set1_epi32(1)) ^ flip;
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

constexpr FloatIndices<4> kD4Indices([](unsigned f) { return 64 + f; }, [](unsigned f) { return f; },
                                     [](unsigned f) { return f % 4 == 3 ? 2u : 1u; });

template <bool kStream>
void next_d4(const State& s, Cursors& cursors, std::size_t n, float scale, float* out) noexcept {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const D4Step step(s);
    const std::uint8_t* const last = s.streams[1].symbols;
    const __m512i index[4] = {kD4Indices[0], kD4Indices[1], kD4Indices[2], kD4Indices[3]};
    const __m512 offset = offsets(0x8888, 1, s.streams[0].zero, 2, 2 * s.streams[1].zero);
    const __m512 scales = _mm512_set1_ps(scale);
    FloatLines<kStream> lines(out);
    std::size_t v = 0;
    for (; v + 16 <= n; v += 16) {
        std::uint32_t odd = 0;
        const __m512i z = step.next(at, odd);
        __m128i m = _mm_maskz_expand_epi8(static_cast<__mmask16>(~odd), load_16(last + at.last[0]));
        m = _mm_mask_expand_epi8(m, static_cast<__mmask16>(odd), load_16(last + at.last[1]));
        at.last[0] += 16 - ones(odd);
        at.last[1] += ones(odd);
        const __m512i all = _mm512_or_si512(z, _mm512_slli_epi32(_mm512_cvtepu8_epi32(m), 24));
        const __m512i p = _mm512_maskz_set1_epi32(static_cast<__mmask16>(odd), static_cast<int>(0x80000000u));
#pragma GCC unroll 4
        for (unsigned j = 0; j < 4; ++j) {
            lines.put(_mm512_mul_ps(_mm512_sub_ps(floats(all, index[j], p), offset), scales));
        }
    }
    if (v > 0) lines.flush();
    at.vector += v;
    cursors = at;
    if (v < n) kMergePortable[kD4].next(s, cursors, n - v, scale, false, out + 4 * v);
}

// ---- e8: 8 vectors

constexpr std::uint64_t kOnes = 0x0101010101010101;

// [h]: where the seven symbols of each of eight vectors begin, of bits h: among 64 with h = 0, then 64 with h = 1.
constexpr std::array<std::uint64_t, 256> make_places() {
    std::array<std::uint64_t, 256> places{};
    for (unsigned h = 0; h < 256; ++h) {
        unsigned next[2] = {0, 64};
        for (unsigned v = 0; v < 8; ++v) {
            places[h] |= std::uint64_t{next[h >> v & 1]} << 8 * v;
            next[h >> v & 1] += 7;
        }
    }
    return places;
}
constexpr std::array<std::uint64_t, 256> kPlaces = make_places();

struct E8Step {
    static constexpr std::uint64_t kFree = 0x7F7F7F7F7F7F7F7F;  // bytes
    const std::uint8_t* bits;
    const std::uint8_t* from;
    __m512i flip;
    __m512i same = indices([](unsigned k) { return k / 8; });
    __m512i steps = indices([](unsigned k) { return k % 8; });

    explicit E8Step(const State& s) noexcept
        : bits(s.streams[0].symbols), from(s.streams[1].symbols), flip(_mm512_set1_epi64(s.streams[1].zero & 1)) {}

    // Which vectors have an odd sum of the first seven integers.
    [[gnu::always_inline]] __mmask8 odd_of(__m512i z) const noexcept {
        constexpr int kXorOfAnd = 0x78;  // a ^ (b & c)
        const __m512i low = _mm512_ternarylogic_epi64(flip, z, _mm512_set1_epi64(0x0001010101010101), kXorOfAnd);
        return _mm512_test_epi64_mask(_mm512_sad_epu8(low, _mm512_setzero_si512()), _mm512_set1_epi64(1));
    }

    // Seven symbols of each vector in place, of bits h in bytes.
    [[gnu::always_inline]] __m512i next(Cursors& at, std::uint64_t h) const noexcept {
        const auto places = static_cast<long long>(kPlaces[_pext_u64(h, kOnes)]);
        const __m512i index = _mm512_add_epi8(_mm512_shuffle_epi8(_mm512_set1_epi64(places), same), steps);
        const __m512i z = _mm512_maskz_permutex2var_epi8(kFree, _mm512_loadu_si512(from + at.free[0]), index,
                                                         _mm512_loadu_si512(from + at.free[1]));
        const std::size_t n = ones(h);
        at.free[0] += 56 - 7 * n;
        at.free[1] += 7 * n;
        return z;
    }
};

// Vectors of one class stand one after the other, so nothing has to be put in order.
void count_e8(const State& s, std::size_t* counts) {
    const E8Step step(s);
    const __m512i sevens = indices([](unsigned k) { return k / 8 * 7 + k % 8; });
    const std::uint8_t* symbols = s.streams[1].symbols;
    const std::size_t even = s.cursors.free[1] / 7;
    const std::size_t of_h[2] = {even, s.vectors - even};
    for (unsigned h = 0; h < 2; ++h) {
        for (std::size_t left = of_h[h]; left > 0;) {
            const std::size_t n = left < 8 ? left : 8;
            const __m512i z = _mm512_maskz_permutexvar_epi8(E8Step::kFree, sevens, _mm512_loadu_si512(symbols));
            counts[2 * h + 1] += ones(step.odd_of(z) & ((1u << n) - 1));
            symbols += 7 * n;
            left -= n;
        }
        counts[2 * h] = of_h[h] - counts[2 * h + 1];
    }
}

constexpr FloatIndices<4> kE8Indices([](unsigned f) { return 64 + f; }, [](unsigned f) { return f; },
                                     [](unsigned f) { return f % 8 == 7 ? 4u : 2u; });

template <bool kStream>
void next_e8(const State& s, Cursors& cursors, std::size_t n, float scale, float* out) noexcept {
    Cursors at = cursors;  // a copy that no store can reach stays in registers
    const E8Step step(s);
    const std::uint8_t* const last = s.streams[2].symbols;
    const __m512i index[4] = {kE8Indices[0], kE8Indices[1], kE8Indices[2], kE8Indices[3]};
    const __m512 offset = offsets(0x8080, 2, 2 * s.streams[1].zero, 4, 4 * s.streams[2].zero);
    const __m512i h_bytes = _mm512_set1_epi64(0x4080808080808080);
    const __m512i odd_byte = _mm512_set1_epi64(static_cast<long long>(0x8000000000000000));
    const __m512 scales = _mm512_set1_ps(scale);
    FloatLines<kStream> lines(out);
    // Eight vectors are a chain of 90 cycles, so that a core holds too few of them: the first half of the next ones goes
    // beside the second half of these. What is read behind the last one changes nothing.
    std::uint64_t next_h = load<std::uint64_t>(step.bits + at.vector);
    std::size_t free_before[2] = {at.free[0], at.free[1]};
    __m512i next_z = step.next(at, next_h);
    __mmask8 next_odd = step.odd_of(next_z);
    std::size_t v = 0;
    for (; v + 8 <= n; v += 8) {
        const std::uint64_t h = next_h;
        const __m512i z = next_z;
        const __mmask8 odd_mask = next_odd;
        free_before[0] = at.free[0];
        free_before[1] = at.free[1];
        next_h = load<std::uint64_t>(step.bits + at.vector + v + 8);
        next_z = step.next(at, next_h);
        next_odd = step.odd_of(next_z);
        const std::uint64_t odd = _pdep_u64(odd_mask, kOnes);
        const std::uint64_t of_class[4] = {kOnes & ~(h | odd), odd & ~h, h & ~odd, h & odd};
        std::uint64_t m = 0;
#pragma GCC unroll 4
        for (unsigned k = 0; k < 4; ++k) {
            m |= _pdep_u64(load<std::uint64_t>(last + at.last[k]), of_class[k] * 255);
            at.last[k] += ones(of_class[k]);
        }
        const __m512i at_last = _mm512_slli_epi64(
            _mm512_cvtepu8_epi64(_mm_cvtsi64_si128(static_cast<long long>(m))), 56);
        const __m512i all = _mm512_or_si512(z, at_last);
        __m512i low = _mm512_maskz_mov_epi64(static_cast<__mmask8>(_pext_u64(h, kOnes)), h_bytes);
        low = _mm512_mask_or_epi64(low, odd_mask, low, odd_byte);
#pragma GCC unroll 4
        for (unsigned j = 0; j < 4; ++j) {
            lines.put(_mm512_mul_ps(_mm512_sub_ps(floats(all, index[j], low), offset), scales));
        }
    }
    if (v > 0) lines.flush();
    at.vector += v;
    at.free[0] = free_before[0];
    at.free[1] = free_before[1];
    cursors = at;
    if (v < n) kMergePortable[kE8].next(s, cursors, n - v, scale, false, out + 8 * v);
}

QC_TARGET_END

}  // namespace

const Merge kMergeAvx512[5] = {{},
                               {next<next_z<true>, next_z<false>>, count_z, true},
                               {next<next_d4<true>, next_d4<false>>, count_d4, true},
                               {next<next_e8<true>, next_e8<false>>, count_e8, true},
                               kLeechAvx512};

}  // namespace qc::lattice

#endif
