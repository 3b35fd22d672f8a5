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
    std::int16_t* counts;   // tiles x width
    std::uint64_t* order;   // of the tiles, by cost
    std::uint8_t* group;
    std::uint8_t* nearest;

    // Of all levels of tiles: each joins two tiles of the one below.
    static constexpr std::size_t bytes(std::size_t tiles, unsigned levels, unsigned width) {
        return tiles * (8 + 2) + (2 * tiles + levels) * 2 * width;
    }

    void place(std::uint8_t* at) {
        order = reinterpret_cast<std::uint64_t*>(at);
        group = reinterpret_cast<std::uint8_t*>(order + tiles);
        nearest = group + tiles;
        counts = reinterpret_cast<std::int16_t*>(nearest + tiles);
    }
};

using GroupCounts = std::uint32_t[kMaxTables][kEntries];

// Counts every stride-th tile.
//   requires  s.tiles and s.width set, s.place called
void count_tiles(const std::uint8_t* index, std::size_t n, std::size_t tile, std::size_t stride,
                 Sample& s);

// Two tiles become one, the last one may stay alone: behind the counts of `s`.
//   requires  every tile was counted
Sample join_tiles(const Sample& s);

void sum_tiles(const Sample& s, std::uint32_t* sums);

// Orders the tiles by what they take under one table for `all`. Rare symbols are taken to cost rare_bits more
// than a slot does.
void sort_tiles(const Sample& s, const std::uint32_t* all, unsigned rare_bits);

// Orders the tiles by which of two groups they are like: families of distributions along one parameter come in its
// order, also where their costs under one table are alike (means of both signs).
//   requires  sort_tiles
void sort_between_two(const Sample& s, unsigned rare_bits, unsigned rounds);

// k-means, from `groups` quantiles of the sorted tiles. Leaves the groups' counts; returns their number.
unsigned group_tiles(const Sample& s, unsigned groups, unsigned rare_bits, unsigned rounds, GroupCounts& sums);

// Moves every tile to the group whose table codes it in the least bits: costs[group][index] in 2^-16 bit, below 32
// bits. Leaves the groups' counts; returns their number.
unsigned regroup_tiles(const Sample& s, unsigned groups, const std::uint32_t (*costs)[kEntries], GroupCounts& sums);

}  // namespace qc::rans
