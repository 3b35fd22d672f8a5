// quantize/dithered_avx2.cpp - 32 groups of classes turned at a time; dithers of half a group to a register.
#include "quantize/dithered_kernels.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2")

namespace qc::dithered {
namespace {

[[gnu::always_inline]] inline __m256i set32(std::uint32_t x) noexcept { return _mm256_set1_epi32(static_cast<int>(x)); }

// mix32 but for its last shift, which dithers take together with their own.
[[gnu::always_inline]] inline __m256i mix_most(__m256i x) noexcept {
    x = _mm256_mullo_epi32(_mm256_xor_si256(x, _mm256_srli_epi32(x, 16)), set32(0x7FEB352Du));
    return _mm256_mullo_epi32(_mm256_xor_si256(x, _mm256_srli_epi32(x, 15)), set32(0x846CA68Bu));
}

// x * kWeyl + key for 8 x from `first` on.
[[gnu::always_inline]] inline __m256i weyl(std::uint32_t first, __m256i lanes, std::uint32_t key) noexcept {
    return _mm256_add_epi32(_mm256_mullo_epi32(_mm256_add_epi32(set32(first), lanes), set32(kWeyl)), set32(key));
}

[[gnu::always_inline]] inline __m256i turns_of(__m256i x) noexcept {
    x = mix_most(x);
    return _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi32(x, 16)), set32(kDitherClasses - 1));
}

[[gnu::always_inline]] inline __m256i load_bytes(const std::uint8_t* from) noexcept {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}

// Dithers of whole groups from a run's first on, half a group at a time: fn(offset, dithers of 8 elements).
template <class Fn>
[[gnu::always_inline]] inline void for_dithers(const Run& run, std::size_t whole, Fn fn) noexcept {
    // The upper bits of an odd number of 2^-24, the dither of each class, and its lowest bit.
    std::int32_t classes[2 * kDitherClasses];
    for (unsigned k = 0; k < 2 * kDitherClasses; ++k) {
        classes[k] = (static_cast<std::int32_t>(k % kDitherClasses) - 8) * (1 << 20) + 1;
    }
    const __m256i iota = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i half[2] = {weyl(run.element, iota, run.dither.element_key()),
                       weyl(run.element + 8, iota, run.dither.element_key())};
    __m256i groups = weyl(run.element / kDitherClasses, iota, run.dither.group_key());
    for (std::size_t at = 0; at < whole;) {
        alignas(32) std::uint32_t turn[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(turn), turns_of(groups));
        groups = _mm256_add_epi32(groups, set32(8 * kWeyl));
        for (unsigned g = 0; g < 8 && at < whole; ++g) {
#pragma GCC unroll 2
            for (unsigned k = 0; k < 2; ++k, at += 8) {
                const __m256i x = mix_most(half[k]);
                half[k] = _mm256_add_epi32(half[k], set32(16 * kWeyl));
                const __m256i fraction = _mm256_xor_si256(_mm256_srli_epi32(x, 12), _mm256_srli_epi32(x, 28));
                const __m256i odd = _mm256_or_si256(
                    fraction, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(classes + turn[g] + 8 * k)));
                fn(at, _mm256_mul_ps(_mm256_cvtepi32_ps(odd), _mm256_set1_ps(0x1p-24f)));
            }
        }
    }
}

template <bool kWide>
void subtract(const Run& run, const Symbols& symbols, float scale, float* out) noexcept {
    const __m256i zeros = _mm256_set1_epi32(symbols.zero);
    const __m256 scales = _mm256_set1_ps(scale);
    const std::size_t whole = run.n / kDitherClasses * kDitherClasses;
    for_dithers(run, whole, [&](std::size_t at, __m256 u) __attribute__((always_inline)) {
        __m256i q = _mm256_sub_epi32(load_bytes(symbols.low + at), zeros);
        if constexpr (kWide) q = _mm256_add_epi32(q, _mm256_slli_epi32(load_bytes(symbols.high + at), 8));
        _mm256_storeu_ps(out + at, _mm256_mul_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(q), u), scales));
    });
    subtract_portable(run.from(whole), symbols.from(whole), scale, false, out + whole);
}

// A transpose is four perfect shuffles: rows r and r + 8 interleave to rows 2r and 2r + 1.
[[gnu::always_inline]] inline void transpose_lanes(__m256i (&a)[16]) noexcept {
    __m256i b[16];
#pragma GCC unroll 4
    for (unsigned stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
        for (unsigned r = 0; r < 8; ++r) {
            b[2 * r] = _mm256_unpacklo_epi8(a[r], a[r + 8]);
            b[2 * r + 1] = _mm256_unpackhi_epi8(a[r], a[r + 8]);
        }
#pragma GCC unroll 16
        for (unsigned r = 0; r < 16; ++r) a[r] = b[r];
    }
}

// Turns of 32 consecutive groups in bytes: lane k of byte g is that of group 16k + g.
class Turns {
public:
    explicit Turns(const Run& run) noexcept
        // In the order in which packing to bytes takes them from four registers.
        : groups_(weyl(run.element / kDitherClasses, _mm256_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19),
                       run.dither.group_key())) {}

    [[gnu::always_inline]] __m256i next() noexcept {
        __m256i turns[4];
#pragma GCC unroll 4
        for (unsigned k = 0; k < 4; ++k) turns[k] = turns_of(_mm256_add_epi32(groups_, set32(4 * k * kWeyl)));
        groups_ = _mm256_add_epi32(groups_, set32(32 * kWeyl));
        return _mm256_packus_epi16(_mm256_packs_epi32(turns[0], turns[1]), _mm256_packs_epi32(turns[2], turns[3]));
    }

private:
    __m256i groups_;
};

inline __m256i bytes_from(char first) noexcept {
    const __m128i iota = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm256_add_epi8(_mm256_broadcastsi128_si256(iota), _mm256_set1_epi8(first));
}

}  // namespace

// Elements of groups of their own: a turn for each.
void every_avx2(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out) {
    const __m256i lanes = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), set32(every.stride));
    __m256i element = _mm256_add_epi32(set32(every.first), lanes);
    __m256i next = _mm256_add_epi32(_mm256_mullo_epi32(element, set32(kWeyl)), set32(every.dither.element_key()));
    const __m256 unit = _mm256_set1_ps(0x1p-24f);
    const __m256 scales = _mm256_set1_ps(scale);
    const __m256i zeros = _mm256_set1_epi32(zero);
    std::size_t i = 0;
    for (; i + 8 <= every.n; i += 8) {
        const __m256i x = mix_most(next);
        const __m256i group = _mm256_mullo_epi32(_mm256_srli_epi32(element, 4), set32(kWeyl));
        const __m256i turned =
            _mm256_add_epi32(element, turns_of(_mm256_add_epi32(group, set32(every.dither.group_key()))));
        // Class c at bit 20 is (c - 8) * 2^20 if its highest bit is taken for a sign turned round.
        const __m256i classes = _mm256_slli_epi32(_mm256_xor_si256(turned, set32(8)), 28);
        const __m256i fraction = _mm256_xor_si256(_mm256_srli_epi32(x, 12), _mm256_srli_epi32(x, 28));
        const __m256i odd = _mm256_or_si256(fraction, _mm256_or_si256(_mm256_srai_epi32(classes, 8), set32(1)));
        const __m256 u = _mm256_mul_ps(_mm256_cvtepi32_ps(odd), unit);
        const __m256 q = _mm256_cvtepi32_ps(_mm256_sub_epi32(load_bytes(symbols + i), zeros));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_sub_ps(q, u), scales));
        element = _mm256_add_epi32(element, set32(8 * every.stride));
        next = _mm256_add_epi32(next, set32(8 * every.stride * kWeyl));
    }
    every_portable(every.from(i), symbols + i, zero, scale, out + i);
}

void turn_avx2(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out) {
    const __m256i lanes = bytes_from(0);
    Turns turns(run);
    std::size_t group = 0;
    for (; (group + 32) * kDitherClasses <= run.n; group += 32) {
        const __m256i all = turns.next();
        __m256i a[16];
#pragma GCC unroll 16
        for (unsigned c = 0; c < 16; ++c) {
            a[c] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(planes[c] + group));
        }
        transpose_lanes(a);
        // Lane k of row g is group 16k + g, and takes its own turn; a shuffle looks at the low four bits only.
#pragma GCC unroll 16
        for (unsigned g = 0; g < 16; ++g) {
            const __m256i own = _mm256_shuffle_epi8(all, _mm256_set1_epi8(static_cast<char>(g)));
            a[g] = _mm256_shuffle_epi8(a[g], _mm256_add_epi8(own, lanes));
        }
#pragma GCC unroll 8
        for (unsigned g = 0; g < 16; g += 2) {
            std::uint8_t* const to = out + (group + g) * kDitherClasses;
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute2x128_si256(a[g], a[g + 1], 0x20));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 256), _mm256_permute2x128_si256(a[g], a[g + 1], 0x31));
        }
    }
    const std::uint8_t* rest[kDitherClasses];
    for (unsigned c = 0; c < kDitherClasses; ++c) rest[c] = planes[c] + group;
    turn_portable(run.from(group * kDitherClasses), rest, out + group * kDitherClasses);
}

void scatter_avx2(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes) {
    const __m256i lanes = bytes_from(16);  // less a turn: not below 0, where a shuffle gives zeros
    Turns turns(run);
    std::size_t group = 0;
    for (; (group + 32) * kDitherClasses <= run.n; group += 32) {
        const __m256i all = turns.next();
        const std::uint8_t* const from = symbols + group * kDitherClasses;
        __m256i a[16];
#pragma GCC unroll 16
        for (unsigned g = 0; g < 16; ++g) {
            const auto* const low = reinterpret_cast<const __m128i*>(from + g * kDitherClasses);
            const __m256i own = _mm256_shuffle_epi8(all, _mm256_set1_epi8(static_cast<char>(g)));
            a[g] = _mm256_shuffle_epi8(_mm256_set_m128i(_mm_loadu_si128(low + 16), _mm_loadu_si128(low)),
                                       _mm256_sub_epi8(lanes, own));
        }
        transpose_lanes(a);
#pragma GCC unroll 16
        for (unsigned c = 0; c < 16; ++c) _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes[c] + group), a[c]);
    }
    std::uint8_t* rest[kDitherClasses];
    for (unsigned c = 0; c < kDitherClasses; ++c) rest[c] = planes[c] + group;
    scatter_portable(run.from(group * kDitherClasses), symbols + group * kDitherClasses, rest);
}

void levels_avx2(const Run& run, const float* values, float step, std::int32_t* out) {
    const __m256 steps = _mm256_set1_ps(step);
    const std::size_t whole = run.n / kDitherClasses * kDitherClasses;
    for_dithers(run, whole, [&](std::size_t at, __m256 u) __attribute__((always_inline)) {
        const __m256 x = _mm256_div_ps(_mm256_loadu_ps(values + at), steps);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at), _mm256_cvtps_epi32(_mm256_add_ps(x, u)));
    });
    levels_portable(run.from(whole), values + whole, step, out + whole);
}

void subtract_avx2(const Run& run, const Symbols& symbols, float scale, bool, float* out) {
    symbols.high != nullptr ? subtract<true>(run, symbols, scale, out) : subtract<false>(run, symbols, scale, out);
}

}  // namespace qc::dithered

QC_TARGET_END
#endif
