#include "entropy/huffman_table.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/bits.hpp"

namespace qc::huffman {
namespace {

constexpr std::size_t kMaxItems = 512;
constexpr std::size_t kFewLeaves = 64;

// Smoothing saves at most a table, some 75 bytes. Blocks of more bits would gain less than 0.4 %.
constexpr std::uint64_t kWorthSmoothing = 150'000;

// A new table costs a reader time, so it must save more than a five-hundredth.
bool new_table_pays(std::uint64_t old_bits, std::uint64_t new_bits) noexcept {
    return new_bits * 500 < old_bits * 499;
}

// The symbols with a weight, in order of (weight, symbol).
struct Leaves {
    std::size_t n = 0;
    std::array<std::uint64_t, 256> weight;
    std::array<std::uint8_t, 256> symbol;

    explicit Leaves(const Weights& weights) noexcept {
        for (std::size_t s = 0; s < 256; ++s) {
            if (weights[s] != 0) weight[n++] = weights[s] << 8 | s;
        }
        std::sort(weight.begin(), weight.begin() + n);
        for (std::size_t i = 0; i < n; ++i) {
            symbol[i] = static_cast<std::uint8_t>(weight[i]);
            weight[i] >>= 8;
        }
    }
};

// Huffman's algorithm with two queues, leaves and nodes; a lone symbol gets a companion.
void unlimited_lengths(const Leaves& leaves, Lengths& lengths) noexcept {
    const std::size_t n = leaves.n;
    lengths.fill(0);
    if (n == 1) {
        lengths[leaves.symbol[0]] = lengths[leaves.symbol[0] ^ 1] = 1;
        return;
    }
    std::array<std::uint64_t, 256> node;
    std::array<std::size_t, kMaxItems> parent, depth;  // of leaves, then of nodes
    std::size_t leaf = 0, oldest = 0;
    for (std::size_t made = 0; made < n - 1; ++made) {
        node[made] = 0;
        for (int child = 0; child < 2; ++child) {
            const bool take_leaf =
                leaf < n && (oldest == made || leaves.weight[leaf] <= node[oldest]);
            node[made] += take_leaf ? leaves.weight[leaf] : node[oldest];
            parent[take_leaf ? leaf++ : n + oldest++] = n + made;
        }
    }
    depth[2 * n - 2] = 0;
    for (std::size_t i = 2 * n - 2; i-- > 0;) depth[i] = depth[parent[i]] + 1;
    for (std::size_t i = 0; i < n; ++i) {
        lengths[leaves.symbol[i]] = static_cast<std::uint8_t>(depth[i]);
    }
}

// Package-merge (Larmore and Hirschberg, 1990): row d merges the leaves with pairs of row d - 1,
// and of the last row the first 2n - 2 items are taken.
void package_merge(const Leaves& leaves, Lengths& lengths) noexcept {
    const std::size_t n = leaves.n;
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
            const bool take_leaf = leaf < n && leaves.weight[leaf] <= sum;
            is_leaf[d][size] = take_leaf;
            row[size] = take_leaf ? leaves.weight[leaf] : sum;
            leaf += take_leaf;
            package += !take_leaf;
        }
    }
    lengths.fill(0);
    std::size_t taken = 2 * n - 2;
    for (unsigned d = kMaxLength; d-- > 0;) {
        const auto begin = is_leaf[d].begin();
        const auto chosen = static_cast<std::size_t>(std::count(begin, begin + taken, true));
        for (std::size_t i = 0; i < chosen; ++i) ++lengths[leaves.symbol[i]];
        taken = 2 * (taken - chosen);
    }
}

bool within_limit(const Lengths& lengths) noexcept {
    return *std::max_element(lengths.begin(), lengths.end()) <= kMaxLength;
}

// Package-merge takes 15 times as long as Huffman's algorithm. Where leaves are many, it is nearly
// as good to raise the lightest of them to the weight that a code of kMaxLength bits is for.
void limit_lengths(const Leaves& leaves, Lengths& lengths) noexcept {
    if (within_limit(lengths)) return;
    if (leaves.n > kFewLeaves) {
        Leaves raised = leaves;
        const auto begin = raised.weight.begin(), end = begin + leaves.n;
        const std::uint64_t least = std::accumulate(begin, end, std::uint64_t{0}) >> kMaxLength;
        for (auto weight = begin; weight != end; ++weight) *weight = std::max(*weight, least);
        unlimited_lengths(raised, lengths);
        if (within_limit(lengths)) return;
    }
    package_merge(leaves, lengths);
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

std::uint64_t total_bits(const Counts& counts, const Lengths& lengths) noexcept {
    std::array<std::uint8_t, kMaxTableBytes> table;
    return payload_bits(counts, lengths) + 8 * write_table(lengths, table.data());
}

// Replaces the best lengths so far by those of a smoother histogram whose table is shorter by more
// than the payload grows.
void try_smoothed(const Counts& counts, Lengths& lengths, std::uint64_t& bits) noexcept {
    std::size_t lowest = 0, highest = 255;
    while (counts[lowest] == 0) ++lowest;
    while (counts[highest] == 0) --highest;
    if (highest - lowest < 4) return;

    Weights weights;
    const auto consider = [&]() noexcept {
        Lengths candidate;
        limited_lengths(weights, candidate);
        const std::uint64_t total = total_bits(counts, candidate);
        if (total >= bits) return;
        bits = total;
        lengths = candidate;
    };
    for (const bool free_ends : {false, true}) {
        fit_hill(counts, lowest, highest, free_ends, weights);
        consider();
    }
    for (const std::size_t radius : {1, 4}) {
        smooth(counts, lowest, highest, radius, weights);
        consider();
    }
}

}  // namespace

void limited_lengths(const Weights& weights, Lengths& lengths) noexcept {
    const Leaves leaves(weights);
    unlimited_lengths(leaves, lengths);
    limit_lengths(leaves, lengths);
}

bool keep_lengths(const Counts& counts, Lengths& lengths) noexcept {
    bool usable = true;
    for (std::size_t s = 0; s < 256; ++s) usable = usable && (counts[s] == 0 || lengths[s] != 0);
    const std::uint64_t old_bits = payload_bits(counts, lengths);

    Weights weights;
    std::copy(counts.begin(), counts.end(), weights.begin());
    const Leaves leaves(weights);
    Lengths found;
    unlimited_lengths(leaves, found);
    // No code takes fewer bits than this one, so most blocks are done here.
    if (usable && !new_table_pays(old_bits, payload_bits(counts, found))) return true;

    limit_lengths(leaves, found);
    std::uint64_t bits = total_bits(counts, found);
    if (bits < kWorthSmoothing) try_smoothed(counts, found, bits);
    if (usable && !new_table_pays(old_bits, bits)) return true;
    lengths = found;
    return false;
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

}  // namespace qc::huffman
