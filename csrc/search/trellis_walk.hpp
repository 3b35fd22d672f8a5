// search/trellis_walk.hpp - Viterbi's algorithm for as many lanes at a time as a vector of the machine holds.
//
// Include it only inside a region of the target that it is compiled for, where qc::trellis has kVectorBytes, the width
// of its registers. Every target does the same operations in
// the same order, so all find the same path. Limit: two additions, a comparison, a choice and what keeps the decision
// for each state and vector of values. Vectors wider than the target's registers would be taken apart
// element by element: twenty times as slow.
//
// What differs between targets are tables, which look up points and rates, and decisions: which of its two branches
// each state of a step was reached by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "entropy/trellis.hpp"
#include "search/trellis.hpp"

namespace qc::trellis {
namespace {

constexpr unsigned kLanes = kVectorBytes / 4;

typedef float Floats __attribute__((vector_size(kVectorBytes)));
typedef std::int32_t Ints __attribute__((vector_size(kVectorBytes)));
typedef std::uint32_t Words __attribute__((vector_size(kVectorBytes)));
typedef std::uint8_t Bytes __attribute__((vector_size(kLanes)));

// Costs are compared again and again: they stay small.
constexpr std::size_t kBlockSteps = 32;
constexpr float kUnreached = 1e9f;

// Costs of the best symbols of the four subsets, symbols modulo 4, and those symbols in the bytes of a word.
template <bool kWeighted, class Tables>
[[gnu::always_inline]] inline void measure(const Job& job, const Tables& tables, Floats x, Floats weight,
                                           Floats* costs, Words& candidates) noexcept {
    const Floats zero = {};
    const Floats last = zero + (static_cast<float>(job.places) - 1.5f);
    const Floats at = (x + job.zero) * 0.25f;
    Words places = {};
    for (unsigned k = 0; k < 4; ++k) {
        Floats z = at - static_cast<float>(k) * 0.25f;
        z = zero > z ? zero : z;
        z = z > last ? last : z;
        const Ints lower = __builtin_convertvector(z, Ints);
        Floats v0, v1, r0, r1;
        tables.look_up(k, lower, v0, v1, r0, r1);
        const Floats d0 = x - v0;
        const Floats d1 = x - v1;
        Floats c0 = d0 * d0;
        Floats c1 = d1 * d1;
        if constexpr (kWeighted) {
            c0 *= weight;
            c1 *= weight;
        }
        c0 += r0;
        c1 += r1;
        const Ints upper = c1 < c0;  // -1 or 0
        costs[k] = upper ? c1 : c0;
        places |= reinterpret_cast<Words>(lower - upper) << (8 * k);
    }
    candidates = places * 4 + 0x03020100u;
}

template <unsigned kMemory, class Decisions>
struct Walker {
    static constexpr unsigned kStates = 1u << kMemory;

    Floats cost[2][kStates];

    Walker() noexcept {
        for (unsigned s = 0; s < kStates; ++s) cost[0][s] = Floats{} + (s == 0 ? 0.0f : kUnreached);
    }

    // One step from cost[kFrom] to cost[1 - kFrom], whose decisions go to `kept`.
    template <unsigned kFrom>
    [[gnu::always_inline]] void step(const Floats* metrics, std::uint8_t* kept) noexcept {
        Decisions decisions(kept);
        [&]<unsigned... t>(std::integer_sequence<unsigned, t...>) __attribute__((always_inline)) {
            (arrive<kFrom, t>(metrics, decisions), ...);
        }(std::make_integer_sequence<unsigned, kStates>{});
        decisions.flush();
    }

    template <unsigned kFrom, unsigned t>
    [[gnu::always_inline]] void arrive(const Floats* metrics, Decisions& decisions) noexcept {
        constexpr unsigned kContext = t >> (kMemory - 1);
        const Floats a = cost[kFrom][previous_state(kMemory, t, 0)] + metrics[kContext];
        const Floats b = cost[kFrom][previous_state(kMemory, t, 1)] + metrics[2 + kContext];
        cost[1 - kFrom][t] = decisions.template lesser<t>(a, b);
    }

    void lower_costs() noexcept {
        const Floats least = cost[0][0];
        for (unsigned s = 0; s < kStates; ++s) cost[0][s] -= least;
    }

    void best_states(Words& best) const noexcept {
        Floats least = cost[0][0];
        best = Words{};
        for (unsigned s = 1; s < kStates; ++s) {
            const Ints less = cost[0][s] < least;
            least = less ? cost[0][s] : least;
            best = less ? Words{} + s : best;
        }
    }
};

// Where the values of a lane begin in an arrangement.
inline std::size_t lane_start(std::size_t lane, std::size_t stride) noexcept {
    return lane / kArranged * stride + lane % kArranged;
}

// Read once, in order: with the stride of all lanes each line would be fetched for itself.
inline void arrange(const Arrange& job) noexcept {
    const Floats zero = {};
    const Floats end = zero + job.end;
    for (std::size_t at = 0, step = 0; at < job.n; ++step) {
        for (unsigned lane = 0; lane < job.lanes; lane += kLanes, at += kLanes) {
            Floats x = zero;
            if (at + kLanes <= job.n) {
                std::memcpy(&x, job.values + at, sizeof x);
            } else {
                for (std::size_t k = 0; at + k < job.n; ++k) x[k] = job.values[at + k];
            }
            x *= job.factor;
            x = x > end ? end : x;
            x = x < -end ? -end : x;
            std::memcpy(job.out + lane_start(lane, job.stride) + step * kArranged, &x, sizeof x);
        }
    }
}

// The nearest levels of arranged values, as symbols: level 0 is `zero`. Lanes without a value get that.
inline void round_levels(const Rounding& job) noexcept {
    const Words zero = Words{} + job.zero;
    std::uint8_t* to = job.symbols;
    for (std::size_t at = 0; at < job.n; at += job.lanes) {
        for (unsigned lane = 0; lane < job.lanes; lane += kLanes, to += kLanes) {
            Floats x;
            std::memcpy(&x, job.values + lane_start(lane, job.stride) + at / job.lanes * kArranged, sizeof x);
            // The sum leaves the nearest integer in its low bits.
            const Words level = (reinterpret_cast<Words>(x + 0x1.8p23f) + zero) & 255;
            const Bytes symbols = __builtin_convertvector(level, Bytes);
            std::memcpy(to, &symbols, sizeof symbols);
        }
    }
}

// Symbols of lanes [lane, lane + kLanes) of the job.
template <unsigned kMemory, class Tables, class Decisions>
void walk_lanes(const Job& job, std::size_t lane, const Scratch& scratch) {
    auto* const decisions = static_cast<std::uint8_t*>(scratch.decisions);
    auto* const candidates = static_cast<Words*>(scratch.candidates);
    const bool weighted = job.weights != nullptr;
    const float* const values = job.values + lane_start(lane, job.stride);
    const float* const weights = weighted ? job.weights + lane_start(lane, job.stride) : nullptr;
    const std::size_t steps = (job.n + job.lanes - 1) / job.lanes;
    const auto tile_steps = static_cast<std::uint32_t>(job.tile / job.lanes);
    Walker<kMemory, Decisions> walker;
    Floats metrics[kBlockSteps][4];
    for (std::size_t first = 0; first < steps; first += kBlockSteps) {
        const std::size_t end = std::min(first + kBlockSteps, steps);
        for (std::size_t i = first; i < end; ++i) {
            const Tables tables(job, job.choices[static_cast<std::uint32_t>(i) / tile_steps]);
            const Floats x = *reinterpret_cast<const Floats*>(values + i * kArranged);
            if (weighted) {
                const Floats weight = *reinterpret_cast<const Floats*>(weights + i * kArranged);
                measure<true>(job, tables, x, weight, metrics[i - first], candidates[i]);
            } else {
                measure<false>(job, tables, x, Floats{}, metrics[i - first], candidates[i]);
            }
        }
        for (std::size_t k = 0; end == steps && k < kLanes; ++k) {  // where there is no value, nothing costs
            if ((steps - 1) * job.lanes + lane + k < job.n) continue;
            for (unsigned c = 0; c < 4; ++c) metrics[steps - 1 - first][c][k] = 0;
        }
        std::size_t i = first;
        for (; i + 2 <= end; i += 2) {
            walker.template step<0>(metrics[i - first], decisions + i * Decisions::kBytes);
            walker.template step<1>(metrics[i - first + 1], decisions + (i + 1) * Decisions::kBytes);
        }
        if (i < end) {
            walker.template step<0>(metrics[i - first], decisions + i * Decisions::kBytes);
            std::memcpy(walker.cost[0], walker.cost[1], sizeof walker.cost[0]);
        }
        walker.lower_costs();
    }
    constexpr Taps kTaps = taps(kMemory);
    Words state;
    walker.best_states(state);
    for (std::size_t i = steps; i-- > 0;) {
        const Words branch = Decisions::branch(decisions + i * Decisions::kBytes, state);
        const Words context = state >> (kMemory - 1);
        const Words symbols = candidates[i] >> ((branch * 2 + context) * 8) & 255;
        state = (state ^ (context * kTaps.context) ^ (branch * kTaps.branch)) << 1 | context;
        const Bytes bytes = __builtin_convertvector(symbols, Bytes);
        const std::size_t at = i * job.lanes + lane;
        std::memcpy(job.symbols + at, &bytes, sizeof bytes);  // lanes without a value write behind the last, see Job
    }
}

template <class Tables, template <unsigned> class Decisions>
void walk_with(const Job& job, const Scratch& scratch) {
    for (std::size_t lane = 0; lane < job.lanes; lane += kLanes) {
        if (job.memory == 3) walk_lanes<3, Tables, Decisions<3>>(job, lane, scratch);
        if (job.memory == 5) walk_lanes<5, Tables, Decisions<5>>(job, lane, scratch);
        if (job.memory == 7) walk_lanes<7, Tables, Decisions<7>>(job, lane, scratch);
    }
}

}  // namespace
}  // namespace qc::trellis
