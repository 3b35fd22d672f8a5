// entropy/rans_encode_portable.cpp - the encoder's loops in plain C++, for any number of lanes.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/bits.hpp"
#include "core/bytes.hpp"
#include "entropy/rans_encode.hpp"

namespace qc::rans {
namespace {

// ceil(2^32 / f): gives the exact quotient of 16-bit numbers.
constexpr std::array<std::uint64_t, 256> make_inverses() {
    std::array<std::uint64_t, 256> inverses{};
    for (std::uint64_t f = 1; f < 256; ++f) {
        inverses[f] = ((std::uint64_t{1} << 32) + f - 1) / f;
    }
    return inverses;
}
constexpr std::array<std::uint64_t, 256> kInverses = make_inverses();

bool map_portable(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* index_of,
                  std::uint8_t* index) {
    std::uint64_t seen = 0;
    std::size_t i = 0;
    // Eight a word: one by one, loads and stores are what takes the time.
    for (; i + 8 <= n; i += 8) {
        const auto word = load<std::uint64_t>(symbols + i);
        std::uint64_t v = 0;
        for (unsigned k = 0; k < 64; k += 8) v |= std::uint64_t{index_of[word >> k & 0xFF]} << k;
        if (index != nullptr) store(index + i, v & 0x3F3F3F3F3F3F3F3F);
        seen |= v;
    }
    for (; i < n; ++i) {
        const std::uint8_t v = index_of[symbols[i]];
        if (index != nullptr) index[i] = v & 63;
        seen |= v;
    }
    return (seen & std::uint64_t{0x0101010101010101} * kUnseen) != 0;
}

void count_portable(const std::uint8_t* index, std::size_t n, unsigned width,
                    std::uint16_t* counts) {
    std::uint16_t part[4][kEntries] = {};
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (std::size_t k = 0; k < 4; ++k) ++part[k][index[i + k]];
    }
    for (; i < n; ++i) ++part[0][index[i]];
    for (unsigned e = 0; e < width; ++e) {
        counts[e] =
            static_cast<std::uint16_t>(part[0][e] + part[1][e] + part[2][e] + part[3][e]);
    }
}

// Four 16-bit sums to a word: 256 costs of at most 255 fit.
void choose_portable(const std::uint8_t* index, std::size_t n, const Model& m,
                     std::uint8_t* choices) {
    constexpr unsigned kWords = kMaxTables / 4;
    std::uint64_t packed[kEntries][kWords] = {};
    for (unsigned t = 0; t < m.n_tables; ++t) {
        for (unsigned i = 0; i < kEntries; ++i) {
            packed[i][t / 4] |= std::uint64_t{m.costs[t][i]} << (16 * (t % 4));
        }
    }
    const unsigned words = (m.n_tables + 3) / 4;
    for (std::size_t at = 0; at < n; at += m.tile) {
        const std::size_t end = std::min(at + m.tile, n);
        std::uint32_t sums[kMaxTables] = {};
        for (std::size_t i = at; i < end; i += kTileUnit) {
            const std::size_t stop = std::min(i + kTileUnit, end);
            std::uint64_t part[kWords] = {};
            if (words <= 2) {
                for (std::size_t k = i; k < stop; ++k) {
                    part[0] += packed[index[k]][0];
                    part[1] += packed[index[k]][1];
                }
            } else {
                for (std::size_t k = i; k < stop; ++k) {
                    for (unsigned w = 0; w < kWords; ++w) part[w] += packed[index[k]][w];
                }
            }
            for (unsigned t = 0; t < m.n_tables; ++t) {
                sums[t] += part[t / 4] >> (16 * (t % 4)) & 0xFFFF;
            }
        }
        unsigned best = 0;
        for (unsigned t = 1; t < m.n_tables; ++t) {
            if (sums[t] < sums[best]) best = t;
        }
        *choices++ = static_cast<std::uint8_t>(best);
    }
}

void rounds_portable(EncodeJob& job, std::size_t rounds) {
    encode_symbols(job, 0, rounds * job.lanes);
}

void pack_portable(const std::uint8_t* symbols, std::size_t n, unsigned width, std::uint8_t* out) {
    const std::uint32_t mask = (1u << width) - 1;
    const EightFields fields(width);
    std::size_t i = 0;
    // A store writes 8 bytes; the excess is overwritten later by symbols that follow.
    for (; i + 72 <= n; i += 8, out += width) {
        store(out, fields.join(load<std::uint64_t>(symbols + i)));
    }
    BitWriter bits(out);
    for (; i < n; ++i) bits.put(symbols[i] & mask, width);
    bits.finish();
}

std::size_t split_portable(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                           std::uint8_t* nibbles, std::uint8_t* values) {
    std::uint8_t* value = values;
    for (std::size_t i = 0; i < n; i += 4) {
        unsigned nibble = 0;
        for (std::size_t k = 0; k < 4 && i + k < n; ++k) {
            const unsigned differs = symbols[i + k] != zero;
            *value = symbols[i + k];
            value += differs;
            nibble |= differs << k;
        }
        nibbles[i / 4] = static_cast<std::uint8_t>(nibble);
    }
    return static_cast<std::size_t>(value - values);
}

}  // namespace

namespace {

// What a symbol takes in one word, and the slots of each index in order of their ranks.
struct SymbolTable {
    static constexpr unsigned kEscapedAt = 17, kInverseAt = 20;
    // Frequency, first of its ranks in `slots`, escaped, inverse of the frequency: one load for all.
    std::uint64_t words[kEntries];
    std::uint8_t slots[2 * kTotal];

    // Indices of `odd` are of the second context.
    void fill(const EncodeTable& t, std::uint64_t odd) noexcept {
        bool escape_placed = false;
        for (unsigned i = 0; i < kEntries; ++i) {
            const unsigned lower = t.lower[i];
            const unsigned context = odd >> i & 1 && t.escaped[i] == 0 ? kTotal : 0;
            const unsigned first = ((t.base[0][i] + t.base[1][i] + lower - 128) & 0xFF) + context;
            words[i] = t.freq[i] | first << 8 | std::uint64_t{t.escaped[i] != 0} << kEscapedAt |
                       kInverses[t.freq[i]] << kInverseAt;
            if (t.escaped[i] != 0 && std::exchange(escape_placed, true)) continue;
            for (unsigned r = 0; r < t.freq[i]; ++r) {
                slots[first + r] = static_cast<std::uint8_t>(r + t.base[r >= lower][i]);
            }
        }
    }
};

}  // namespace

void encode_symbols(EncodeJob& job, std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const Model& m = *job.model;
    SymbolTable tables[kMaxTables];
    for (unsigned t = 0; t < m.n_tables; ++t) tables[t].fill(m.encode_tables[t], m.odd);
    // States apart from bytes that stores could alias.
    const std::size_t lane_mask = job.lanes - 1;
    std::uint32_t states[kMaxLanes];
    for (std::size_t k = 0; k <= lane_mask; ++k) states[k] = job.high[k] * 256u + job.low[k];
    const std::uint8_t* const index = job.index;
    std::uint8_t* body = job.body;
    for (std::size_t stop = end; stop > begin;) {
        const std::size_t first = std::max(begin, (stop - 1) / kTileUnit * kTileUnit);
        const SymbolTable& table = tables[m.n_tables > 1 ? job.choices[first / m.tile] : 0];
        std::uint64_t escaped = 0;
        for (std::size_t i = stop; i-- > first;) {
            const std::uint64_t word = table.words[index[i]];
            const auto f = static_cast<std::uint32_t>(word & 0xFF);
            std::uint32_t x = states[i & lane_mask];
            const std::uint32_t full = x >> 8 >= f;
            body[-1] = static_cast<std::uint8_t>(x);
            body -= full;
            x >>= 8 * full;
            const auto quotient = static_cast<std::uint32_t>(x * (word >> SymbolTable::kInverseAt) >> 32);
            const std::uint32_t rank = x - quotient * f;
            states[i & lane_mask] = quotient << 8 | table.slots[(word >> 8 & 0x1FF) + rank];
            escaped |= word;
        }
        const auto is_escaped = [](std::uint64_t word) { return (word >> SymbolTable::kEscapedAt & 1) != 0; };
        for (std::size_t i = stop; is_escaped(escaped) && i-- > first;) {
            if (!is_escaped(table.words[index[i]])) continue;
            *--job.escapes = static_cast<std::uint8_t>(job.symbols[i] >> m.raw_bits);
        }
        stop = first;
    }
    job.body = body;
    for (std::size_t k = 0; k <= lane_mask; ++k) {
        job.high[k] = static_cast<std::uint8_t>(states[k] >> 8);
        job.low[k] = static_cast<std::uint8_t>(states[k]);
    }
}

const EncodeKernel kEncodePortable{map_portable,    count_portable, choose_portable,
                                   rounds_portable, pack_portable,  split_portable, 1};

}  // namespace qc::rans
