// entropy/rans_rounds_avx512.hpp - rounds of 64, 128 or 256 lanes with AVX-512 VBMI2, to any sink.
//
// The tables of a tile live in registers: 256 slots in four, frequencies, bases and symbols in one
// each. States stay in registers for a whole block. Refill and escapes are byte expansions. Limits: some
// 26 vector operations for 64 symbols, of which Zen 4 starts 1.7 a cycle: 15.5 cycles. On Zen 5 a round is a chain of
// 40 cycles, slots 8, product 12, bytes 5, refill 15, of which four groups overlap: 10 for each, measured 12. Code here is
// compiled for AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/bytes.hpp"
#include "entropy/rans_decode.hpp"
#include "entropy/trellis.hpp"
#include "simd/indices_avx512.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,"
          "gfni,bmi,bmi2,popcnt,f16c,avx512bf16")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own headers

namespace qc::rans {
namespace {

constexpr __mmask64 kOdd = 0xAAAAAAAAAAAAAAAA;
constexpr __mmask64 kEven = ~kOdd;

// Far enough for a hash that takes a step's bytes before they are decoded.
constexpr std::size_t kReadAhead = kFusedStep * 9 / 16;

inline __m512i load_512(const void* p) noexcept { return _mm512_loadu_si512(p); }

// An entry for each slot.
struct SlotRegisters {
    __m512i quarter[4];

    explicit SlotRegisters(const std::uint8_t* slot) noexcept
        : quarter{load_512(slot), load_512(slot + 64), load_512(slot + 128), load_512(slot + 192)} {}

    [[gnu::always_inline]] __m512i at(__m512i low) const noexcept {
        return _mm512_mask_blend_epi8(_mm512_movepi8_mask(low),
                                      _mm512_permutex2var_epi8(quarter[0], low, quarter[1]),
                                      _mm512_permutex2var_epi8(quarter[2], low, quarter[3]));
    }
};

struct TableRegisters {
    SlotRegisters slots, odd_slots;
    __m512i freq, base_low, base_high, symbol;

    explicit TableRegisters(const Table& t) noexcept
        : slots(t.slot),
          odd_slots(t.odd_slot),
          freq(load_512(t.freq)),
          base_low(load_512(t.base[0])),
          base_high(load_512(t.base[1])),
          symbol(load_512(t.symbol)) {}
};

// States of a trellis as one affine map of bytes takes them on: bit 0 of a state, the context, at bit 7, bit 1 at
// bit 0, the others where they are; bit 1 is free for the branch.
constexpr unsigned walk_code(unsigned state) noexcept {
    return (state & 1) << 7 | (state >> 1 & 1) | (state & 0x7C);
}
constexpr unsigned walk_state(unsigned code) noexcept {
    return code >> 7 | (code & 1) << 1 | (code & 0x7C);
}

// A linear map of bytes as vgf2p8affineqb wants it.
template <class Map>
constexpr std::uint64_t affine_matrix(Map map) noexcept {
    std::uint64_t rows = 0;
    for (unsigned in = 0; in < 8; ++in) {
        for (unsigned out = 0; out < 8; ++out) {
            rows |= std::uint64_t{map(1u << in) >> out & 1} << (8 * (7 - out) + in);
        }
    }
    return rows;
}

inline __m512i affine(__m512i bytes, std::uint64_t matrix) noexcept {
    return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(static_cast<long long>(matrix)), 0);
}

constexpr std::uint64_t kToCode = affine_matrix(walk_code);
constexpr std::uint64_t kToState = affine_matrix(walk_state);

constexpr std::uint64_t walk_matrix(unsigned memory) noexcept {
    return affine_matrix([=](unsigned code) {
        return walk_code(trellis::next_state(memory, walk_state(code & ~2u), code >> 1 & 1));
    });
}

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

// fn(0), fn(1) ... with constants for arguments: arrays of registers stay registers only where every
// index is one before loops are unrolled.
template <unsigned kCount, class Fn>
[[gnu::always_inline]] inline void each(Fn fn) noexcept {
    [&]<unsigned... k>(std::integer_sequence<unsigned, k...>) __attribute__((always_inline)) {
        (fn(std::integral_constant<unsigned, k>{}), ...);
    }(std::make_integer_sequence<unsigned, kCount>{});
}

// Constants of a round. Even and odd lanes are multiplied apart, as 16-bit words, and the bytes of
// their new states put together again.
struct RoundRegisters {
    __m512i even_bytes, low_bytes, high_bytes;
    __m512i walk, branch;

    explicit RoundRegisters(unsigned memory) noexcept
        : even_bytes(_mm512_set1_epi16(0xFF)),
          low_bytes(indices([](unsigned k) { return k % 2 * 64 + k / 2 * 2; })),
          high_bytes(indices([](unsigned k) { return k % 2 * 64 + k / 2 * 2 + 1; })),
          walk(_mm512_set1_epi64(static_cast<long long>(walk_matrix(memory)))),
          branch(_mm512_set1_epi8(2)) {}
};

// Decodes a symbol of each of 64 lanes.
template <bool kEscapes, bool kAlongTrellis>
[[gnu::always_inline]] inline __m512i decode_group(const TableRegisters& t, const RoundRegisters& r,
                                                   __m512i& high, __m512i& low, __m512i& walk,
                                                   Inputs& from) noexcept {
    __m512i entry = t.slots.at(low);
    if constexpr (kAlongTrellis) {
        entry = _mm512_mask_blend_epi8(_mm512_movepi8_mask(walk), entry, t.odd_slots.at(low));
    }
    const __m512i rank =
        _mm512_sub_epi8(low, _mm512_permutex2var_epi8(t.base_low, entry, t.base_high));
    // Odd lanes are top bytes of words: the high half of their product is that of the bytes.
    const __m512i even = _mm512_add_epi16(
        _mm512_mullo_epi16(_mm512_maskz_permutexvar_epi8(kEven, entry, t.freq),
                           _mm512_and_si512(r.even_bytes, high)),
        _mm512_and_si512(r.even_bytes, rank));
    const __m512i odd = _mm512_add_epi16(
        _mm512_mulhi_epu16(_mm512_maskz_permutexvar_epi8(kOdd, entry, t.freq),
                           _mm512_andnot_si512(r.even_bytes, high)),
        _mm512_srli_epi16(rank, 8));
    low = _mm512_permutex2var_epi8(even, r.low_bytes, odd);
    high = _mm512_permutex2var_epi8(even, r.high_bytes, odd);
    const __mmask64 refill = _mm512_testn_epi8_mask(high, high);
    high = _mm512_mask_mov_epi8(high, refill, low);
    low = _mm512_mask_expand_epi8(low, refill, load_512(from.in));
    _mm_prefetch(from.in + kReadAhead, _MM_HINT_T0);
    from.in += _mm_popcnt_u64(_cvtmask64_u64(refill));
    __m512i symbols = _mm512_permutexvar_epi8(entry, t.symbol);
    if constexpr (kEscapes) {
        const __mmask64 escaped = _mm512_movepi8_mask(entry);
        symbols = _mm512_mask_expand_epi8(symbols, escaped, load_512(from.escape));
        from.escape += _mm_popcnt_u64(_cvtmask64_u64(escaped));
    }
    if constexpr (kAlongTrellis) {
        constexpr int kOrAnd = 0xF8;  // a | (b & c)
        walk = _mm512_gf2p8affine_epi64_epi8(
            _mm512_ternarylogic_epi64(walk, symbols, r.branch, kOrAnd), r.walk, 0);
    }
    return symbols;
}

// Rounds of one tile; returns how many were done.
template <unsigned kGroups, bool kEscapes, bool kRaw, bool kAlongTrellis, class Sink>
[[gnu::always_inline]] inline std::size_t decode_rounds(
    const TableRegisters& t, const RoundRegisters& constants, __m512i* states_high,
    __m512i* states_low, __m512i* walks, Inputs& inputs, const RawRegisters& raw, std::size_t raw_step,
    const std::uint8_t* limit, Sink& sink, std::size_t rounds) noexcept {
    __m512i high[kGroups], low[kGroups], walk[kGroups];
    each<kGroups>([&](auto g) __attribute__((always_inline)) {
        high[g] = states_high[g];
        low[g] = states_low[g];
        walk[g] = walks[g];
    });
    Inputs from = inputs;
    std::size_t k = 0;
    for (; k < rounds && from.in <= limit; ++k) {
        each<kGroups>([&](auto g) __attribute__((always_inline)) {
            __m512i symbols =
                decode_group<kEscapes, kAlongTrellis>(t, constants, high[g], low[g], walk[g], from);
            if constexpr (kRaw) {
                symbols = _mm512_or_si512(symbols, raw.get(from.raw));
                from.raw += raw_step;
            }
            sink.put(symbols);
        });
    }
    inputs = from;
    each<kGroups>([&](auto g) __attribute__((always_inline)) {
        states_high[g] = high[g];
        states_low[g] = low[g];
        walks[g] = walk[g];
    });
    return k;
}

template <unsigned kGroups, bool kRaw, bool kAlongTrellis, class Sink>
std::size_t run(Stream& s, Sink& to, std::size_t rounds) noexcept {
    constexpr std::size_t kLanes = kGroups * 64;
    const RoundRegisters constants(kAlongTrellis ? s.memory : 3);
    const RawRegisters raw(kRaw ? s.raw_bits : 0);
    const std::size_t raw_step = std::size_t{8} * s.raw_bits;
    const std::uint8_t* const limit = s.limit;
    Inputs from{s.in, s.escape, s.raw};
    Sink sink = to;  // in registers: stores through it could otherwise alias it
    __m512i high[kGroups];
    __m512i low[kGroups];
    __m512i walk[kGroups];
    for (unsigned g = 0; g < kGroups; ++g) {
        high[g] = load_512(s.high + 64 * g);
        low[g] = load_512(s.low + 64 * g);
        walk[g] = affine(load_512(s.trellis + 64 * g), kToCode);
    }
    std::size_t r = 0;
    while (r < rounds && from.in <= limit) {
        if (s.tile_left == 0) enter_tile(s);
        const std::size_t to_do = std::min(rounds - r, s.tile_left / kLanes);
        const TableRegisters t(*s.table);
        const std::size_t done =
            s.table->freq[kEscape] != 0
                ? decode_rounds<kGroups, true, kRaw, kAlongTrellis>(t, constants, high, low, walk, from, raw,
                                                                    raw_step, limit, sink, to_do)
                : decode_rounds<kGroups, false, kRaw, kAlongTrellis>(t, constants, high, low, walk, from, raw,
                                                                     raw_step, limit, sink, to_do);
        r += done;
        s.tile_left -= done * kLanes;
    }
    for (unsigned g = 0; g < kGroups; ++g) {
        _mm512_storeu_si512(s.high + 64 * g, high[g]);
        _mm512_storeu_si512(s.low + 64 * g, low[g]);
        if constexpr (kAlongTrellis) _mm512_storeu_si512(s.trellis + 64 * g, affine(walk[g], kToState));
    }
    to = sink;
    s.in = from.in;
    s.escape = from.escape;
    s.raw = from.raw;
    return r;
}

template <unsigned kGroups, class Sink>
std::size_t run_groups(Stream& s, Sink& to, std::size_t rounds) noexcept {
    if constexpr (Sink::kTakesTrellis) {
        if (s.memory > 0) return run<kGroups, false, true>(s, to, rounds);
    }
    return s.raw_bits > 0 ? run<kGroups, true, false>(s, to, rounds)
                          : run<kGroups, false, false>(s, to, rounds);
}

// A sink has put(64 symbols in a register), says whether it takes those of a trellis, and can be copied.
template <class Sink>
std::size_t run_lanes(Stream& s, Sink& to, std::size_t rounds) noexcept {
    switch (s.lanes) {
        case 256: return run_groups<4>(s, to, rounds);
        case 128: return run_groups<2>(s, to, rounds);
        default: return run_groups<1>(s, to, rounds);
    }
}

// The next n symbols of a wide plain stream into a sink, which also has flush().
template <class Sink>
Status next_into(Stream& s, std::size_t n, Sink& sink) noexcept {
    const Status status = next_to_sink(
        s, n,
        [](Stream& stream, void* to, std::size_t rounds) noexcept {
            return run_lanes(stream, *static_cast<Sink*>(to), rounds);
        },
        &sink);
    sink.flush();
    return status;
}

}  // namespace
}  // namespace qc::rans

#pragma GCC diagnostic pop
QC_TARGET_END
#endif
