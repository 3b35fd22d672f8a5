// entropy/rans_tiles.cpp - k-means over counts, with code lengths for distances, in integers.
#include "entropy/rans_tiles.hpp"

#include <algorithm>
#include <cstring>

#include "entropy/rans_encode.hpp"

namespace qc::rans {
namespace {

void tile_costs(const Sample& s, const std::int16_t* costs, std::int32_t* sums) {
    std::fill_n(sums, s.tiles, 0);
    for (unsigned e = 0; e < s.width; ++e) {
        const std::int16_t* const counts = s.counts + e * s.tiles;
        const std::int16_t cost = costs[e];
        for (std::size_t t = 0; t < s.tiles; ++t) sums[t] += counts[t] * cost;
    }
}

// Code lengths in 2^-8 bit, each in its context, for symbols with these counts; rare ones are taken as escaped.
void ideal_costs(const Sample& s, const std::uint32_t* counts, unsigned rare_bits, std::int16_t* costs) {
    std::uint32_t totals[2] = {1, 1};
    for (unsigned e = 0; e < s.width; ++e) totals[s.odd >> e & 1] += counts[e];
    const std::uint32_t most = (8 + rare_bits) << 16;
    for (unsigned e = 0; e < s.width; ++e) {
        const std::uint32_t c = counts[e];
        const std::uint32_t total = totals[s.odd >> e & 1];
        const std::uint32_t cost = c == 0 ? most : std::min(most, log2_q16(total) - log2_q16(c));
        costs[e] = static_cast<std::int16_t>(cost >> 8);
    }
}

}  // namespace

void count_tiles(const std::uint8_t* index, std::size_t n, std::size_t tile, std::size_t stride,
                 Sample& s) {
    const EncodeKernel& kernel = encode_kernel();
    std::size_t t = 0;
    s.n = 0;
    for (std::size_t at = 0; at < n; at += tile * stride, ++t) {
        const std::size_t size = std::min(tile, n - at);
        std::uint16_t* const counts = s.rows + t * s.width;
        kernel.count(index + at, size, s.width, counts);
        for (unsigned e = 0; e < s.width; ++e) {
            s.counts[e * s.tiles + t] = static_cast<std::int16_t>(counts[e]);
        }
        s.n += size;
    }
}

void sum_groups(const Sample& s, GroupCounts& sums) {
    std::memset(sums, 0, sizeof sums);
    for (std::size_t t = 0; t < s.tiles; ++t) {
        std::uint32_t* const to = sums[s.group[t]];
        const std::uint16_t* const from = s.rows + t * s.width;
        for (unsigned e = 0; e < s.width; e += 8) {
            for (unsigned k = 0; k < 8; ++k) to[e + k] += from[e + k];
        }
    }
}

unsigned group_tiles(const Sample& s, const std::uint32_t* all, unsigned groups,
                     unsigned rare_bits, unsigned rounds, GroupCounts& sums) {
    std::int16_t costs[kEntries];
    ideal_costs(s, all, rare_bits, costs);
    tile_costs(s, costs, s.cost);
    for (std::size_t t = 0; t < s.tiles; ++t) {
        s.order[t] = static_cast<std::uint64_t>(s.cost[t]) << 32 | t;
    }
    std::sort(s.order, s.order + s.tiles);
    for (std::size_t k = 0; k < s.tiles; ++k) {
        s.group[s.order[k] & 0xFFFFFFFF] = static_cast<std::uint8_t>(k * groups / s.tiles);
    }
    for (unsigned round = 0; round < rounds; ++round) {
        sum_groups(s, sums);
        unsigned left = 0;
        for (unsigned g = 0; g < groups; ++g) {
            if (std::all_of(sums[g], sums[g] + s.width, [](auto c) { return c == 0; })) continue;
            ideal_costs(s, sums[g], rare_bits, costs);
            tile_costs(s, costs, left == 0 ? s.least : s.cost);
            for (std::size_t t = 0; t < s.tiles; ++t) {
                const bool better = left == 0 || s.cost[t] < s.least[t];
                if (left > 0) s.least[t] = std::min(s.least[t], s.cost[t]);
                if (better) s.group[t] = static_cast<std::uint8_t>(left);
            }
            ++left;
        }
        groups = left;
    }
    sum_groups(s, sums);
    unsigned left = 0;
    for (unsigned g = 0; g < groups; ++g) {
        if (std::all_of(sums[g], sums[g] + s.width, [](auto c) { return c == 0; })) continue;
        if (left != g) std::copy_n(sums[g], kEntries, sums[left]);
        ++left;
    }
    return left;
}

}  // namespace qc::rans
