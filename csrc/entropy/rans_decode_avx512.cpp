// entropy/rans_decode_avx512.cpp - decodes rounds of 64, 128 or 256 lanes with AVX-512 VBMI2.
//
// The tables of a tile live in registers: 256 slots in four, frequencies, bases and symbols in one
// each. States stay in registers for a whole block. Refill and escapes are byte expansions.
#include <algorithm>

#include "core/bytes.hpp"
#include "entropy/rans_decode.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,gfni")
#pragma GCC target("bmi,bmi2,popcnt")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own headers

namespace qc::rans {
namespace {

constexpr __mmask64 kOdd = 0xAAAAAAAAAAAAAAAA;

inline __m512i load_512(const void* p) noexcept { return _mm512_loadu_si512(p); }

struct TableRegisters {
    __m512i slots[4];
    __m512i freq, base_low, base_high, symbol;

    explicit TableRegisters(const Table& t) noexcept
        : slots{load_512(t.slot), load_512(t.slot + 64), load_512(t.slot + 128),
                load_512(t.slot + 192)},
          freq(load_512(t.freq)),
          base_low(load_512(t.base[0])),
          base_high(load_512(t.base[1])),
          symbol(load_512(t.symbol)) {}
};

// Where the raw bits of 64 symbols lie: 8 symbols to a 64-bit word.
struct RawRegisters {
    __m512i bytes, shifts, mask;

    explicit RawRegisters(unsigned width) noexcept {
        const __m512i one_to_8 = _mm512_set1_epi64(0x0706050403020100);
        const __m512i words = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i first = _mm512_shuffle_epi8(
            _mm512_mullo_epi16(words, _mm512_set1_epi64(width)),
            _mm512_set_epi64(0x0808080808080808, 0, 0x0808080808080808, 0, 0x0808080808080808, 0,
                             0x0808080808080808, 0));
        bytes = _mm512_add_epi8(first, one_to_8);
        const std::uint64_t ones = 0x0101010101010101;
        std::uint64_t shift = 0;
        for (unsigned k = 0; k < 8; ++k) shift |= std::uint64_t{k * width} << (8 * k);
        shifts = _mm512_set1_epi64(static_cast<long long>(shift));
        mask = _mm512_set1_epi64(static_cast<long long>(ones * ((1u << width) - 1)));
    }

    __m512i get(const std::uint8_t* p) const noexcept {
        const __m512i spread = _mm512_permutexvar_epi8(bytes, load_512(p));
        return _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, spread), mask);
    }
};

struct Inputs {
    const std::uint8_t* in;
    const std::uint8_t* escape;
    const std::uint8_t* raw;
};

// Decodes 64 symbols of each of kPair groups of 64 lanes. Groups go through each step together: the
// chain of one group is longer than what a core looks ahead.
template <unsigned kPair, bool kEscapes>
inline void decode_groups(const TableRegisters& t, __m512i* high, __m512i* low, Inputs& from,
                          __m512i* symbols) noexcept {
    const __m512i low_bytes = _mm512_set1_epi16(0xFF);
    __m512i entry[kPair], freq[kPair], rank[kPair], even[kPair], odd[kPair];
#pragma GCC unroll 2
    for (unsigned g = 0; g < kPair; ++g) {
        entry[g] = _mm512_mask_blend_epi8(
            _mm512_movepi8_mask(low[g]), _mm512_permutex2var_epi8(t.slots[0], low[g], t.slots[1]),
            _mm512_permutex2var_epi8(t.slots[2], low[g], t.slots[3]));
    }
#pragma GCC unroll 2
    for (unsigned g = 0; g < kPair; ++g) {
        freq[g] = _mm512_permutexvar_epi8(entry[g], t.freq);
        const __m512i base = _mm512_mask_permutexvar_epi8(
            _mm512_permutexvar_epi8(entry[g], t.base_low), _mm512_movepi8_mask(low[g]), entry[g],
            t.base_high);
        rank[g] = _mm512_sub_epi8(low[g], base);
    }
#pragma GCC unroll 2
    for (unsigned g = 0; g < kPair; ++g) {
        even[g] = _mm512_mullo_epi16(_mm512_and_si512(freq[g], low_bytes),
                                     _mm512_and_si512(high[g], low_bytes));
        odd[g] = _mm512_mullo_epi16(_mm512_srli_epi16(freq[g], 8), _mm512_srli_epi16(high[g], 8));
    }
#pragma GCC unroll 2
    for (unsigned g = 0; g < kPair; ++g) {
        even[g] = _mm512_add_epi16(even[g], _mm512_and_si512(rank[g], low_bytes));
        odd[g] = _mm512_add_epi16(odd[g], _mm512_srli_epi16(rank[g], 8));
        low[g] = _mm512_mask_blend_epi8(kOdd, even[g], _mm512_slli_epi16(odd[g], 8));
        high[g] = _mm512_mask_blend_epi8(kOdd, _mm512_srli_epi16(even[g], 8), odd[g]);
    }
#pragma GCC unroll 2
    for (unsigned g = 0; g < kPair; ++g) {
        const __mmask64 refill = _mm512_testn_epi8_mask(high[g], high[g]);
        high[g] = _mm512_mask_mov_epi8(high[g], refill, low[g]);
        low[g] = _mm512_mask_expand_epi8(low[g], refill, load_512(from.in));
        from.in += _mm_popcnt_u64(_cvtmask64_u64(refill));
        symbols[g] = _mm512_permutexvar_epi8(entry[g], t.symbol);
        if constexpr (kEscapes) {
            const __mmask64 escaped = _mm512_cmpeq_epi8_mask(entry[g], _mm512_set1_epi8(kEscape));
            symbols[g] = _mm512_mask_expand_epi8(symbols[g], escaped, load_512(from.escape));
            from.escape += _mm_popcnt_u64(_cvtmask64_u64(escaped));
        }
    }
}

// Rounds of one tile; returns how many were done.
template <unsigned kGroups, bool kEscapes, bool kRaw>
inline std::size_t decode_rounds(const TableRegisters& t, __m512i* high, __m512i* low,
                                 Inputs& from, const RawRegisters& raw, std::size_t raw_step,
                                 const std::uint8_t* limit, std::uint8_t* out,
                                 std::size_t rounds) noexcept {
    constexpr unsigned kPair = kGroups == 1 ? 1 : 2;
    std::size_t k = 0;
    for (; k < rounds && from.in <= limit; ++k) {
#pragma GCC unroll 4
        for (unsigned g = 0; g < kGroups; g += kPair) {
            __m512i symbols[kPair];
            decode_groups<kPair, kEscapes>(t, high + g, low + g, from, symbols);
#pragma GCC unroll 2
            for (unsigned p = 0; p < kPair; ++p, out += 64) {
                if constexpr (kRaw) {
                    symbols[p] = _mm512_or_si512(symbols[p], raw.get(from.raw));
                    from.raw += raw_step;
                }
                _mm512_storeu_si512(out, symbols[p]);
            }
        }
    }
    return k;
}

template <unsigned kGroups, bool kRaw>
std::size_t run(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    constexpr std::size_t kLanes = kGroups * 64;
    const RawRegisters raw(kRaw ? s.raw_bits : 0);
    const std::size_t raw_step = std::size_t{8} * s.raw_bits;
    const std::uint8_t* const limit = s.limit;
    Inputs from{s.in, s.escape, s.raw};
    __m512i high[kGroups];
    __m512i low[kGroups];
    for (unsigned g = 0; g < kGroups; ++g) {
        high[g] = load_512(s.high + 64 * g);
        low[g] = load_512(s.low + 64 * g);
    }
    std::size_t r = 0;
    while (r < rounds && from.in <= limit) {
        if (s.tile_left == 0) enter_tile(s);
        const std::size_t to_do = std::min(rounds - r, s.tile_left / kLanes);
        const TableRegisters t(*s.table);
        std::uint8_t* const to = out + r * kLanes;
        const std::size_t done =
            s.table->freq[kEscape] != 0
                ? decode_rounds<kGroups, true, kRaw>(t, high, low, from, raw, raw_step, limit, to,
                                                     to_do)
                : decode_rounds<kGroups, false, kRaw>(t, high, low, from, raw, raw_step, limit,
                                                      to, to_do);
        r += done;
        s.tile_left -= done * kLanes;
    }
    for (unsigned g = 0; g < kGroups; ++g) {
        _mm512_storeu_si512(s.high + 64 * g, high[g]);
        _mm512_storeu_si512(s.low + 64 * g, low[g]);
    }
    s.in = from.in;
    s.escape = from.escape;
    s.raw = from.raw;
    return r;
}

template <unsigned kGroups>
std::size_t run_lanes(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    return s.raw_bits > 0 ? run<kGroups, true>(s, out, rounds)
                          : run<kGroups, false>(s, out, rounds);
}

std::size_t rounds_avx512(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    return s.lanes == 256   ? run_lanes<4>(s, out, rounds)
           : s.lanes == 128 ? run_lanes<2>(s, out, rounds)
                            : run_lanes<1>(s, out, rounds);
}

}  // namespace

const DecodeKernel kDecodeAvx512{nullptr, rounds_avx512, 64};

std::size_t merge_avx512(const std::uint8_t* nibbles, std::size_t n, const std::uint8_t* values,
                         std::uint8_t zero, std::uint8_t* out) noexcept {
    const std::uint64_t nibble_bits = 0x0F0F0F0F0F0F0F0F;
    const __m512i zeros = _mm512_set1_epi8(static_cast<char>(zero));
    const std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const std::uint64_t mask =
            _pext_u64(load<std::uint64_t>(nibbles + i / 4), nibble_bits) |
            _pext_u64(load<std::uint64_t>(nibbles + i / 4 + 8), nibble_bits) << 32;
        _mm512_storeu_si512(out + i, _mm512_mask_expand_epi8(zeros, _cvtu64_mask64(mask),
                                                             load_512(value)));
        value += _mm_popcnt_u64(mask);
    }
    value += merge_portable(nibbles + i / 4, n - i, value, zero, out + i);
    return static_cast<std::size_t>(value - values);
}

}  // namespace qc::rans

#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
