// entropy/rans_model.cpp - raw bits, shared indices, tables, and which tables to keep.
//
// Tiles of a sample are put into groups (rans_tiles.cpp); several tables stay only where they pay
// for themselves and for the choices. All of it is integer arithmetic in a fixed order: tables are
// part of the bytes that every machine must agree on.
#include <algorithm>
#include <bit>
#include <cstring>

#include "entropy/rans_encode.hpp"
#include "entropy/rans_tiles.hpp"

namespace qc::rans {
namespace {

constexpr std::size_t kSample = std::size_t{1} << 17;  // symbols that train the tables
// Of tiles, each twice as large: kernels add up the costs of a tile in 16 bits, so 32 units at most.
constexpr unsigned kMostLevels = 6;
constexpr std::size_t kLeastTiles = 4;  // for each table

void set_tables(Model& m, unsigned t, const std::uint8_t* freq) {
    Table& table = m.tables[t];
    EncodeTable& by_index = m.encode_tables[t];
    std::memset(&table, 0, sizeof table);
    table.freq[kEscape] = freq[kEscape];
    unsigned n = 0;
    std::uint8_t entry_of[kEntries];
    for (unsigned i = 0; i < kEntries; ++i) {
        entry_of[i] = kEscape;
        if (i == kEscape || freq[i] == 0) continue;
        table.freq[n] = freq[i];
        table.symbol[n] = m.symbol_of[i];
        entry_of[i] = static_cast<std::uint8_t>(n++);
    }
    place_slots(table, m.memory > 0 ? 2 : 1);
    unsigned first[kEntries] = {};
    unsigned next[2] = {};
    for (unsigned e = 0; e < kEntries; ++e) {
        const unsigned context = m.memory > 0 && e != kEscape ? table.symbol[e] & 1 : 0;
        first[e] = next[context];
        next[context] += table.freq[e];
    }
    by_index.has_escapes = freq[kEscape] != 0;
    for (unsigned i = 0; i < kEntries; ++i) {
        const unsigned e = entry_of[i];
        const unsigned f = table.freq[e];
        const unsigned inverse = f == 0 ? 0 : std::min(65536u / f, 65535u);
        by_index.freq[i] = static_cast<std::uint8_t>(f);
        by_index.lower[i] = static_cast<std::uint8_t>((first[e] + f + 1) / 2 - (first[e] + 1) / 2);
        by_index.base[0][i] = table.base[0][e];
        by_index.base[1][i] = table.base[1][e];
        by_index.inverse_low[i] = static_cast<std::uint8_t>(inverse);
        by_index.inverse_high[i] = static_cast<std::uint8_t>(inverse >> 8);
        by_index.escaped[i] = e == kEscape ? 0x80 : 0;
    }
}

unsigned n_indices(const Model& m) {
    return m.same_index ? 1u << m.symbol_bits
                        : static_cast<unsigned>(std::bit_width(m.seen)) + m.must_escape;
}

// Cost of an index where a table is used, in 2^-16 bit.
std::uint32_t index_cost(const Model& m, unsigned t, unsigned i) {
    const EncodeTable& table = m.encode_tables[t];
    if (table.freq[i] == 0) return 31 * kOneBit;  // never happens: no escape, index not in use
    return cost_q16(table.freq[i]) + (table.escaped[i] != 0 ? escape_bits(m) * kOneBit : 0);
}

void set_costs(Model& m) {
    for (unsigned i = 0; i < kEntries; ++i) {
        std::uint32_t least = ~0u;
        for (unsigned t = 0; t < m.n_tables; ++t) least = std::min(least, index_cost(m, t, i));
        for (unsigned t = 0; t < m.n_tables; ++t) {
            const std::uint32_t above = (index_cost(m, t, i) - least + kOneBit / 64) >> 11;
            m.costs[t][i] = static_cast<std::uint8_t>(std::min(above, kMaxCost));
        }
    }
}

unsigned table_bits(const std::uint8_t* freq, unsigned symbol_bits) {
    unsigned entries = 1;
    for (unsigned e = 0; e < kEntries; ++e) entries += freq[e] != 0;
    return entries * 6 + symbol_bits;
}

// Indices, in ascending order, for the up to 63 most frequent symbols without their raw bits; the
// others share the next index.
void index_counts(const std::uint32_t* counts, unsigned bits, unsigned raw_bits, Model& m,
                  std::uint32_t* by_index) {
    std::uint64_t ranked[256];
    std::uint32_t coarse[256] = {};
    for (unsigned s = 0; s >> bits == 0; ++s) coarse[s >> raw_bits] += counts[s];
    unsigned n = 0;
    for (unsigned s = 0; s < 256; ++s) {
        if (coarse[s] > 0) ranked[n++] = std::uint64_t{coarse[s]} << 8 | (255 - s);
    }
    if (n > kEscape) {
        std::nth_element(ranked, ranked + kEscape, ranked + n, std::greater<>());
        n = kEscape;
    }
    bool kept[256] = {};
    for (unsigned k = 0; k < n; ++k) kept[255 - (ranked[k] & 0xFF)] = true;
    std::fill_n(by_index, kEntries, 0u);
    std::uint8_t index_of[256];
    unsigned next = 0;
    for (unsigned s = 0; s < 256; ++s) {
        index_of[s] = static_cast<std::uint8_t>(n | kUnseen);
        if (kept[s]) {
            m.symbol_of[next] = static_cast<std::uint8_t>(s);
            index_of[s] = static_cast<std::uint8_t>(next++);
        }
        by_index[index_of[s] & 63] += coarse[s];
    }
    for (unsigned s = 0; s < 256; ++s) m.index_of[s] = index_of[s >> raw_bits];
    m.seen = (std::uint64_t{1} << n) - 1;
    m.odd = 0;
    for (unsigned i = 0; m.memory > 0 && i < n; ++i) m.odd |= std::uint64_t{m.symbol_of[i] & 1u} << i;
    m.raw_bits = raw_bits;
    m.symbol_bits = bits - raw_bits;
    m.must_escape = by_index[n] > 0;
}

}  // namespace

void plan_index(const std::uint32_t* counts, unsigned bits, unsigned memory, Model& m) {
    std::uint32_t by_index[kEntries];
    std::uint8_t freq[kEntries];
    if (bits <= 5) {
        m = Model{};
        m.memory = memory;
        m.same_index = true;
        m.symbol_bits = bits;
        for (unsigned s = 0; s < 256; ++s) {
            const bool seen = s < kEntries && counts[s] > 0;
            m.index_of[s] = static_cast<std::uint8_t>((s & 63) | (seen ? 0 : kUnseen));
            m.seen |= std::uint64_t{seen} << (s & 63);
            if (s < kEntries) m.symbol_of[s] = static_cast<std::uint8_t>(s);
        }
        if (memory > 0) m.odd = 0xAAAAAAAAAAAAAAAA & ~(std::uint64_t{1} << kEscape);
        return;
    }
    m.same_index = false;
    m.by_rank = false;
    m.memory = memory;
    // Two contexts need indices of both kinds.
    if (memory > 0) {
        index_counts(counts, bits, 0, m, by_index);
        if ((m.seen & m.odd) == 0 || (m.seen & ~m.odd) == 0) m.memory = memory = 0;
    }
    std::uint64_t total = 0;
    for (unsigned s = 0; s < 256; ++s) total += counts[s];
    std::uint64_t best = ~std::uint64_t{0};
    unsigned best_raw = 0;
    for (unsigned raw = 0; raw < bits && raw <= (memory > 0 ? 0 : 4); ++raw) {
        index_counts(counts, bits, raw, m, by_index);
        std::uint64_t cost = fit_frequencies(m, by_index, freq);
        cost += total * raw * kOneBit;
        if (cost < best) {
            best = cost;
            best_raw = raw;
        }
    }
    index_counts(counts, bits, best_raw, m, by_index);
}

std::uint64_t estimate_bits(const std::uint32_t* counts, unsigned bits) {
    Model m;
    plan_index(counts, bits, 0, m);
    std::uint32_t by_index[kEntries] = {};
    std::uint64_t total = 0;
    for (unsigned s = 0; s >> bits == 0; ++s) {
        by_index[m.index_of[s] & 63] += counts[s];
        total += counts[s];
    }
    std::uint8_t freq[kEntries];
    const std::uint64_t cost = fit_frequencies(m, by_index, freq);
    return cost / kOneBit + total * m.raw_bits;
}

namespace {

// How many tables to try, and from how much.
struct Search {
    std::size_t tile;
    unsigned rounds;         // of k-means
    unsigned most_tables;
    unsigned divisor;        // from one number of tables to the next one tried
    bool patient;            // size before speed: else several tables must save 1/1024
};

// Keeps what it finds in `m` where that is smaller than what is there.
void try_tables(const Sample& s, std::size_t n, const Search& search, Model& m) {
    const std::size_t all_tiles = (n + search.tile - 1) / search.tile;
    const unsigned rare_bits = escape_bits(m);
    GroupCounts sums;
    std::uint32_t all[kEntries];
    std::uint8_t freq[kEntries];
    sum_tiles(s, all);
    m.by_rank = search.patient || m.raw_bits == 0;  // with raw bits few are worth their time
    if (m.n_tables == 0) {
        const std::uint64_t one = fit_frequencies(m, all, freq);
        m.n_tables = 1;
        m.tile = search.tile;
        set_tables(m, 0, freq);
        m.bits = one / kOneBit * n / s.n + table_bits(freq, m.symbol_bits);
    }
    if (s.tiles < 2 * kLeastTiles) return;
    m.by_rank = search.patient;
    sort_tiles(s, all, rare_bits);
    if (search.patient) sort_between_two(s, rare_bits, search.rounds);
    for (unsigned want = search.most_tables; want >= 2; want /= search.divisor) {
        if (s.tiles < kLeastTiles * want) break;
        const unsigned groups = group_tiles(s, want, rare_bits, search.rounds, sums);
        if (groups < 2) break;
        std::uint8_t found[kMaxTables][kEntries];
        std::uint64_t cost = 0;
        std::uint64_t side = width_of(groups) * all_tiles;
        for (unsigned g = 0; g < groups; ++g) {
            cost += fit_frequencies(m, sums[g], found[g]);
            side += table_bits(found[g], m.symbol_bits);
        }
        const std::uint64_t bits = cost / kOneBit * n / s.n + side;
        // Switching tables costs a quarter of the decoding speed.
        if (bits + (search.patient ? 0 : bits / 1024) >= m.bits) continue;
        m.bits = bits;
        m.n_tables = groups;
        m.tile = search.tile;
        for (unsigned g = 0; g < groups; ++g) set_tables(m, g, found[g]);
    }
}

// Tables and the tiles that they code best, in turn: leaves the choices in s.group. Returns what all takes but the
// choices, in units of 2^-16 bit.
std::uint64_t settle(const Sample& s, Model& m) {
    constexpr unsigned kRounds = 3;
    GroupCounts sums;
    std::uint32_t costs[kMaxTables][kEntries];
    std::uint8_t freq[kEntries];
    std::uint64_t side = 0;
    for (unsigned round = 0; round < kRounds; ++round) {
        for (unsigned t = 0; t < m.n_tables; ++t) {
            for (unsigned i = 0; i < s.width; ++i) costs[t][i] = index_cost(m, t, i);
        }
        m.n_tables = regroup_tiles(s, m.n_tables, costs, sums);
        side = 0;
        for (unsigned t = 0; t < m.n_tables; ++t) {
            fit_frequencies(m, sums[t], freq);
            set_tables(m, t, freq);
            side += table_bits(freq, m.symbol_bits);
        }
    }
    std::uint32_t escaped[kEntries] = {};
    std::uint64_t cost = side * kOneBit;
    for (unsigned t = 0; t < m.n_tables; ++t) {
        const EncodeTable& table = m.encode_tables[t];
        for (unsigned i = 0; i < s.width; ++i) {
            if (sums[t][i] == 0) continue;
            cost += std::uint64_t{sums[t][i]} * cost_q16(table.freq[i]);
            if (table.escaped[i] != 0) escaped[i] += sums[t][i];
        }
    }
    return cost + escapes_cost(escaped, s.n, m.symbol_bits);
}

// Where tables do not escape the same symbols, ranks of all together cost more than tables know of.
void settle_either_way(const Sample& s, Model& m, std::uint8_t* choices) {
    Model other = m;
    other.by_rank = false;
    const std::uint64_t by_rank = settle(s, m);
    std::copy_n(s.group, s.tiles, choices);
    if (settle(s, other) >= by_rank) return;
    m = other;
    std::copy_n(s.group, s.tiles, choices);
}

}  // namespace

bool fit_tables(const std::uint8_t* index, std::size_t n, Workspace& work, Model& m, std::uint8_t* choices) {
    m.n_tables = 0;
    const unsigned width = (n_indices(m) + 7) & ~7u;
    const auto count = [&](std::size_t tile, std::size_t stride, unsigned levels) {
        Sample s{};
        s.tiles = ((n + tile - 1) / tile + stride - 1) / stride;
        s.width = width;
        s.odd = m.odd;
        s.place(work.get(Workspace::kCoder3, Sample::bytes(s.tiles, levels, width)));
        count_tiles(index, n, tile, stride, s);
        return s;
    };
    if (!work.patient) {
        const std::size_t tile = n > (std::size_t{1} << 18) ? 2 * kTileUnit : kTileUnit;
        const std::size_t sample = std::clamp(n / 8, kSample / 2, kSample);
        const Sample s = count(tile, std::max<std::size_t>(1, (n + sample / 2) / sample), 1);
        try_tables(s, n, {tile, 2, n >= 32768 ? 8u : 4u, 4, false}, m);
    } else {
        Sample levels[kMostLevels];
        levels[0] = count(kTileUnit, 1, kMostLevels);
        unsigned last = 0;
        for (; last + 1 < kMostLevels && n >= 16 * (kTileUnit << last); ++last) {
            levels[last + 1] = join_tiles(levels[last]);
        }
        // From large tiles, which are few, to small ones, as long as these save something.
        const Sample* best = levels;
        for (unsigned level = last, without = 0; level <= last && without < 2; --level) {
            const std::uint64_t before = m.n_tables == 0 ? ~std::uint64_t{0} : m.bits;
            try_tables(levels[level], n, {kTileUnit << level, 8, kMaxTables, 2, true}, m);
            if (m.bits < before) best = &levels[level];
            if (levels[level].tiles >= kLeastTiles * kMaxTables) without = m.bits < before ? 0 : without + 1;
        }
        if (m.n_tables > 1) settle_either_way(*best, m, choices);
    }
    m.by_rank = work.patient ? m.by_rank : m.n_tables == 1 && m.raw_bits == 0;
    set_costs(m);
    return work.patient && m.n_tables > 1;
}

std::uint32_t symbol_cost(const Model& m, unsigned table, unsigned symbol) {
    const unsigned i = m.index_of[symbol] & 63;
    if (m.encode_tables[table].freq[i] == 0) return (9 + m.symbol_bits) * kOneBit;
    return index_cost(m, table, i);
}

bool spare_escapes(const std::uint8_t* index, std::size_t n, Model& m, std::uint8_t* choices) {
    constexpr std::uint64_t kPart = std::uint64_t{1} << 16;
    const EncodeTable& with = m.encode_tables[0];
    if (m.n_tables != 1 || m.memory > 0 || !with.has_escapes || n_indices(m) > 32) return false;
    std::uint8_t flags[256] = {};
    std::copy_n(with.escaped, kEntries, flags);
    std::uint32_t freq[kEntries] = {};
    std::uint8_t without[kEntries] = {};
    std::uint64_t kept = 0;
    for (unsigned i = 0; i < n_indices(m); ++i) {
        if (with.escaped[i] != 0) continue;
        freq[i] = with.freq[i] * 1024u;
        kept |= std::uint64_t{1} << i;
    }
    if (std::popcount(kept) < 2) return false;
    const EncodeKernel& kernel = encode_kernel();
    std::size_t free = 0;
    std::size_t t = 0;
    for (std::size_t at = 0; at < n; at += m.tile, ++t) {
        const bool escapes = kernel.map(index + at, std::min(m.tile, n - at), flags, nullptr);
        choices[t] = escapes;
        free += !escapes;
    }
    const unsigned escape_slots = m.tables[0].freq[kEscape];
    const std::uint64_t saved = cost_q16(kTotal - escape_slots) * std::uint64_t{m.tile} * free;
    const std::uint64_t side = t + 8 * std::uint64_t{kEntries};
    if (saved / kPart <= side) return false;
    normalise(freq, kept, kTotal, without);
    m.tables[1] = m.tables[0];
    m.encode_tables[1] = m.encode_tables[0];
    set_tables(m, 0, without);
    m.n_tables = 2;
    return true;
}

}  // namespace qc::rans
