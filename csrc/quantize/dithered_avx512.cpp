// quantize/dithered_avx512.cpp - 64 groups of classes turned at a time; a dither in nine operations for 16 elements.
//
// The subtraction is fused with the dither's last factor, 2^-24: that product is exact, so the bits are those of
// two operations.
#include "quantize/dithered_kernels.hpp"
#include "simd/float_lines.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512dq")

namespace qc::dithered {
namespace {

constexpr int kXorThenOr = 0xBE;  // (a ^ b) | c

inline __m512i iota32() noexcept {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

// mix32 but for its last shift, which the caller takes together with its own.
[[gnu::always_inline]] inline __m512i mix_most(__m512i x) noexcept {
    x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)), _mm512_set1_epi32(0x7FEB352D));
    return _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 15)),
                              _mm512_set1_epi32(static_cast<int>(0x846CA68B)));
}

inline __m512i set(std::uint32_t x) noexcept { return _mm512_set1_epi32(static_cast<int>(x)); }

// x * kWeyl for 16 consecutive x.
inline __m512i weyl(std::uint32_t first) noexcept {
    return _mm512_mullo_epi32(_mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), iota32()),
                              _mm512_set1_epi32(static_cast<int>(kWeyl)));
}

// Turns of consecutive groups, 16 at a time, in bytes.
class Turns {
public:
    Turns(const Dither& dither, std::uint32_t element) noexcept
        : x_(_mm512_add_epi32(weyl(element / kDitherClasses),
                              _mm512_set1_epi32(static_cast<int>(dither.group_key())))) {}

    [[gnu::always_inline]] __m128i next() noexcept {
        const __m512i x = mix_most(x_);
        x_ = _mm512_add_epi32(x_, _mm512_set1_epi32(static_cast<int>(16 * kWeyl)));
        const __m512i mixed = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
        return _mm512_cvtepi32_epi8(_mm512_and_si512(mixed, _mm512_set1_epi32(kDitherClasses - 1)));
    }

private:
    __m512i x_;
};

// A transpose is four perfect shuffles: rows r and r + 8 interleave to rows 2r and 2r + 1.
[[gnu::always_inline]] inline void transpose_lanes(__m512i (&a)[16]) noexcept {
    __m512i b[16];
#pragma GCC unroll 4
    for (unsigned stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
        for (unsigned r = 0; r < 8; ++r) {
            b[2 * r] = _mm512_unpacklo_epi8(a[r], a[r + 8]);
            b[2 * r + 1] = _mm512_unpackhi_epi8(a[r], a[r + 8]);
        }
#pragma GCC unroll 16
        for (unsigned r = 0; r < 16; ++r) a[r] = b[r];
    }
}

// Four rows of four lanes, rows to columns.
[[gnu::always_inline]] inline void store_columns(const __m512i* a, std::uint8_t* out, std::size_t stride) noexcept {
    const __m512i low01 = _mm512_shuffle_i32x4(a[0], a[1], 0x44);
    const __m512i low23 = _mm512_shuffle_i32x4(a[2], a[3], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(a[0], a[1], 0xEE);
    const __m512i high23 = _mm512_shuffle_i32x4(a[2], a[3], 0xEE);
    _mm512_storeu_si512(out, _mm512_shuffle_i32x4(low01, low23, 0x88));
    _mm512_storeu_si512(out + stride, _mm512_shuffle_i32x4(low01, low23, 0xDD));
    _mm512_storeu_si512(out + 2 * stride, _mm512_shuffle_i32x4(high01, high23, 0x88));
    _mm512_storeu_si512(out + 3 * stride, _mm512_shuffle_i32x4(high01, high23, 0xDD));
}

[[gnu::always_inline]] inline __m512i load_bytes(const std::uint8_t* from) noexcept {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

template <bool kWide, bool kStream>
void subtract(const Run& run, const Symbols& symbols, float scale, float* out) noexcept {
    // The upper bits of an odd number of 2^-24, the dither of each class, and its lowest bit.
    std::int32_t classes[2 * kDitherClasses];
    for (unsigned k = 0; k < 2 * kDitherClasses; ++k) {
        classes[k] = (static_cast<std::int32_t>(k % kDitherClasses) - 8) * (1 << 20) + 1;
    }
    __m512i next = _mm512_add_epi32(weyl(run.element),
                                    _mm512_set1_epi32(static_cast<int>(run.dither.element_key())));
    Turns turns(run.dither, run.element);
    const __m512i zeros = _mm512_set1_epi32(symbols.zero);
    const __m512 scales = _mm512_set1_ps(scale);
    const __m512 unit = _mm512_set1_ps(0x1p-24f);
    FloatLines<kStream> lines(out);
    const std::size_t whole = run.n / kDitherClasses * kDitherClasses;
    for (std::size_t at = 0; at < whole;) {
        alignas(16) std::uint8_t turn[16];
        _mm_store_si128(reinterpret_cast<__m128i*>(turn), turns.next());
        for (unsigned g = 0; g < 16 && at < whole; ++g, at += kDitherClasses) {
            const __m512i x = mix_most(next);
            next = _mm512_add_epi32(next, _mm512_set1_epi32(static_cast<int>(16 * kWeyl)));
            const __m512i odd = _mm512_ternarylogic_epi32(
                _mm512_srli_epi32(x, 12), _mm512_srli_epi32(x, 28), _mm512_loadu_si512(classes + turn[g]),
                kXorThenOr);
            __m512i q = _mm512_sub_epi32(load_bytes(symbols.low + at), zeros);
            if constexpr (kWide) q = _mm512_add_epi32(q, _mm512_slli_epi32(load_bytes(symbols.high + at), 8));
            const __m512 left = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(odd), unit, _mm512_cvtepi32_ps(q));
            lines.put(_mm512_mul_ps(left, scales));
        }
    }
    if (whole > 0) lines.flush();
    subtract_portable(run.from(whole), symbols.from(whole), scale, kStream, out + whole);
}

}  // namespace

// Elements of groups of their own: a turn for each.
void every_avx512(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out) {
    const __m512i lanes = _mm512_mullo_epi32(iota32(), set(every.stride));
    __m512i element = _mm512_add_epi32(set(every.first), lanes);
    __m512i next = _mm512_add_epi32(_mm512_mullo_epi32(element, set(kWeyl)), set(every.dither.element_key()));
    const __m512 unit = _mm512_set1_ps(0x1p-24f);
    const __m512 scales = _mm512_set1_ps(scale);
    const __m512i zeros = _mm512_set1_epi32(zero);
    std::size_t i = 0;
    for (; i + 16 <= every.n; i += 16) {
        const __m512i x = mix_most(next);
        const __m512i group = _mm512_mullo_epi32(_mm512_srli_epi32(element, 4), set(kWeyl));
        const __m512i y = mix_most(_mm512_add_epi32(group, set(every.dither.group_key())));
        const __m512i turned = _mm512_add_epi32(element, _mm512_xor_si512(y, _mm512_srli_epi32(y, 16)));
        // Class c at bit 20 is (c - 8) * 2^20 if its highest bit is taken for a sign turned round.
        const __m512i classes = _mm512_slli_epi32(_mm512_xor_si512(turned, set(8)), 28);
        const __m512i odd = _mm512_ternarylogic_epi32(
            _mm512_srli_epi32(x, 12), _mm512_srli_epi32(x, 28),
            _mm512_or_si512(_mm512_srai_epi32(classes, 8), set(1)), kXorThenOr);
        const __m512i q = _mm512_sub_epi32(load_bytes(symbols + i), zeros);
        const __m512 left = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(odd), unit, _mm512_cvtepi32_ps(q));
        _mm512_storeu_ps(out + i, _mm512_mul_ps(left, scales));
        element = _mm512_add_epi32(element, set(16 * every.stride));
        next = _mm512_add_epi32(next, set(16 * every.stride * kWeyl));
    }
    every_portable(every.from(i), symbols + i, zero, scale, out + i);
}

void turn_avx512(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out) {
    const __m512i lanes = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    Turns turns(run.dither, run.element);
    std::size_t group = 0;
    for (; (group + 64) * kDitherClasses <= run.n; group += 64) {
        __m512i a[16];
#pragma GCC unroll 16
        for (unsigned c = 0; c < 16; ++c) a[c] = _mm512_loadu_si512(planes[c] + group);
        transpose_lanes(a);
        alignas(64) std::uint8_t turn[64];
        for (unsigned k = 0; k < 4; ++k) {
            _mm_store_si128(reinterpret_cast<__m128i*>(turn + 16 * k), turns.next());
        }
        const __m512i all = _mm512_load_si512(turn);
        // Lane k of row g is group 16k + g, and takes its own turn; a shuffle looks at the low four bits only.
#pragma GCC unroll 16
        for (unsigned g = 0; g < 16; ++g) {
            const __m512i own = _mm512_shuffle_epi8(all, _mm512_set1_epi8(static_cast<char>(g)));
            a[g] = _mm512_shuffle_epi8(a[g], _mm512_add_epi8(own, lanes));
        }
#pragma GCC unroll 4
        for (unsigned g = 0; g < 16; g += 4) store_columns(a + g, out + (group + g) * 16, 256);
    }
    const std::uint8_t* rest[kDitherClasses];
    for (unsigned c = 0; c < kDitherClasses; ++c) rest[c] = planes[c] + group;
    turn_portable(run.from(group * kDitherClasses), rest, out + group * kDitherClasses);
}

void subtract_avx512(const Run& run, const Symbols& symbols, float scale, bool stream, float* out) {
    const bool wide = symbols.high != nullptr;
    if (stream) {
        wide ? subtract<true, true>(run, symbols, scale, out) : subtract<false, true>(run, symbols, scale, out);
    } else {
        wide ? subtract<true, false>(run, symbols, scale, out) : subtract<false, false>(run, symbols, scale, out);
    }
}

}  // namespace qc::dithered

QC_TARGET_END
#endif
