#include "entropy/huffman_table.hpp"

#include <algorithm>
#include <bit>

#include "core/bits.hpp"

namespace qc::huffman {
namespace {

constexpr std::size_t kMaxItems = 512;

// Smoothing saves most of a table. Payloads of more than so many tables gain less than 0.4 %.
constexpr std::size_t kWorthSmoothing = 256;

struct Leaf {
    std::uint64_t weight;
    std::uint8_t symbol;
};

// The leaves in order of (weight, symbol).
std::size_t sorted_leaves(const Weights& weights, std::array<Leaf, 256>& leaves) noexcept {
    std::array<std::uint64_t, 256> keys;
    std::size_t n = 0;
    for (std::size_t s = 0; s < 256; ++s) {
        if (weights[s] != 0) keys[n++] = weights[s] << 8 | s;
    }
    std::sort(keys.begin(), keys.begin() + n);
    for (std::size_t i = 0; i < n; ++i) {
        leaves[i] = {keys[i] >> 8, static_cast<std::uint8_t>(keys[i])};
    }
    return n;
}

// Huffman's algorithm with two queues, leaves and nodes. Returns false, and no lengths, where a
// code comes out longer than kMaxLength.
bool unlimited_lengths(const std::array<Leaf, 256>& leaves, std::size_t n,
                       Lengths& lengths) noexcept {
    std::array<std::uint64_t, 256> node;
    std::array<std::uint16_t, kMaxItems> parent;  // leaves first, then nodes
    std::size_t leaf = 0, oldest = 0;
    for (std::size_t made = 0; made < n - 1; ++made) {
        node[made] = 0;
        for (int child = 0; child < 2; ++child) {
            const bool take_leaf =
                leaf < n && (oldest == made || leaves[leaf].weight <= node[oldest]);
            node[made] += take_leaf ? leaves[leaf].weight : node[oldest];
            parent[take_leaf ? leaf++ : n + oldest++] = static_cast<std::uint16_t>(n + made);
        }
    }
    std::array<std::uint16_t, kMaxItems> depth;
    depth[2 * n - 2] = 0;
    for (std::size_t i = 2 * n - 2; i-- > 0;) {
        depth[i] = static_cast<std::uint16_t>(depth[parent[i]] + 1);
    }
    if (*std::max_element(depth.begin(), depth.begin() + n) > kMaxLength) return false;
    for (std::size_t i = 0; i < n; ++i) {
        lengths[leaves[i].symbol] = static_cast<std::uint8_t>(depth[i]);
    }
    return true;
}

// Package-merge (Larmore and Hirschberg, 1990): row d merges the leaves with pairs of row d - 1,
// and of the last row the first 2n - 2 items are taken.
void package_merge(const std::array<Leaf, 256>& leaves, std::size_t n, Lengths& lengths) noexcept {
    std::array<std::array<bool, kMaxItems>, kMaxLength> is_leaf;
    std::array<std::uint64_t, kMaxItems> row, above;
    std::size_t size = 0;
    for (unsigned d = 0; d < kMaxLength; ++d) {
        std::swap(row, above);
        const std::size_t packages = size / 2, items = std::min(n + packages, 2 * n - 2);
        std::size_t leaf = 0, package = 0;
        for (size = 0; size < items; ++size) {
            const std::uint64_t sum =
                package < packages ? above[2 * package] + above[2 * package + 1] : ~0ull;
            const bool take_leaf = leaf < n && leaves[leaf].weight <= sum;
            is_leaf[d][size] = take_leaf;
            row[size] = take_leaf ? leaves[leaf].weight : sum;
            leaf += take_leaf;
            package += !take_leaf;
        }
    }
    std::size_t taken = 2 * n - 2;
    for (unsigned d = kMaxLength; d-- > 0;) {
        const auto& flags = is_leaf[d];
        const auto chosen = std::count(flags.begin(), flags.begin() + taken, true);
        for (std::ptrdiff_t i = 0; i < chosen; ++i) {
            ++lengths[leaves[static_cast<std::size_t>(i)].symbol];
        }
        taken = 2 * (taken - static_cast<std::size_t>(chosen));
    }
}

void put_gamma(BitWriter& writer, std::uint32_t value) noexcept {
    const unsigned k = static_cast<unsigned>(std::bit_width(value)) - 1;
    writer.put(std::uint32_t{1} << k, k + 1);
    writer.put(value - (std::uint32_t{1} << k), k);
}

// Triangular weighted sum over the neighbours up to `radius` away.
void smooth(const Counts& counts, std::size_t lowest, std::size_t highest, std::size_t radius,
            Weights& weights) noexcept {
    weights.fill(0);
    for (std::size_t s = lowest; s <= highest; ++s) {
        weights[s] += std::uint64_t{counts[s]} * (radius + 1);
        for (std::size_t d = 1; d <= radius; ++d) {
            const std::uint64_t share = std::uint64_t{counts[s]} * (radius + 1 - d);
            if (s >= lowest + d) weights[s - d] += share;
            if (s + d <= highest) weights[s + d] += share;
        }
    }
}

// Fits weights that nowhere fall from symbol `from` up to, not including, symbol `mode` by pooling
// adjacent violators. They rise a little within a pool, so that a pool has few code lengths.
void climb(const Counts& counts, int from, int mode, Weights& weights) noexcept {
    struct Pool {
        std::uint64_t sum;
        std::uint32_t size;
    };
    std::array<Pool, 256> pools;
    std::size_t n = 0;
    const int step = from < mode ? 1 : -1;
    for (int s = from; s != mode; s += step) {
        pools[n++] = {counts[static_cast<std::size_t>(s)], 1};
        for (; n > 1; --n) {
            Pool &last = pools[n - 1], &before = pools[n - 2];
            if (before.sum * last.size <= last.sum * before.size) break;
            before = {before.sum + last.sum, before.size + last.size};
        }
    }
    std::size_t s = static_cast<std::size_t>(from);
    std::uint64_t rank = 0;
    for (std::size_t p = 0; p < n; ++p) {
        for (std::uint32_t i = 0; i < pools[p].size; ++i, s += static_cast<std::size_t>(step)) {
            weights[s] = (pools[p].sum << 16) / pools[p].size + ++rank;
        }
    }
}

// One hill, with its top at the largest count. With `free_ends` the lowest and highest symbol are
// not part of it: quantizers that clip, or that scale the largest weight to them, make them high.
void fit_hill(const Counts& counts, std::size_t lowest, std::size_t highest, bool free_ends,
              Weights& weights) noexcept {
    weights.fill(0);
    if (free_ends) {
        for (const std::size_t end : {lowest, highest}) {
            weights[end] = std::uint64_t{counts[end]} << 16;
        }
        ++lowest;
        --highest;
    }
    const auto begin = counts.begin();
    const auto top = std::max_element(begin + lowest, begin + highest + 1) - begin;
    weights[static_cast<std::size_t>(top)] = std::uint64_t{counts[top] + 1u} << 16;
    climb(counts, static_cast<int>(lowest), static_cast<int>(top), weights);
    climb(counts, static_cast<int>(highest), static_cast<int>(top), weights);
}

}  // namespace

void limited_lengths(const Weights& weights, Lengths& lengths) noexcept {
    std::array<Leaf, 256> leaves;
    const std::size_t n = sorted_leaves(weights, leaves);
    lengths.fill(0);
    if (n == 1) {
        lengths[leaves[0].symbol] = 1;
        lengths[leaves[0].symbol ^ 1] = 1;
    } else if (!unlimited_lengths(leaves, n, lengths)) {
        package_merge(leaves, n, lengths);
    }
}

void canonical_codes(const Lengths& lengths, Codes& codes) noexcept {
    std::array<std::uint16_t, kMaxLength + 2> first{};
    for (const std::uint8_t length : lengths) first[length + 1u]++;
    first[1] = 0;  // symbols without a code
    for (unsigned length = 2; length <= kMaxLength; ++length) {
        first[length] = static_cast<std::uint16_t>(
            (first[length] + first[length - 1]) << 1);
    }
    // first[length] is now the first code of that length.
    for (std::size_t s = 0; s < 256; ++s) {
        std::uint16_t code = lengths[s] == 0 ? std::uint16_t{0} : first[lengths[s]]++;
        std::uint16_t reversed = 0;
        for (unsigned bit = 0; bit < lengths[s]; ++bit, code >>= 1) {
            reversed = static_cast<std::uint16_t>(reversed << 1 | (code & 1));
        }
        codes[s] = reversed;
    }
}

std::size_t write_table(const Lengths& lengths, std::uint8_t* out) noexcept {
    std::size_t lowest = 0, highest = 255;
    while (lengths[lowest] == 0) ++lowest;
    while (lengths[highest] == 0) --highest;
    out[0] = static_cast<std::uint8_t>(lowest);
    out[1] = static_cast<std::uint8_t>(highest);
    BitWriter writer(out + 2);
    unsigned previous = 0;
    for (std::size_t s = lowest; s <= highest;) {
        const unsigned length = lengths[s];
        std::uint32_t count = 1;
        while (s + count <= highest && lengths[s + count] == length) ++count;
        if (s == lowest) {
            writer.put(length, 4);
        } else if (length == previous + 1) {
            writer.put(0, 2);
        } else if (length + 1 == previous && length > 0) {
            writer.put(1, 2);
        } else if (length == previous + 2) {
            writer.put(2, 2);
        } else {
            writer.put(3 | length << 2, 6);
        }
        put_gamma(writer, count);
        previous = length;
        s += count;
    }
    return 2 + writer.finish();
}

Status read_table(std::span<const std::uint8_t> bytes, unsigned bits, Lengths& lengths,
                  std::size_t& used) noexcept {
    if (bytes.size() < 2) return truncated("huffman: table", bytes.size());
    const unsigned lowest = bytes[0], highest = bytes[1];
    if (lowest >= highest || highest >> bits != 0) return corrupt("huffman: symbols of a table");
    BitReader reader(bytes.subspan(2));
    const auto bad = [&](const char* what) noexcept {
        return reader.overrun() ? truncated("huffman: table", bytes.size())
                                : corrupt(what, 1 + reader.bytes_used());
    };
    lengths.fill(0);
    std::uint32_t sum = 0;  // in units of 2^-kMaxLength
    unsigned length = reader.get(4);
    if (length == 0) return bad("huffman: code length");
    for (unsigned symbol = lowest;;) {
        if (length > kMaxLength) return bad("huffman: code length");
        unsigned k = 0;
        for (; k <= 8 && reader.get(1) == 0; ++k) {}
        if (k > 8) return bad("huffman: run of code lengths");
        const unsigned count = 1u << k | reader.get(k);
        if (count > highest + 1 - symbol) return bad("huffman: run of code lengths");
        std::fill_n(lengths.begin() + symbol, count, static_cast<std::uint8_t>(length));
        if (length != 0) sum += count << (kMaxLength - length);
        symbol += count;
        if (symbol > highest) break;

        const unsigned previous = length, move = reader.get(2);
        length = move == 0 ? previous + 1
               : move == 1 ? previous - 1  // 0 - 1 is above every limit
               : move == 2 ? previous + 2
                           : reader.get(4);
        if (length == previous || (length == 0 && move != 3)) return bad("huffman: code length");
    }
    if (reader.overrun() || !reader.padding_is_zero() || length == 0 || sum != kTableEntries) {
        return bad("huffman: code lengths do not add up");
    }
    used = 2 + reader.bytes_used();
    return kOkStatus;
}

std::uint64_t payload_bits(const Counts& counts, const Lengths& lengths) noexcept {
    std::uint64_t bits = 0;
    for (std::size_t s = 0; s < 256; ++s) bits += std::uint64_t{counts[s]} * lengths[s];
    return bits;
}

void choose_lengths(const Counts& counts, Lengths& lengths) noexcept {
    std::size_t lowest = 0, highest = 255;
    while (counts[lowest] == 0) ++lowest;
    while (counts[highest] == 0) --highest;

    std::array<std::uint8_t, kMaxTableBytes> table;
    Weights weights;
    std::copy(counts.begin(), counts.end(), weights.begin());
    limited_lengths(weights, lengths);
    const std::size_t table_bits = 8 * write_table(lengths, table.data());
    const std::uint64_t bits = payload_bits(counts, lengths);
    if (table_bits * kWorthSmoothing < bits || highest - lowest < 4) return;

    std::uint64_t best = bits + table_bits;
    const auto consider = [&]() noexcept {
        Lengths candidate;
        limited_lengths(weights, candidate);
        const std::uint64_t total =
            payload_bits(counts, candidate) + 8 * write_table(candidate, table.data());
        if (total >= best) return;
        best = total;
        lengths = candidate;
    };
    for (const bool free_ends : {false, true}) {
        fit_hill(counts, lowest, highest, free_ends, weights);
        consider();
    }
    for (std::size_t radius = 1; radius <= 16; radius *= 2) {
        smooth(counts, lowest, highest, radius, weights);
        consider();
    }
}

}  // namespace qc::huffman
