// entropy/rans_encode_portable.cpp - the encoder's loops in plain C++, for any number of lanes.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/bits.hpp"
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
    unsigned seen = 0;
    if (index == nullptr) {
        for (std::size_t i = 0; i < n; ++i) seen |= index_of[symbols[i]];
    } else {
        for (std::size_t i = 0; i < n; ++i) {
            const unsigned v = index_of[symbols[i]];
            index[i] = static_cast<std::uint8_t>(v & 63);
            seen |= v;
        }
    }
    return (seen & kUnseen) != 0;
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
    BitWriter bits(out);
    const std::uint32_t mask = (1u << width) - 1;
    for (std::size_t i = 0; i < n; ++i) bits.put(symbols[i] & mask, width);
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

void encode_symbols(EncodeJob& job, std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const Model& m = *job.model;
    // One word for all that an index needs; states apart from bytes that stores could alias.
    std::uint64_t words[kMaxTables][kEntries];
    for (unsigned t = 0; t < m.n_tables; ++t) {
        const EncodeTable& table = m.encode_tables[t];
        for (unsigned i = 0; i < kEntries; ++i) {
            const unsigned more = table.base[1][i] - unsigned{table.base[0][i]};  // never negative
            words[t][i] = table.freq[i] | std::uint64_t{table.lower[i]} << 8 |
                          std::uint64_t{table.base[0][i]} << 16 |
                          std::uint64_t{more} << 24 |
                          std::uint64_t{table.escaped[i]} << 32;
        }
    }
    const std::size_t lane_mask = job.lanes - 1;
    std::uint32_t states[kMaxLanes];
    for (std::size_t k = 0; k <= lane_mask; ++k) states[k] = job.high[k] * 256u + job.low[k];
    const std::uint8_t* const index = job.index;
    std::uint8_t* body = job.body;
    for (std::size_t stop = end; stop > begin;) {
        const std::size_t first = std::max(begin, (stop - 1) / kTileUnit * kTileUnit);
        const std::uint64_t* const table = words[m.n_tables > 1 ? job.choices[first / m.tile] : 0];
        std::uint64_t escaped = 0;
        for (std::size_t i = stop; i-- > first;) {
            const std::uint64_t word = table[index[i]];
            const std::uint32_t f = word & 0xFF;
            std::uint32_t x = states[i & lane_mask];
            const std::uint32_t full = x >= f << 8;
            body[-1] = static_cast<std::uint8_t>(x);
            body -= full;
            const std::uint32_t keep = full - 1;
            x = (x & keep) | (x >> 8 & ~keep);
            const auto quotient = static_cast<std::uint32_t>((x * kInverses[f]) >> 32);
            const std::uint32_t rest = x - quotient * f;
            // Ones where rest >= lower; compilers make a branch of the comparison.
            const auto lower = static_cast<std::uint32_t>(word >> 8) & 0xFF;
            const auto upper = static_cast<std::uint32_t>(
                static_cast<std::int32_t>(lower - 1 - rest) >> 31);
            const std::uint32_t base = static_cast<std::uint32_t>(word >> 16) & 0xFF;
            const std::uint32_t more = static_cast<std::uint32_t>(word >> 24) & 0xFF & upper;
            states[i & lane_mask] = (quotient << 8) + rest + base + more;
            escaped |= word;
        }
        for (std::size_t i = stop; escaped >> 32 != 0 && i-- > first;) {
            if (table[index[i]] >> 32 == 0) continue;
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
