// entropy/rans_rounds_avx2.hpp - rounds of 32 or more lanes with AVX2, to any sink.
//
// The entry of a slot is found by binary search over the first u of each (see place_slots): one
// pshufb a level, four levels for up to 16 entries, five for 32, six for 64. Along a trellis the entries of
// even states lie before those of odd ones, each half of a search of up to seven levels, and the state is the
// first decision. States are kept in memory. Code here is compiled for AVX2: include it only behind a run-time check.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/bytes.hpp"
#include "entropy/rans_decode.hpp"
#include "entropy/trellis.hpp"
#include "simd/byte_table_avx2.hpp"
#include "simd/isa.hpp"
#include "simd/spread_avx2.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc::rans {
namespace {

constexpr std::size_t kVector = 32;

constexpr unsigned kMostLevels = 7;
constexpr unsigned kFound = 1u << kMostLevels;

// In a Stream's kernel_tables. The last entry of a context is repeated up to the end of its part of the search,
// where it is found.
struct SearchTable {
    std::uint8_t levels[kMostLevels][kFound / 2];  // threshold by the bits of the entry found so far
    std::uint8_t freq[kFound];
    std::uint8_t base[2][kFound];
    std::uint8_t symbol[kFound];
    std::uint8_t first[kFound];  // in the order u
    bool has_escape;             // as the last entry of each context
};
static_assert(sizeof(SearchTable) <= sizeof(Stream::kernel_tables[0]));

inline const SearchTable& search_table(const Stream& s, unsigned t) noexcept {
    return *reinterpret_cast<const SearchTable*>(s.kernel_tables[t]);
}

inline __m256i load_twice(const std::uint8_t* p) noexcept {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline __m256i load_256(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

inline void store_256(std::uint8_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}

// Counted from the start, not from one to the next: `in` is what rounds wait for.
inline __m256i spread_32(std::uint32_t mask, const std::uint8_t*& in) noexcept {
    const __m128i a = spread_8(mask, in);
    const __m128i b = spread_8(mask >> 8, in + _mm_popcnt_u32(mask & 0xFF));
    const __m128i c = spread_8(mask >> 16, in + _mm_popcnt_u32(mask & 0xFFFF));
    const __m128i d = spread_8(mask >> 24, in + _mm_popcnt_u32(mask & 0xFFFFFF));
    in += _mm_popcnt_u32(mask);
    return _mm256_set_m128i(_mm_unpacklo_epi64(c, d), _mm_unpacklo_epi64(a, b));
}

inline __m256i raw_32(const std::uint8_t* p, unsigned width, std::uint64_t mask) noexcept {
    const auto get = [&](unsigned k) {
        return static_cast<long long>(_pdep_u64(load<std::uint64_t>(p + k * width), mask));
    };
    return _mm256_set_epi64x(get(3), get(2), get(1), get(0));
}

// Trellis states, which begin with the context, to the ones that follow.
struct Walk {
    __m256i context, branch;

    explicit Walk(unsigned memory) noexcept {
        const trellis::Taps taps = memory > 0 ? trellis::taps(memory) : trellis::Taps{0, 0};
        alignas(16) std::uint8_t bytes[2][16];
        for (unsigned k = 0; k < 16; ++k) {
            bytes[0][k] = static_cast<std::uint8_t>((k & 1) != 0 ? taps.context : 0);
            bytes[1][k] = static_cast<std::uint8_t>((k & 2) != 0 ? taps.branch : 0);
        }
        context = load_twice(bytes[0]);
        branch = load_twice(bytes[1]);
    }

    __m256i next(__m256i states, __m256i symbols) const noexcept {
        const __m256i half = _mm256_and_si256(_mm256_srli_epi16(states, 1), _mm256_set1_epi8(0x7F));
        return _mm256_xor_si256(
            _mm256_xor_si256(half, _mm256_shuffle_epi8(context, states)),
            _mm256_shuffle_epi8(branch, _mm256_and_si256(symbols, _mm256_set1_epi8(2))));
    }
};

// fn(0), fn(1) ... with constants for arguments, so that arrays of registers stay registers.
template <unsigned kCount, class Fn>
[[gnu::always_inline]] inline void each(Fn fn) noexcept {
    [&]<unsigned... k>(std::integer_sequence<unsigned, k...>) __attribute__((always_inline)) {
        (fn(std::integral_constant<unsigned, k>{}), ...);
    }(std::make_integer_sequence<unsigned, kCount>{});
}

template <unsigned kLevels>
struct TableRegisters {
    ByteTable<0> level_1;
    ByteTable<1> level_2;
    ByteTable<2> level_3;
    ByteTable<3> level_4;
    ByteTable<4> level_5;
    ByteTable<5> level_6;
    ByteTable<6> level_7;
    ByteTable<kLevels> freq, lower, upper, symbol;

    explicit TableRegisters(const SearchTable& t) noexcept
        : level_1(t.levels[0]),
          level_2(t.levels[1]),
          level_3(t.levels[2]),
          level_4(t.levels[3]),
          level_5(t.levels[4]),
          level_6(t.levels[5]),
          level_7(t.levels[6]),
          freq(t.freq),
          lower(t.base[0]),
          upper(t.base[1]),
          symbol(t.symbol) {}

    // Of slots, in the context of these trellis states.
    template <bool kAlongTrellis, unsigned kVectors>
    [[gnu::always_inline]] void find(const __m256i* low, const __m256i* walk, __m256i* e) const noexcept {
        const __m256i zero = _mm256_setzero_si256();
        __m256i u[kVectors];
        each<kVectors>([&](auto v) __attribute__((always_inline)) {
            u[v] = _mm256_xor_si256(
                _mm256_sub_epi8(_mm256_add_epi8(low[v], low[v]), _mm256_cmpgt_epi8(zero, low[v])),
                _mm256_set1_epi8(-128));
            e[v] = kAlongTrellis ? _mm256_and_si256(walk[v], _mm256_set1_epi8(1)) : zero;
        });
        const auto decide = [&](const auto& level) __attribute__((always_inline)) {
            each<kVectors>([&](auto v) __attribute__((always_inline)) {
                e[v] = _mm256_sub_epi8(_mm256_add_epi8(e[v], e[v]), _mm256_cmpgt_epi8(u[v], level.at(e[v])));
            });
        };
        if constexpr (!kAlongTrellis) decide(level_1);
        decide(level_2);
        decide(level_3);
        decide(level_4);
        if constexpr (kLevels > 4) decide(level_5);
        if constexpr (kLevels > 5) decide(level_6);
        if constexpr (kLevels > 6) decide(level_7);
    }
};

// A sink can be copied, and has kTakesTrellis; kItem, the bytes that a symbol becomes; `at`, where the next ones go;
// end_round(); and Tile<kLevels>, made for it and a table, whose put() takes entries, symbols and a mask of those that
// were escaped.
template <unsigned kLevels, bool kAlongTrellis, unsigned kVectors, class Sink>
std::size_t run(Stream& s, Sink& to, std::size_t rounds) noexcept {
    Sink sink = to;  // in registers: stores through it could otherwise alias it
    const std::size_t lanes = s.lanes;
    const unsigned raw_bits = s.raw_bits;
    const std::uint64_t raw_mask = 0x0101010101010101 * ((1u << raw_bits) - 1);
    const __m256i low_bytes = _mm256_set1_epi16(0xFF);
    const __m256i zero = _mm256_setzero_si256();
    // Of the last entry of every context.
    const __m256i context_bit = _mm256_set1_epi8(kAlongTrellis ? 1 << (kLevels - 1) : 0);
    const __m256i last_entry = _mm256_set1_epi8((1 << kLevels) - 1);
    const Walk walks(s.memory);
    const std::uint8_t* in = s.in;
    const std::uint8_t* const limit = s.limit;
    const std::uint8_t* escape = s.escape;
    const std::uint8_t* raw = s.raw;

    std::size_t r = 0;
    while (r < rounds && in <= limit) {
        if (s.tile_left == 0) enter_tile(s);
        const std::size_t to_do = std::min(rounds - r, s.tile_left / lanes);
        const SearchTable& table = search_table(s, static_cast<unsigned>(s.table - s.tables));
        const TableRegisters<kLevels> t(table);
        const typename Sink::template Tile<kLevels> tile(sink, table);
        const bool has_escape = table.has_escape;
        std::size_t k = 0;
        for (; k < to_do && in <= limit; ++k) {
            for (std::size_t lane = 0; lane < lanes; lane += kVectors * kVector) {
                __m256i high[kVectors], low[kVectors], walk[kVectors], e[kVectors];
                each<kVectors>([&](auto v) __attribute__((always_inline)) {
                    high[v] = load_256(s.high + lane + v * kVector);
                    low[v] = load_256(s.low + lane + v * kVector);
                    if constexpr (kAlongTrellis) walk[v] = load_256(s.trellis + lane + v * kVector);
                });
                t.template find<kAlongTrellis, kVectors>(low, walk, e);
                each<kVectors>([&](auto v) __attribute__((always_inline)) {
                    const __m256i freq = t.freq.at(e[v]);
                    const __m256i rank = _mm256_sub_epi8(
                        low[v], _mm256_blendv_epi8(t.lower.at(e[v]), t.upper.at(e[v]), low[v]));
                    const __m256i even = _mm256_add_epi16(
                        _mm256_mullo_epi16(_mm256_and_si256(freq, low_bytes),
                                           _mm256_and_si256(high[v], low_bytes)),
                        _mm256_and_si256(rank, low_bytes));
                    const __m256i odd = _mm256_add_epi16(
                        _mm256_mullo_epi16(_mm256_srli_epi16(freq, 8), _mm256_srli_epi16(high[v], 8)),
                        _mm256_srli_epi16(rank, 8));
                    low[v] = _mm256_blendv_epi8(_mm256_slli_epi16(odd, 8), even, low_bytes);
                    high[v] = _mm256_blendv_epi8(odd, _mm256_srli_epi16(even, 8), low_bytes);
                });
                each<kVectors>([&](auto v) __attribute__((always_inline)) {
                    const __m256i refill = _mm256_cmpeq_epi8(high[v], zero);
                    const __m256i bytes =
                        spread_32(static_cast<std::uint32_t>(_mm256_movemask_epi8(refill)), in);
                    store_256(s.high + lane + v * kVector, _mm256_blendv_epi8(high[v], low[v], refill));
                    store_256(s.low + lane + v * kVector, _mm256_blendv_epi8(low[v], bytes, refill));
                });
                each<kVectors>([&](auto v) __attribute__((always_inline)) {
                    __m256i symbols = t.symbol.at(e[v]);
                    std::uint32_t escaped = 0;
                    if (has_escape) {
                        const __m256i is_last =
                            _mm256_cmpeq_epi8(_mm256_or_si256(e[v], context_bit), last_entry);
                        escaped = static_cast<std::uint32_t>(_mm256_movemask_epi8(is_last));
                        if (escaped != 0) {
                            symbols = _mm256_blendv_epi8(symbols, spread_32(escaped, escape), is_last);
                        }
                    }
                    if (!kAlongTrellis && raw_bits > 0) {
                        symbols = _mm256_or_si256(symbols, raw_32(raw, raw_bits, raw_mask));
                        raw += 4 * raw_bits;
                    }
                    tile.put(sink, e[v], symbols, escaped);
                    sink.at += kVector * Sink::kItem;
                    if constexpr (kAlongTrellis) {
                        store_256(s.trellis + lane + v * kVector, walks.next(walk[v], symbols));
                    }
                });
            }
            sink.end_round();
        }
        r += k;
        s.tile_left -= k * lanes;
    }
    to = sink;
    s.in = in;
    s.escape = escape;
    s.raw = raw;
    return r;
}

template <unsigned kVectors, class Sink>
std::size_t run_vectors(Stream& s, Sink& to, std::size_t rounds) noexcept {
    if constexpr (Sink::kTakesTrellis) {
        if (s.memory > 0) {
            return s.kernel_levels == 4   ? run<4, true, kVectors>(s, to, rounds)
                   : s.kernel_levels == 5 ? run<5, true, kVectors>(s, to, rounds)
                   : s.kernel_levels == 6 ? run<6, true, kVectors>(s, to, rounds)
                                          : run<7, true, kVectors>(s, to, rounds);
        }
    }
    return s.kernel_levels == 4   ? run<4, false, kVectors>(s, to, rounds)
           : s.kernel_levels == 5 ? run<5, false, kVectors>(s, to, rounds)
                                  : run<6, false, kVectors>(s, to, rounds);
}

// Symbols in order to put() of `Elements`, which know where they go.
template <class Elements>
class InOrder : public Elements {
public:
    static constexpr bool kTakesTrellis = false;
    static constexpr std::size_t kItem = 0;

    template <unsigned kLevels>
    struct Tile {
        Tile(const InOrder&, const SearchTable&) noexcept {}

        [[gnu::always_inline]] void put(InOrder& sink, __m256i, __m256i symbols, std::uint32_t) const noexcept {
            sink.Elements::put(symbols);
        }
    };

    using Elements::Elements;

    void end_round() noexcept {}

    std::uint8_t* at = nullptr;
};

// The next n symbols of a stream of at least 64 lanes.
template <class Elements>
Status next_into(Stream& s, std::size_t n, InOrder<Elements>& sink) noexcept {
    QC_TRY(next_to_sink(
        s, n,
        [](Stream& stream, void* to, std::size_t rounds) noexcept {
            auto& sink = *static_cast<InOrder<Elements>*>(to);
            return stream.lanes < 4 * kVector ? run_vectors<2>(stream, sink, rounds)
                                              : run_vectors<4>(stream, sink, rounds);
        },
        &sink));
    sink.flush();
    return kOkStatus;
}

}  // namespace
}  // namespace qc::rans

QC_TARGET_END
#endif
