// entropy/rans_tiles.cpp - k-means over counts, with code lengths for distances, in integers.
#include "entropy/rans_tiles.hpp"

#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/rans_encode.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc::rans {
namespace {

// Code lengths of two neighbouring indices in each group's table, group by group.
struct alignas(64) Costs {
    std::int16_t pairs[kEntries / 2][kMaxTables][2];

    std::int16_t& at(unsigned group, unsigned index) { return pairs[index / 2][group][index % 2]; }
    std::int16_t at(unsigned group, unsigned index) const { return pairs[index / 2][group][index % 2]; }
};

// What a tile with these counts takes.
std::int32_t tile_cost(const Sample& s, std::size_t tile, const Costs& costs, unsigned group) {
    const std::int16_t* const counts = s.counts + tile * s.width;
    std::int32_t sum = 0;
    for (unsigned e = 0; e < s.width; ++e) sum += counts[e] * costs.at(group, e);
    return sum;
}

// The group of each tile in which it takes least, the first of equals.
using NearestFn = void (*)(const Sample& s, const Costs& costs, unsigned groups, std::uint8_t* nearest);

void nearest_portable(const Sample& s, const Costs& costs, unsigned groups, std::uint8_t* nearest) {
    for (std::size_t t = 0; t < s.tiles; ++t) {
        std::int32_t sums[kMaxTables] = {};
        const std::int16_t* const counts = s.counts + t * s.width;
        for (unsigned p = 0; p < s.width / 2; ++p) {
            for (unsigned g = 0; g < kMaxTables; ++g) {
                sums[g] += counts[2 * p] * costs.pairs[p][g][0] + counts[2 * p + 1] * costs.pairs[p][g][1];
            }
        }
        nearest[t] = static_cast<std::uint8_t>(std::min_element(sums, sums + groups) - sums);
    }
}

#if QC_X86
QC_TARGET("avx2")
template <bool kAll>
void nearest_of(const Sample& s, const Costs& costs, unsigned groups, std::uint8_t* nearest) {
    static_assert(kMaxTables == 16);
    const __m256i low_groups = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i high_groups = _mm256_add_epi32(low_groups, _mm256_set1_epi32(8));
    const __m256i last = _mm256_set1_epi32(static_cast<int>(groups) - 1);
    const __m256i unused_low = _mm256_srli_epi32(_mm256_cmpgt_epi32(low_groups, last), 1);
    const __m256i unused_high = _mm256_srli_epi32(_mm256_cmpgt_epi32(high_groups, last), 1);
    for (std::size_t t = 0; t < s.tiles; ++t) {
        const auto* const counts = reinterpret_cast<const std::uint8_t*>(s.counts + t * s.width);
        __m256i low = _mm256_setzero_si256();
        __m256i high = _mm256_setzero_si256();
        for (unsigned p = 0; p < s.width / 2; ++p) {
            const __m256i pair = _mm256_set1_epi32(load<std::int32_t>(counts + 4 * p));
            const auto* const by_group = reinterpret_cast<const __m256i*>(costs.pairs[p]);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pair, _mm256_load_si256(by_group)));
            if (kAll) high = _mm256_add_epi32(high, _mm256_madd_epi16(pair, _mm256_load_si256(by_group + 1)));
        }
        // Below 2^26: with the group behind it, the least is also the first of equals.
        low = _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi32(low, 4), low_groups), unused_low);
        if (kAll) {
            high = _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi32(high, 4), high_groups), unused_high);
            low = _mm256_min_epi32(low, high);
        }
        __m128i least = _mm_min_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
        least = _mm_min_epi32(least, _mm_shuffle_epi32(least, 0x4E));
        least = _mm_min_epi32(least, _mm_shuffle_epi32(least, 0xB1));
        nearest[t] = static_cast<std::uint8_t>(_mm_cvtsi128_si32(least) & 15);
    }
}

void nearest_avx2(const Sample& s, const Costs& costs, unsigned groups, std::uint8_t* nearest) {
    groups > 8 ? nearest_of<true>(s, costs, groups, nearest) : nearest_of<false>(s, costs, groups, nearest);
}
QC_TARGET_END
constinit const Variants<NearestFn> nearest_groups{nearest_portable, nearest_avx2, nearest_avx2};
#else
constinit const Variants<NearestFn> nearest_groups{nearest_portable};
#endif

// Code lengths in 2^-8 bit, each in its context, for symbols with these counts; rare ones are taken as escaped.
void ideal_costs(const Sample& s, const std::uint32_t* counts, unsigned rare_bits, unsigned group, Costs& costs) {
    std::uint32_t totals[2] = {1, 1};
    for (unsigned e = 0; e < s.width; ++e) totals[s.odd >> e & 1] += counts[e];
    const std::uint32_t most = (8 + rare_bits) << 16;
    for (unsigned e = 0; e < s.width; ++e) {
        const std::uint32_t c = counts[e];
        const std::uint32_t total = totals[s.odd >> e & 1];
        const std::uint32_t cost = c == 0 ? most : std::min(most, log2_q16(total) - log2_q16(c));
        costs.at(group, e) = static_cast<std::int16_t>(cost >> 8);
    }
}

// Adds a tile's counts, kSign = 1 or -1 times.
template <int kSign>
void add_tile(const Sample& s, std::size_t tile, std::uint32_t* sums) {
    const std::int16_t* const counts = s.counts + tile * s.width;
    for (unsigned e = 0; e < s.width; ++e) sums[e] += static_cast<std::uint32_t>(kSign * counts[e]);
}

// Renumbers the groups that have tiles; returns how many.
unsigned drop_empty(const Sample& s, unsigned groups, GroupCounts& sums) {
    std::uint8_t number[kMaxTables];
    unsigned left = 0;
    for (unsigned g = 0; g < groups; ++g) {
        number[g] = static_cast<std::uint8_t>(left);
        if (std::all_of(sums[g], sums[g] + s.width, [](auto c) { return c == 0; })) continue;
        if (left != g) std::copy_n(sums[g], kEntries, sums[left]);
        ++left;
    }
    if (left < groups) {
        for (std::size_t t = 0; t < s.tiles; ++t) s.group[t] = number[s.group[t]];
    }
    return left;
}

}  // namespace

void count_tiles(const std::uint8_t* index, std::size_t n, std::size_t tile, std::size_t stride,
                 Sample& s) {
    const EncodeKernel& kernel = encode_kernel();
    std::size_t t = 0;
    s.n = 0;
    for (std::size_t at = 0; at < n; at += tile * stride, ++t) {
        const std::size_t size = std::min(tile, n - at);
        kernel.count(index + at, size, s.width, reinterpret_cast<std::uint16_t*>(s.counts + t * s.width));
        s.n += size;
    }
}

Sample join_tiles(const Sample& s) {
    Sample joined = s;
    joined.tiles = (s.tiles + 1) / 2;
    joined.counts = s.counts + s.tiles * s.width;
    for (std::size_t t = 0; t < joined.tiles; ++t) {
        const std::int16_t* const from = s.counts + 2 * t * s.width;
        std::int16_t* const to = joined.counts + t * s.width;
        std::copy_n(from, s.width, to);
        if (2 * t + 1 == s.tiles) break;
        for (unsigned e = 0; e < s.width; ++e) to[e] = static_cast<std::int16_t>(to[e] + from[e + s.width]);
    }
    return joined;
}

void sum_tiles(const Sample& s, std::uint32_t* sums) {
    std::fill_n(sums, kEntries, 0u);
    for (std::size_t t = 0; t < s.tiles; ++t) add_tile<1>(s, t, sums);
}

void sort_tiles(const Sample& s, const std::uint32_t* all, unsigned rare_bits) {
    Costs costs;
    ideal_costs(s, all, rare_bits, 0, costs);
    for (std::size_t t = 0; t < s.tiles; ++t) {
        s.order[t] = static_cast<std::uint64_t>(tile_cost(s, t, costs, 0)) << 32 | t;
    }
    std::sort(s.order, s.order + s.tiles);
}

void sort_between_two(const Sample& s, unsigned rare_bits, unsigned rounds) {
    GroupCounts sums;
    if (group_tiles(s, 2, rare_bits, rounds, sums) < 2) return;
    Costs costs;
    for (unsigned g = 0; g < 2; ++g) ideal_costs(s, sums[g], rare_bits, g, costs);
    constexpr std::int64_t kMiddle = std::int64_t{1} << 31;
    for (std::size_t t = 0; t < s.tiles; ++t) {
        const std::int64_t between = kMiddle + tile_cost(s, t, costs, 0) - tile_cost(s, t, costs, 1);
        s.order[t] = static_cast<std::uint64_t>(between) << 32 | t;
    }
    std::sort(s.order, s.order + s.tiles);
}

unsigned group_tiles(const Sample& s, unsigned groups, unsigned rare_bits, unsigned rounds, GroupCounts& sums) {
    std::memset(sums, 0, sizeof sums);
    for (std::size_t k = 0; k < s.tiles; ++k) {
        const std::size_t t = s.order[k] & 0xFFFFFFFF;
        s.group[t] = static_cast<std::uint8_t>(k * groups / s.tiles);
        add_tile<1>(s, t, sums[s.group[t]]);
    }
    groups = drop_empty(s, groups, sums);
    Costs costs{};
    for (unsigned round = 0; round < rounds; ++round) {
        for (unsigned g = 0; g < groups; ++g) ideal_costs(s, sums[g], rare_bits, g, costs);
        nearest_groups.pick()(s, costs, groups, s.nearest);
        bool moved = false;
        for (std::size_t t = 0; t < s.tiles; ++t) {
            if (s.nearest[t] == s.group[t]) continue;
            add_tile<-1>(s, t, sums[s.group[t]]);
            add_tile<1>(s, t, sums[s.nearest[t]]);
            s.group[t] = s.nearest[t];
            moved = true;
        }
        if (!moved) break;
        groups = drop_empty(s, groups, sums);
    }
    return groups;
}

unsigned regroup_tiles(const Sample& s, unsigned groups, const std::uint32_t (*costs)[kEntries], GroupCounts& sums) {
    Costs scaled{};
    for (unsigned g = 0; g < groups; ++g) {
        for (unsigned e = 0; e < s.width; ++e) scaled.at(g, e) = static_cast<std::int16_t>(costs[g][e] >> 8);
    }
    nearest_groups.pick()(s, scaled, groups, s.group);
    std::memset(sums, 0, sizeof sums);
    for (std::size_t t = 0; t < s.tiles; ++t) add_tile<1>(s, t, sums[s.group[t]]);
    return drop_empty(s, groups, sums);
}

}  // namespace qc::rans
