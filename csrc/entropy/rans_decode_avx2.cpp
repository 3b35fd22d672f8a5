// entropy/rans_decode_avx2.cpp - decodes rounds of 32 or more lanes with AVX2.
//
// The entry of a slot is found by binary search over the first u of each (see place_slots): one
// pshufb a level, four levels for up to 16 entries, five for 32, six for 64. The unused end of the
// search repeats the last entry. States are kept in memory.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/rans_decode.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")

namespace qc::rans {
namespace {

constexpr std::size_t kVector = 32;

// In a Stream's kernel_tables.
struct SearchTable {
    std::uint8_t levels[5][16];  // threshold by the bits of the entry found so far
    std::uint8_t last_level[32];
    std::uint8_t freq[kEntries];
    std::uint8_t base[2][kEntries];
    std::uint8_t symbol[kEntries];
    std::uint8_t first[kEntries];  // in the order u
    std::uint8_t escape;  // number of the escape's entry, or 64
};
static_assert(sizeof(SearchTable) <= sizeof(Stream::kernel_tables[0]));

// Shuffles that spread the next bytes over the ones of a mask, and zero the rest.
constexpr std::array<std::uint64_t, 256> make_spreads() {
    std::array<std::uint64_t, 256> table{};
    for (unsigned m = 0; m < 256; ++m) {
        std::uint64_t next = 0;
        for (unsigned k = 0; k < 8; ++k) {
            table[m] |= (m >> k & 1 ? next++ : std::uint64_t{0x80}) << (8 * k);
        }
    }
    return table;
}
constexpr std::array<std::uint64_t, 256> kSpreads = make_spreads();

inline const SearchTable& search_table(const Stream& s, unsigned t) noexcept {
    return *reinterpret_cast<const SearchTable*>(s.kernel_tables[t]);
}

void prepare_avx2(Stream& s) noexcept {
    unsigned most = 0;
    for (unsigned t = 0; t < s.n_tables; ++t) {
        const Table& table = s.tables[t];
        SearchTable& to = *reinterpret_cast<SearchTable*>(s.kernel_tables[t]);
        unsigned n = 0;
        unsigned at = 0;
        to.escape = kEntries;
        for (unsigned e = 0; e < kEntries; ++e) {
            if (table.freq[e] == 0) continue;
            if (e == kEscape) to.escape = static_cast<std::uint8_t>(n);
            to.first[n] = static_cast<std::uint8_t>(at);
            to.freq[n] = table.freq[e];
            to.base[0][n] = table.base[0][e];
            to.base[1][n] = table.base[1][e];
            to.symbol[n++] = table.symbol[e];
            at += table.freq[e];
        }
        most = std::max(most, n);
        for (unsigned k = n; k < kEntries; ++k) {
            to.first[k] = 255;
            to.freq[k] = to.freq[n - 1];
            to.base[0][k] = to.base[0][n - 1];
            to.base[1][k] = to.base[1][n - 1];
            to.symbol[k] = to.symbol[n - 1];
        }
    }
    s.kernel_levels = most <= 16 ? 4 : most <= 32 ? 5 : 6;
    for (unsigned t = 0; t < s.n_tables; ++t) {
        SearchTable& to = *reinterpret_cast<SearchTable*>(s.kernel_tables[t]);
        const unsigned size = 1u << s.kernel_levels;
        for (unsigned level = 0; level < s.kernel_levels; ++level) {
            std::uint8_t* const out = level < 5 ? to.levels[level] : to.last_level;
            const unsigned step = size >> level;
            for (unsigned k = 0; k < (level < 5 ? 16u : 32u); ++k) {
                const unsigned e = k * step + step / 2;
                out[k] = e < size ? to.first[e] : 255;
            }
        }
    }
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

// A table of 2^kLevels bytes by a vector of indices.
template <unsigned kLevels>
struct Lookup {
    __m256i part[kLevels == 4 ? 1 : kLevels == 5 ? 2 : 4];

    explicit Lookup(const std::uint8_t* p) noexcept {
        for (__m256i& part_k : part) {
            part_k = load_twice(p);
            p += 16;
        }
    }

    __m256i operator()(__m256i i) const noexcept {
        const __m256i a = _mm256_shuffle_epi8(part[0], i);
        if constexpr (kLevels == 4) return a;
        const __m256i bit_4 = _mm256_slli_epi16(i, 3);
        const __m256i low = _mm256_blendv_epi8(a, _mm256_shuffle_epi8(part[1], i), bit_4);
        if constexpr (kLevels == 6) {
            const __m256i high = _mm256_blendv_epi8(_mm256_shuffle_epi8(part[2], i),
                                                    _mm256_shuffle_epi8(part[3], i), bit_4);
            return _mm256_blendv_epi8(low, high, _mm256_slli_epi16(i, 2));
        }
        return low;
    }
};

inline __m128i spread_8(std::uint32_t mask, const std::uint8_t*& in) noexcept {
    const auto* const bytes = reinterpret_cast<const __m128i*>(in);
    const auto* const shuffle = reinterpret_cast<const __m128i*>(&kSpreads[mask]);
    in += _mm_popcnt_u32(mask);
    return _mm_shuffle_epi8(_mm_loadl_epi64(bytes), _mm_loadl_epi64(shuffle));
}

inline __m256i spread_32(std::uint32_t mask, const std::uint8_t*& in) noexcept {
    const __m128i a = spread_8(mask & 0xFF, in);
    const __m128i b = spread_8(mask >> 8 & 0xFF, in);
    const __m128i c = spread_8(mask >> 16 & 0xFF, in);
    const __m128i d = spread_8(mask >> 24, in);
    return _mm256_set_m128i(_mm_unpacklo_epi64(c, d), _mm_unpacklo_epi64(a, b));
}

inline __m256i raw_32(const std::uint8_t* p, unsigned width, std::uint64_t mask) noexcept {
    const auto get = [&](unsigned k) {
        return static_cast<long long>(_pdep_u64(load<std::uint64_t>(p + k * width), mask));
    };
    return _mm256_set_epi64x(get(3), get(2), get(1), get(0));
}

template <unsigned kLevels>
std::size_t run(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    const std::size_t lanes = s.lanes;
    const unsigned raw_bits = s.raw_bits;
    const std::uint64_t raw_mask = 0x0101010101010101 * ((1u << raw_bits) - 1);
    const __m256i low_bytes = _mm256_set1_epi16(0xFF);
    const __m256i zero = _mm256_setzero_si256();
    const std::uint8_t* in = s.in;
    const std::uint8_t* const limit = s.limit;
    const std::uint8_t* escape = s.escape;
    const std::uint8_t* raw = s.raw;

    std::size_t r = 0;
    while (r < rounds && in <= limit) {
        if (s.tile_left == 0) enter_tile(s);
        const std::size_t to_do = std::min(rounds - r, s.tile_left / lanes);
        const SearchTable& t = search_table(s, static_cast<unsigned>(s.table - s.tables));
        const __m256i level_1 = _mm256_set1_epi8(static_cast<char>(t.levels[0][0]));
        const __m256i level_2 = load_twice(t.levels[1]);
        const __m256i level_3 = load_twice(t.levels[2]);
        const __m256i level_4 = load_twice(t.levels[3]);
        const __m256i level_5 = load_twice(t.levels[4]);
        const Lookup<5> level_6(t.last_level);
        const Lookup<kLevels> freqs(t.freq);
        const Lookup<kLevels> lower(t.base[0]);
        const Lookup<kLevels> upper(t.base[1]);
        const Lookup<kLevels> symbols(t.symbol);
        const __m256i before_escape = _mm256_set1_epi8(static_cast<char>(t.escape - 1));
        std::size_t k = 0;
        for (; k < to_do && in <= limit; ++k) {
            for (std::size_t lane = 0; lane < lanes; lane += kVector, out += kVector) {
                const __m256i h = load_256(s.high + lane);
                const __m256i l = load_256(s.low + lane);
                const __m256i u =
                    _mm256_sub_epi8(_mm256_add_epi8(l, l), _mm256_cmpgt_epi8(zero, l));
                const auto next = [&](__m256i e, __m256i threshold) {
                    const __m256i more = _mm256_cmpeq_epi8(_mm256_max_epu8(u, threshold), u);
                    return _mm256_sub_epi8(_mm256_add_epi8(e, e), more);
                };
                __m256i e = next(zero, level_1);
                e = next(e, _mm256_shuffle_epi8(level_2, e));
                e = next(e, _mm256_shuffle_epi8(level_3, e));
                e = next(e, _mm256_shuffle_epi8(level_4, e));
                if constexpr (kLevels > 4) e = next(e, _mm256_shuffle_epi8(level_5, e));
                if constexpr (kLevels > 5) e = next(e, level_6(e));

                const __m256i freq = freqs(e);
                const __m256i rank =
                    _mm256_sub_epi8(l, _mm256_blendv_epi8(lower(e), upper(e), l));
                const __m256i even = _mm256_add_epi16(
                    _mm256_mullo_epi16(_mm256_and_si256(freq, low_bytes),
                                       _mm256_and_si256(h, low_bytes)),
                    _mm256_and_si256(rank, low_bytes));
                const __m256i odd = _mm256_add_epi16(
                    _mm256_mullo_epi16(_mm256_srli_epi16(freq, 8), _mm256_srli_epi16(h, 8)),
                    _mm256_srli_epi16(rank, 8));
                const __m256i new_low = _mm256_or_si256(_mm256_and_si256(even, low_bytes),
                                                        _mm256_slli_epi16(odd, 8));
                const __m256i new_high = _mm256_or_si256(_mm256_srli_epi16(even, 8),
                                                         _mm256_andnot_si256(low_bytes, odd));
                const __m256i refill = _mm256_cmpeq_epi8(new_high, zero);
                const __m256i bytes =
                    spread_32(static_cast<std::uint32_t>(_mm256_movemask_epi8(refill)), in);
                store_256(s.high + lane, _mm256_blendv_epi8(new_high, new_low, refill));
                store_256(s.low + lane, _mm256_blendv_epi8(new_low, bytes, refill));

                store_256(out, symbols(e));
                auto escaped = static_cast<std::uint32_t>(
                    _mm256_movemask_epi8(_mm256_cmpgt_epi8(e, before_escape)));
                for (; __builtin_expect(escaped != 0, 0); escaped &= escaped - 1) {
                    out[std::countr_zero(escaped)] = *escape++;
                }
                if (raw_bits > 0) {
                    store_256(out, _mm256_or_si256(load_256(out), raw_32(raw, raw_bits, raw_mask)));
                    raw += 4 * raw_bits;
                }
            }
        }
        r += k;
        s.tile_left -= k * lanes;
    }
    s.in = in;
    s.escape = escape;
    s.raw = raw;
    return r;
}

std::size_t rounds_avx2(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    return s.kernel_levels == 4   ? run<4>(s, out, rounds)
           : s.kernel_levels == 5 ? run<5>(s, out, rounds)
                                  : run<6>(s, out, rounds);
}

}  // namespace

const DecodeKernel kDecodeAvx2{prepare_avx2, rounds_avx2, 32, false};

std::size_t merge_avx2(const std::uint8_t* nibbles, std::size_t n, const std::uint8_t* values,
                       std::uint8_t zero, std::uint8_t* out) noexcept {
    const __m128i zeros = _mm_set1_epi8(static_cast<char>(zero));
    const std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const unsigned mask = nibbles[i / 4] | static_cast<unsigned>(nibbles[i / 4 + 1]) << 4;
        const __m128i shuffle =
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&kSpreads[mask]));
        const __m128i kept =
            _mm_shuffle_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(value)), shuffle);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i),
                         _mm_blendv_epi8(kept, zeros, shuffle));
        value += _mm_popcnt_u32(mask);
    }
    value += merge_portable(nibbles + i / 4, n - i, value, zero, out + i);
    return static_cast<std::size_t>(value - values);
}

}  // namespace qc::rans

#pragma GCC pop_options
#endif
