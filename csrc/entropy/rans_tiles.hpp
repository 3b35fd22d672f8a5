// entropy/rans_tiles.hpp - sampled tiles of an index plane, put into groups that share a table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "entropy/rans_table.hpp"

namespace qc::rans {

// Counts of the sampled tiles, and the groups they are put in.
struct Sample {
    std::size_t tiles;
    std::size_t n;
    unsigned width;         // indices that may occur, rounded up to 8
    std::uint64_t odd;      // indices of the second context
    std::int16_t* counts;   // width x tiles
    std::uint16_t* rows;    // tiles x width: the same
    std::uint8_t* group;
    std::int32_t* cost;     // of the tiles, for one table
    std::int32_t* least;
    std::uint64_t* order;

    std::size_t bytes() const { return tiles * (4 * width + 1 + 4 + 4 + 8) + 64; }

    void place(std::uint8_t* at) {
        order = reinterpret_cast<std::uint64_t*>(at);
        cost = reinterpret_cast<std::int32_t*>(order + tiles);
        least = cost + tiles;
        counts = reinterpret_cast<std::int16_t*>(least + tiles);
        rows = reinterpret_cast<std::uint16_t*>(counts + tiles * width);
        group = reinterpret_cast<std::uint8_t*>(rows + tiles * width);
    }
};

using GroupCounts = std::uint32_t[kMaxTables][kEntries];

// Counts every stride-th tile.
//   requires  s.tiles and s.width set, s.place called
void count_tiles(const std::uint8_t* index, std::size_t n, std::size_t tile, std::size_t stride,
                 Sample& s);

// The groups' counts.
void sum_groups(const Sample& s, GroupCounts& sums);

// k-means, from `groups` quantiles of the tiles' cost under one table for `all`. Rare symbols are
// taken to cost rare_bits more than a slot does. Leaves the groups' counts; returns their number.
unsigned group_tiles(const Sample& s, const std::uint32_t* all, unsigned groups,
                     unsigned rare_bits, unsigned rounds, GroupCounts& sums);

}  // namespace qc::rans
