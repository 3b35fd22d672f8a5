// entropy/rans_rounds_avx512.hpp - rounds of 64, 128 or 256 lanes with AVX-512 VBMI2, to any sink.
//
// Tables come from L1: 256 slots are four lines, frequencies, bases and symbols one each. States stay in registers for
// a block. Refill and escapes are byte expansions. On Zen 5 a round of 64 lanes is a chain of 43 cycles, of a trellis 49:
// entries 10, product 11, states 10, refill 9. Four groups overlap: 12 cycles for each, of a trellis 16, where ports
// alone would do 9. Two streams of 256 lanes in one loop, or a hash taken along in it, are slower from memory. Code here
// is compiled for AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include <algorithm>
#include <optional>
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

// The entries of 64 of the 256 slots.
[[gnu::always_inline]] inline __m512i entries_of(const std::uint8_t* slot, __m512i low) noexcept {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(low),
                                  _mm512_permutex2var_epi8(load_512(slot), low, load_512(slot + 64)),
                                  _mm512_permutex2var_epi8(load_512(slot + 128), low, load_512(slot + 192)));
}

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

// fn(0), fn(1) ... with constants for arguments: arrays of registers stay registers only where every
// index is one before loops are unrolled.
template <unsigned kCount, class Fn>
[[gnu::always_inline]] inline void each(Fn fn) noexcept {
    [&]<unsigned... k>(std::integer_sequence<unsigned, k...>) __attribute__((always_inline)) {
        (fn(std::integral_constant<unsigned, k>{}), ...);
    }(std::make_integer_sequence<unsigned, kCount>{});
}

// Constants of a round. Even and odd lanes are multiplied apart, as 16-bit words.
struct RoundRegisters {
    __m512i even_bytes;
    __m512i walk, branch;

    explicit RoundRegisters(unsigned memory) noexcept
        : even_bytes(_mm512_set1_epi16(0xFF)),
          walk(_mm512_set1_epi64(static_cast<long long>(walk_matrix(memory)))),
          branch(_mm512_set1_epi8(2)) {}

    // Bytes of even lanes, and of odd ones.
    [[gnu::always_inline]] __m512i join(__m512i even, __m512i odd) const noexcept {
        constexpr int kSelect = 0xCA;  // a ? b : c
        return _mm512_ternarylogic_epi64(even_bytes, even, odd, kSelect);
    }
};

// A stream while it is decoded.
struct Source {
    const std::uint8_t* in;
    const std::uint8_t* escape;
    const std::uint8_t* raw;
    const std::uint8_t* limit;
    std::size_t raw_step;
    std::size_t tile_left;  // in rounds
    const Table* table;     // in which entries are found,
    const Table* values;    // and what they mean: a round begins before the one before it has ended
};

// 64 lanes, and what is known of their next symbols.
struct Group {
    __m512i high, low, walk;
    __m512i entry, symbols, even, odd;
    __mmask64 refill;
};

// The four stages of a round of 64 lanes, of some 11 cycles each on Zen 5.
template <bool kAlongTrellis>
[[gnu::always_inline]] inline void find_entries(const Table& t, Group& g) noexcept {
    g.entry = entries_of(t.slot, g.low);
    if constexpr (kAlongTrellis) {
        g.entry = _mm512_mask_blend_epi8(_mm512_movepi8_mask(g.walk), g.entry, entries_of(t.odd_slot, g.low));
    }
}

[[gnu::always_inline]] inline void multiply(const Table& t, const RoundRegisters& r, Group& g) noexcept {
    const __m512i base = _mm512_permutex2var_epi8(load_512(t.base[0]), g.entry, load_512(t.base[1]));
    const __m512i rank = _mm512_sub_epi8(g.low, base);
    const __m512i freq = load_512(t.freq);
    // Odd lanes are top bytes of words: the high half of their product is that of the bytes.
    g.even = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_maskz_permutexvar_epi8(kEven, g.entry, freq),
                                                 _mm512_and_si512(r.even_bytes, g.high)),
                              _mm512_and_si512(r.even_bytes, rank));
    g.odd = _mm512_add_epi16(_mm512_mulhi_epu16(_mm512_maskz_permutexvar_epi8(kOdd, g.entry, freq),
                                                _mm512_andnot_si512(r.even_bytes, g.high)),
                             _mm512_srli_epi16(rank, 8));
    g.symbols = _mm512_permutexvar_epi8(g.entry, load_512(t.symbol));
}

template <bool kEscapes, bool kAlongTrellis>
[[gnu::always_inline]] inline void take_symbols(const RoundRegisters& r, Group& g, Source& from) noexcept {
    g.low = r.join(g.even, _mm512_slli_epi16(g.odd, 8));
    g.high = r.join(_mm512_srli_epi16(g.even, 8), g.odd);
    g.refill = _mm512_testn_epi8_mask(g.high, g.high);
    if constexpr (kEscapes) {
        const __mmask64 escaped = _mm512_movepi8_mask(g.entry);
        g.symbols = _mm512_mask_expand_epi8(g.symbols, escaped, load_512(from.escape));
        from.escape += _mm_popcnt_u64(_cvtmask64_u64(escaped));
    }
    if constexpr (kAlongTrellis) {
        constexpr int kOrAnd = 0xF8;  // a | (b & c)
        g.walk = _mm512_gf2p8affine_epi64_epi8(_mm512_ternarylogic_epi64(g.walk, g.symbols, r.branch, kOrAnd), r.walk, 0);
    }
}

[[gnu::always_inline]] inline void refill(Group& g, Source& from) noexcept {
    g.high = _mm512_mask_mov_epi8(g.high, g.refill, g.low);
    g.low = _mm512_mask_expand_epi8(g.low, g.refill, load_512(from.in));
    _mm_prefetch(from.in + kReadAhead, _MM_HINT_T0);
    from.in += _mm_popcnt_u64(_cvtmask64_u64(g.refill));
}

// Of the pipeline that rounds run through.
enum class Phase { kFill, kSteady, kDrain };

// Rounds of streams side by side, each of kGroups * 64 lanes, to a sink each; returns how many were done. A stage of
// one group follows another stage of the next: so instructions stand about in the order in which they can begin.
template <unsigned kStreams, unsigned kGroups, bool kEscapes, bool kRaw, bool kAlongTrellis, class Sink>
std::size_t run(Stream* const* streams, Sink* sinks, std::size_t rounds) noexcept {
    constexpr unsigned kAll = kStreams * kGroups;
    constexpr unsigned kStages = 4;
    const RoundRegisters constants(kAlongTrellis ? streams[0]->memory : 3);
    Source from[kStreams];
    std::optional<RawRegisters> raw[kStreams];
    std::optional<Sink> sink[kStreams];  // in registers: stores through it could otherwise alias it
    Group group[kAll];
    bool inside = rounds > 0;
    each<kStreams>([&](auto k) __attribute__((always_inline)) {
        const Stream& s = *streams[k];
        from[k] = {s.in,       s.escape, s.raw, s.limit, std::size_t{8} * s.raw_bits, s.tile_left / (kGroups * 64),
                   s.table, s.table};
        if constexpr (kRaw) raw[k].emplace(s.raw_bits);
        sink[k].emplace(sinks[k]);
        each<kGroups>([&](auto n) __attribute__((always_inline)) {
            Group& g = group[n * kStreams + k];
            g.high = load_512(s.high + 64 * n);
            g.low = load_512(s.low + 64 * n);
            g.walk = affine(load_512(s.trellis + 64 * n), kToCode);
        });
        inside &= from[k].in <= from[k].limit;
    });
    if (!inside) return 0;
    const auto stage = [&]<unsigned kStage, unsigned kGroup>() __attribute__((always_inline)) {
        Group& g = group[kGroup];
        Source& s = from[kGroup % kStreams];
        constexpr bool kBegins = kGroup < kStreams;  // a round of its stream
        if constexpr (kStage == 0) {
            if constexpr (kBegins) {
                if (s.tile_left == 0) {
                    enter_tile(*streams[kGroup]);
                    s.table = streams[kGroup]->table;
                    s.tile_left = streams[kGroup]->tile_left / (kGroups * 64);
                }
                --s.tile_left;
            }
            find_entries<kAlongTrellis>(*s.table, g);
        } else if constexpr (kStage == 1) {
            if constexpr (kBegins) s.values = s.table;
            multiply(*s.values, constants, g);
        } else if constexpr (kStage == 2) {
            take_symbols<kEscapes, kAlongTrellis>(constants, g, s);
            if constexpr (kRaw) {
                g.symbols = _mm512_or_si512(g.symbols, raw[kGroup % kStreams]->get(s.raw));
                s.raw += s.raw_step;
            }
        } else {
            refill(g, s);
            sink[kGroup % kStreams]->put(g.symbols);
        }
    };
    // In place k the group k begins a round, and those `back` before it are that many places on in theirs.
    const auto round = [&]<Phase kPhase>() __attribute__((always_inline)) {
        each<kAll>([&](auto k) __attribute__((always_inline)) {
            each<kAll>([&](auto n) __attribute__((always_inline)) {
                constexpr unsigned kBack = kAll - 1 - n;
                constexpr bool kOfLastRound = k < kBack;
                if constexpr (kPhase == Phase::kSteady || kOfLastRound == (kPhase == Phase::kDrain)) {
                    each<kStages>([&](auto m) __attribute__((always_inline)) {
                        if constexpr (m * kAll / kStages == kBack) {
                            stage.template operator()<m, (k + kAll - kBack) % kAll>();
                        }
                    });
                }
            });
        });
    };
    round.template operator()<Phase::kFill>();
    std::size_t r = 1;
    for (; r < rounds; ++r) {
        each<kStreams>([&](auto k) __attribute__((always_inline)) { inside &= from[k].in <= from[k].limit; });
        if (!inside) break;
        round.template operator()<Phase::kSteady>();
    }
    round.template operator()<Phase::kDrain>();
    each<kStreams>([&](auto k) __attribute__((always_inline)) {
        Stream& s = *streams[k];
        each<kGroups>([&](auto n) __attribute__((always_inline)) {
            const Group& g = group[n * kStreams + k];
            _mm512_storeu_si512(s.high + 64 * n, g.high);
            _mm512_storeu_si512(s.low + 64 * n, g.low);
            if constexpr (kAlongTrellis) _mm512_storeu_si512(s.trellis + 64 * n, affine(g.walk, kToState));
        });
        s.in = from[k].in;
        s.escape = from[k].escape;
        s.raw = from[k].raw;
        s.tile_left = from[k].tile_left * (kGroups * 64);
        sinks[k] = *sink[k];
    });
    return r;
}

template <unsigned kStreams, unsigned kGroups, class Sink>
std::size_t run_groups(Stream* const* streams, Sink* sinks, std::size_t rounds) noexcept {
    const auto any = [&](auto has) { return std::any_of(streams, streams + kStreams, has); };
    const bool escapes = any([](const Stream* s) { return s->has_escapes; });
    if constexpr (Sink::kTakesTrellis) {
        if (streams[0]->memory > 0) {
            return escapes ? run<kStreams, kGroups, true, false, true>(streams, sinks, rounds)
                           : run<kStreams, kGroups, false, false, true>(streams, sinks, rounds);
        }
    }
    // Without raw bits, those that are read in vain are the states: as many bytes.
    if (any([](const Stream* s) { return s->raw_bits > 0; })) {
        return escapes ? run<kStreams, kGroups, true, true, false>(streams, sinks, rounds)
                       : run<kStreams, kGroups, false, true, false>(streams, sinks, rounds);
    }
    return escapes ? run<kStreams, kGroups, true, false, false>(streams, sinks, rounds)
                   : run<kStreams, kGroups, false, false, false>(streams, sinks, rounds);
}

// A sink has put(64 symbols in a register), says whether it takes those of a trellis, and can be copied.
template <class Sink>
std::size_t run_lanes(Stream& s, Sink& to, std::size_t rounds) noexcept {
    Stream* const alone = &s;
    switch (s.lanes) {
        case 256: return run_groups<1, 4>(&alone, &to, rounds);
        case 128: return run_groups<1, 2>(&alone, &to, rounds);
        default: return run_groups<1, 1>(&alone, &to, rounds);
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
