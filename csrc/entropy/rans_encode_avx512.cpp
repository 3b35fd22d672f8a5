// entropy/rans_encode_avx512.cpp - the encoder's loops with AVX-512 VBMI2.
//
// Division by a frequency is a product with its 16-bit inverse, right or one too small, and a
// correction. Bytes that leave the states are compressed and stored downwards: rotated to the top
// of a register, so that a plain store below what is there already does no harm.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/rans_encode.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,bmi,bmi2,popcnt")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own headers

namespace qc::rans {
namespace {

constexpr __mmask64 kOdd = 0xAAAAAAAAAAAAAAAA;
constexpr std::size_t kVector = 64;

inline __m512i load_512(const void* p) noexcept { return _mm512_loadu_si512(p); }

inline unsigned count_64(std::uint64_t mask) noexcept {
    return static_cast<unsigned>(_mm_popcnt_u64(mask));
}

inline __mmask64 first_64(std::size_t n) noexcept {
    return _cvtu64_mask64(n >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1);
}

bool map_avx512(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* index_of,
                std::uint8_t* index) {
    const __m512i t0 = load_512(index_of);
    const __m512i t1 = load_512(index_of + 64);
    const __m512i t2 = load_512(index_of + 128);
    const __m512i t3 = load_512(index_of + 192);
    const __m512i entry = _mm512_set1_epi8(63);
    __m512i seen = _mm512_setzero_si512();
    for (std::size_t i = 0; i < n; i += kVector) {
        const __mmask64 live = first_64(n - i);
        const __m512i s = _mm512_maskz_loadu_epi8(live, symbols + i);
        if (index == nullptr) {
            seen = _mm512_mask_or_epi32(seen, 0xFFFF, seen,
                                        _mm512_maskz_permutexvar_epi8(live, s, t0));
            continue;
        }
        const __m512i v = _mm512_mask_blend_epi8(_mm512_movepi8_mask(s),
                                                 _mm512_permutex2var_epi8(t0, s, t1),
                                                 _mm512_permutex2var_epi8(t2, s, t3));
        seen = _mm512_or_si512(seen, _mm512_maskz_mov_epi8(live, v));
        _mm512_mask_storeu_epi8(index + i, live, _mm512_and_si512(v, entry));
    }
    return _mm512_movepi8_mask(seen) != 0;
}

// Sums of neighbouring quarters of a, then of b.
inline __m512i add_halves(__m512i a, __m512i b) noexcept {
    return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xDD));
}

// Sums of the eight words of each of eight vectors.
inline __m512i add_across(const __m512i* v) noexcept {
    __m512i pairs[4];
    for (unsigned k = 0; k < 4; ++k) {
        pairs[k] = _mm512_add_epi64(_mm512_unpacklo_epi64(v[2 * k], v[2 * k + 1]),
                                    _mm512_unpackhi_epi64(v[2 * k], v[2 * k + 1]));
    }
    return add_halves(add_halves(pairs[0], pairs[1]), add_halves(pairs[2], pairs[3]));
}

void count_avx512(const std::uint8_t* index, std::size_t n, unsigned width,
                  std::uint16_t* counts) {
    if (width > 32 || n > 255 * kVector) {
        kEncodePortable.count(index, n, width, counts);
        return;
    }
    const __m512i zero = _mm512_setzero_si512();
    const __m512i ones = _mm512_set1_epi8(-1);
    for (unsigned e = 0; e < width; e += 8) {
        __m512i found[8];
        for (__m512i& f : found) f = zero;
        for (std::size_t i = 0; i < n; i += kVector) {
            const __mmask64 live = first_64(n - i);
            const __m512i x = _mm512_maskz_loadu_epi8(live, index + i);
            for (unsigned k = 0; k < 8; ++k) {
                const __m512i symbol = _mm512_set1_epi8(static_cast<char>(e + k));
                const __mmask64 same = _mm512_mask_cmpeq_epi8_mask(live, x, symbol);
                found[k] = _mm512_mask_sub_epi8(found[k], same, found[k], ones);
            }
        }
        for (__m512i& f : found) f = _mm512_sad_epu8(f, zero);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(counts + e),
                         _mm512_cvtepi64_epi16(add_across(found)));
    }
}

// Sums of the sixteen words of each of eight vectors: those of 0 .. 3 in the first and second
// quarter, of 4 .. 7 in the others.
inline __m512i add_across_32(const __m512i* v) noexcept {
    __m512i fours[2];
    for (unsigned k = 0; k < 2; ++k, v += 4) {
        const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]),
                                           _mm512_unpackhi_epi32(v[0], v[1]));
        const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]),
                                           _mm512_unpackhi_epi32(v[2], v[3]));
        fours[k] = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    }
    const __m512i halves = _mm512_add_epi32(_mm512_shuffle_i64x2(fours[0], fours[1], 0x88),
                                            _mm512_shuffle_i64x2(fours[0], fours[1], 0xDD));
    return _mm512_add_epi32(halves, _mm512_shuffle_i64x2(halves, halves, 0xB1));
}

// kTables is 2, 8 or 16; tables beyond n_tables cost most, and of equals the first is taken.
template <unsigned kTables>
void choose_tables(const std::uint8_t* index, std::size_t n, const Model& m,
                   std::uint8_t* choices) {
    const __m512i numbers = _mm512_set_epi32(7, 6, 5, 4, 7, 6, 5, 4, 3, 2, 1, 0, 3, 2, 1, 0);
    const __m512i ones_8 = _mm512_set1_epi8(1);
    const __m512i ones_16 = _mm512_set1_epi16(1);
    constexpr unsigned kPadded = kTables < 8 ? 8 : kTables;
    __m512i costs[kTables];
    for (unsigned t = 0; t < kTables; ++t) {
        costs[t] = t < m.n_tables ? load_512(m.costs[t]) : _mm512_set1_epi8(kMaxCost);
    }
    for (std::size_t at = 0; at < n; at += m.tile) {
        const std::size_t end = std::min(at + m.tile, n);
        __m512i sums[kPadded];  // 16 bits: for up to 128 vectors
        for (unsigned t = 0; t < kPadded; ++t) {
            sums[t] = _mm512_set1_epi16(t < kTables ? 0 : 0x7FFF);
        }
        std::size_t i = at;
        for (; i + 2 * kVector <= end; i += 2 * kVector) {
            const __m512i x = load_512(index + i);
            const __m512i y = load_512(index + i + kVector);
            for (unsigned t = 0; t < kTables; ++t) {
                const __m512i cost = _mm512_add_epi8(_mm512_permutexvar_epi8(x, costs[t]),
                                                     _mm512_permutexvar_epi8(y, costs[t]));
                sums[t] = _mm512_add_epi16(sums[t], _mm512_maddubs_epi16(cost, ones_8));
            }
        }
        for (; i < end; i += kVector) {
            const __mmask64 live = first_64(end - i);
            const __m512i x = _mm512_maskz_loadu_epi8(live, index + i);
            for (unsigned t = 0; t < kTables; ++t) {
                const __m512i cost = _mm512_maskz_permutexvar_epi8(live, x, costs[t]);
                sums[t] = _mm512_add_epi16(sums[t], _mm512_maddubs_epi16(cost, ones_8));
            }
        }
        unsigned least = ~0u;
        for (unsigned t = 0; t < kPadded; t += 8) {
            for (unsigned k = 0; k < 8; ++k) sums[t + k] = _mm512_madd_epi16(sums[t + k], ones_16);
            const __m512i number =
                _mm512_add_epi32(numbers, _mm512_set1_epi32(static_cast<int>(t)));
            const __m512i ranked =
                _mm512_or_si512(_mm512_slli_epi32(add_across_32(sums + t), 8), number);
            least = std::min(least, _mm512_reduce_min_epu32(ranked));
        }
        *choices++ = static_cast<std::uint8_t>(least);
    }
}

void choose_avx512(const std::uint8_t* index, std::size_t n, const Model& m,
                   std::uint8_t* choices) {
    if (m.n_tables <= 2) {
        choose_tables<2>(index, n, m, choices);
    } else if (m.n_tables <= 8) {
        choose_tables<8>(index, n, m, choices);
    } else {
        choose_tables<16>(index, n, m, choices);
    }
}

constexpr std::array<std::uint8_t, 128> make_rotations() {
    std::array<std::uint8_t, 128> r{};
    for (unsigned k = 0; k < 128; ++k) r[k] = k & 63;
    return r;
}
alignas(64) constexpr std::array<std::uint8_t, 128> kRotations = make_rotations();

struct TableRegisters {
    __m512i freq, lower, base_low, base_high, inverse_low, inverse_high, escaped;

    explicit TableRegisters(const EncodeTable& t) noexcept
        : freq(load_512(t.freq)),
          lower(load_512(t.lower)),
          base_low(load_512(t.base[0])),
          base_high(load_512(t.base[1])),
          inverse_low(load_512(t.inverse_low)),
          inverse_high(load_512(t.inverse_high)),
          escaped(load_512(t.escaped)) {}
};

// Escaped symbols leave downwards, like everything else.
__attribute__((noinline)) std::uint8_t* put_escapes(const std::uint8_t* symbols, std::uint64_t mask,
                                                    unsigned raw_bits, std::uint8_t* escapes) {
    for (; mask != 0; mask &= ~(std::uint64_t{1} << (std::bit_width(mask) - 1))) {
        *--escapes = static_cast<std::uint8_t>(symbols[std::bit_width(mask) - 1] >> raw_bits);
    }
    return escapes;
}

// Codes 64 symbols, one in each of 64 lanes.
inline std::uint8_t* code_64(const TableRegisters& t, __m512i x, __m512i& high, __m512i& low,
                             std::uint8_t* body) noexcept {
    const __m512i low_bytes = _mm512_set1_epi16(0xFF);
    const __m512i freq = _mm512_permutexvar_epi8(x, t.freq);
    const __m512i inv_low = _mm512_permutexvar_epi8(x, t.inverse_low);
    const __m512i inv_high = _mm512_permutexvar_epi8(x, t.inverse_high);
    const __mmask64 full = _mm512_cmpge_epu8_mask(high, freq);
    const unsigned n = count_64(_cvtmask64_u64(full));
    const __m512i leaving = _mm512_maskz_compress_epi8(full, low);
    const __m512i rotation = load_512(kRotations.data() + n);
    _mm512_storeu_si512(body - kVector, _mm512_permutexvar_epi8(rotation, leaving));
    const __m512i l = _mm512_mask_mov_epi8(low, full, high);
    const __m512i h = _mm512_mask_mov_epi8(high, full, _mm512_setzero_si512());

    const __m512i even = _mm512_mask_blend_epi8(kOdd, l, _mm512_slli_epi16(h, 8));
    const __m512i odd = _mm512_mask_blend_epi8(kOdd, _mm512_srli_epi16(l, 8), h);
    const __m512i inv_even = _mm512_mask_blend_epi8(kOdd, inv_low, _mm512_slli_epi16(inv_high, 8));
    const __m512i inv_odd = _mm512_mask_blend_epi8(kOdd, _mm512_srli_epi16(inv_low, 8), inv_high);
    const __m512i f_even = _mm512_and_si512(freq, low_bytes);
    const __m512i f_odd = _mm512_srli_epi16(freq, 8);
    const __m512i q_even = _mm512_mulhi_epu16(even, inv_even);
    const __m512i q_odd = _mm512_mulhi_epu16(odd, inv_odd);
    const __m512i r_even = _mm512_sub_epi16(even, _mm512_mullo_epi16(q_even, f_even));
    const __m512i r_odd = _mm512_sub_epi16(odd, _mm512_mullo_epi16(q_odd, f_odd));
    // r - f wraps around where the quotient was right, so the smaller one is the rest.
    const __m512i s_even = _mm512_min_epu16(r_even, _mm512_sub_epi16(r_even, f_even));
    const __m512i s_odd = _mm512_min_epu16(r_odd, _mm512_sub_epi16(r_odd, f_odd));
    const __m512i rest = _mm512_mask_blend_epi8(kOdd, s_even, _mm512_slli_epi16(s_odd, 8));
    const __m512i first_rest = _mm512_mask_blend_epi8(kOdd, r_even, _mm512_slli_epi16(r_odd, 8));
    const __m512i quotient = _mm512_mask_blend_epi8(kOdd, q_even, _mm512_slli_epi16(q_odd, 8));
    const __mmask64 short_by_one = _mm512_cmpneq_epi8_mask(rest, first_rest);
    high = _mm512_mask_sub_epi8(quotient, short_by_one, quotient, _mm512_set1_epi8(-1));
    const __mmask64 upper = _mm512_cmpge_epu8_mask(rest, _mm512_permutexvar_epi8(x, t.lower));
    const __m512i base = _mm512_mask_permutexvar_epi8(_mm512_permutexvar_epi8(x, t.base_low),
                                                      upper, x, t.base_high);
    low = _mm512_add_epi8(rest, base);
    return body - n;
}

template <unsigned kGroups>
void run(EncodeJob& job, std::size_t rounds) {
    constexpr std::size_t kLanes = kGroups * kVector;
    const Model& m = *job.model;
    const std::size_t tile_rounds = m.tile / kLanes;
    std::uint8_t* body = job.body;
    std::uint8_t* escapes = job.escapes;
    __m512i high[kGroups];
    __m512i low[kGroups];
    for (unsigned g = 0; g < kGroups; ++g) {
        high[g] = load_512(job.high + kVector * g);
        low[g] = load_512(job.low + kVector * g);
    }
    for (std::size_t stop = rounds; stop > 0;) {
        const std::size_t tile = m.n_tables > 1 ? (stop - 1) / tile_rounds : 0;
        const std::size_t first = m.n_tables > 1 ? tile * tile_rounds : 0;
        const EncodeTable& table = m.encode_tables[m.n_tables > 1 ? job.choices[tile] : 0];
        const TableRegisters t(table);
        for (std::size_t r = stop; r-- > first;) {
            const std::uint8_t* const index = job.index + r * kLanes;
            const std::uint8_t* const symbols = job.symbols + r * kLanes;
#pragma GCC unroll 4
            for (unsigned k = 0; k < kGroups; ++k) {
                const unsigned g = kGroups - 1 - k;
                const __m512i x = load_512(index + kVector * g);
                if (table.has_escapes) {
                    const __mmask64 escaped =
                        _mm512_movepi8_mask(_mm512_permutexvar_epi8(x, t.escaped));
                    if (__builtin_expect(escaped != 0, 0)) {
                        escapes = put_escapes(symbols + kVector * g, _cvtmask64_u64(escaped),
                                              m.raw_bits, escapes);
                    }
                }
                body = code_64(t, x, high[g], low[g], body);
            }
        }
        stop = first;
    }
    for (unsigned g = 0; g < kGroups; ++g) {
        _mm512_storeu_si512(job.high + kVector * g, high[g]);
        _mm512_storeu_si512(job.low + kVector * g, low[g]);
    }
    job.body = body;
    job.escapes = escapes;
}

void rounds_avx512(EncodeJob& job, std::size_t rounds) {
    if (job.lanes == 256) {
        run<4>(job, rounds);
    } else if (job.lanes == 128) {
        run<2>(job, rounds);
    } else {
        run<1>(job, rounds);
    }
}

void pack_avx512(const std::uint8_t* symbols, std::size_t n, unsigned width, std::uint8_t* out) {
    // Neighbours are joined to 16, 32 and 64 bits; of each eight bytes the lowest `width` are full.
    const __m512i mask = _mm512_set1_epi8(static_cast<char>((1u << width) - 1));
    const __m512i join_8 = _mm512_set1_epi16(static_cast<short>(1 | 1 << (8 + width)));
    const __m512i join_16 = _mm512_set1_epi32(1 | 1 << (16 + 2 * width));
    const __m512i low_half = _mm512_set1_epi64(0xFFFFFFFF);
    const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(32 - 4 * width));
    const __mmask64 full = _cvtu64_mask64(0x0101010101010101 * ((1u << width) - 1));
    std::size_t i = 0;
    for (; width <= 6 && i + 2 * kVector <= n; i += kVector, out += 8 * width) {
        const __m512i s = _mm512_and_si512(load_512(symbols + i), mask);
        const __m512i pairs = _mm512_maddubs_epi16(join_8, s);
        const __m512i fours = _mm512_madd_epi16(pairs, join_16);
        const __m512i eights =
            _mm512_or_si512(_mm512_and_si512(fours, low_half),
                            _mm512_srl_epi64(_mm512_andnot_si512(low_half, fours), shift));
        _mm512_mask_storeu_epi8(out, first_64(8 * width), _mm512_maskz_compress_epi8(full, eights));
    }
    kEncodePortable.pack(symbols + i, n - i, width, out);
}

std::size_t split_avx512(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                         std::uint8_t* nibbles, std::uint8_t* values) {
    const std::uint64_t nibble_bits = 0x0F0F0F0F0F0F0F0F;
    const __m512i zeros = _mm512_set1_epi8(static_cast<char>(zero));
    std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + kVector <= n; i += kVector) {
        const __m512i s = load_512(symbols + i);
        const std::uint64_t mask = _cvtmask64_u64(_mm512_cmpneq_epi8_mask(s, zeros));
        store(nibbles + i / 4, _pdep_u64(mask, nibble_bits));
        store(nibbles + i / 4 + 8, _pdep_u64(mask >> 32, nibble_bits));
        _mm512_storeu_si512(value, _mm512_maskz_compress_epi8(_cvtu64_mask64(mask), s));
        value += count_64(mask);
    }
    value += kEncodePortable.split(symbols + i, n - i, zero, nibbles + i / 4, value);
    return static_cast<std::size_t>(value - values);
}

}  // namespace

const EncodeKernel kEncodeAvx512{map_avx512,    count_avx512, choose_avx512,
                                 rounds_avx512, pack_avx512,  split_avx512, 64};

}  // namespace qc::rans

#pragma GCC diagnostic pop
QC_TARGET_END
#endif
