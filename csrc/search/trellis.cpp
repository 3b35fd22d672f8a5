#include "search/trellis.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "entropy/rans_encode.hpp"
#include "search/trellis_walk.hpp"
#include "simd/isa.hpp"

namespace qc::trellis {
namespace {

constexpr unsigned kPasses = 4;
constexpr unsigned kMinBits = 3;
constexpr unsigned kMaxBits = 8;
constexpr float kPerBit = 1.0f / 65536;

void walk_portable(const Job& job, const Scratch& scratch) { walk_with<PlainTables>(job, scratch); }

#if QC_X86
constexpr Variants<WalkFn> kWalk{walk_portable, walk_avx2, walk_avx512};
#else
constexpr Variants<WalkFn> kWalk{walk_portable};
#endif

// Fewest bits whose levels reach one beyond the largest magnitude, in steps.
unsigned bits_for(float most) noexcept {
    unsigned bits = kMinBits;
    while (bits < kMaxBits && most + 1 > static_cast<float>((1 << (bits - 1)) - 1)) ++bits;
    return bits;
}

// States and trellises start in every lane: about 1.5 bytes for nothing, at most 0.6 % of the stream.
unsigned choose_lanes(std::uint64_t bits) noexcept {
    unsigned lanes = kMinLanes;
    while (lanes < rans::kMaxLanes && bits / 8 >= 2 * lanes * std::uint64_t{256}) lanes *= 2;
    return lanes;
}

void round_levels(const float* values, std::size_t n, int zero, std::uint8_t* symbols) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        symbols[i] = static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(values[i])) + zero);
    }
}

void count(std::span<const std::uint8_t> symbols, std::uint32_t* counts) noexcept {
    std::fill_n(counts, 256, 0u);
    for (const std::uint8_t s : symbols) ++counts[s];
}

// Centroids of the cells as shifts, as far as there are cells.
void fit_shifts(const float* values, const float* weights, std::size_t n, int zero, const std::uint8_t* symbols,
                Walk& walk) noexcept {
    double mass[256] = {};
    double sum[256] = {};
    for (std::size_t i = 0; i < n; ++i) {
        const double w = weights == nullptr ? 1.0 : weights[i];
        mass[symbols[i]] += w;
        sum[symbols[i]] += w * values[i];
    }
    walk.n_shifts = 0;
    for (unsigned j = 1; j <= kMaxShifts && static_cast<int>(j) < zero; ++j) {
        const int up = zero + static_cast<int>(j), down = zero - static_cast<int>(j);
        const double m = mass[up] + mass[down];
        const double off = m > 0 ? j - (sum[up] - sum[down]) / m : 0;
        const double shift = std::nearbyint(std::clamp(off * kShiftUnit, -127.0, 127.0));
        walk.shifts[j - 1] = static_cast<std::int8_t>(shift);
        if (shift != 0) walk.n_shifts = j;
    }
}

void set_points(const Walk& walk, float scale, int zero, float* points) noexcept {
    for (int s = 0; s < static_cast<int>(kTableSize); ++s) {
        const float value = point(s - zero, {walk.shifts.data(), walk.n_shifts}, scale);
        points[s % 4 * 64 + s / 4] = value / scale;
    }
}

}  // namespace

Walk choose(std::span<const float> values, const float* weights, const Plan& plan, Workspace& workspace) {
    const std::size_t n = values.size();
    float* const x = workspace.get_as<float>(Workspace::kConvert, n);
    const float inverse = 1.0f / plan.scale;
    float most = 0;
    for (std::size_t i = 0; i < n; ++i) {
        x[i] = values[i] * inverse;
        most = std::max(most, std::abs(x[i]));
    }
    Walk walk{};
    walk.bits = bits_for(most);
    const int zero = 1 << (walk.bits - 1);
    const auto end = static_cast<float>(zero - 1);
    for (std::size_t i = 0; i < n; ++i) x[i] = std::clamp(x[i], -end, end);
    std::uint8_t* const symbols = workspace.get(Workspace::kSymbols, n);
    walk.symbols = symbols;
    round_levels(x, n, zero, symbols);
    std::uint32_t counts[256];
    count({symbols, n}, counts);
    walk.lanes = choose_lanes(rans::estimate_bits(counts, walk.bits));

    const std::size_t steps = (n + walk.lanes - 1) / walk.lanes;
    const std::size_t words = plan.memory == 7 ? 4 : 1;
    const Scratch scratch{workspace.get(Workspace::kGather, steps * words * 64),
                          workspace.get(Workspace::kPartial, steps * 64)};
    auto& model = *workspace.get_as<rans::Model>(Workspace::kStaging, 1);
    float* const points = workspace.get_as<float>(Workspace::kCoefficients, (1 + rans::kMaxTables) * kTableSize);
    float* const rates = points + kTableSize;
    for (unsigned pass = 0; pass < kPasses; ++pass) {
        const rans::Coding coding =
            rans::fit_model({symbols, n}, counts, walk.bits, plan.memory, workspace, model);
        for (unsigned t = 0; t < model.n_tables; ++t) {
            for (unsigned s = 0; s < kTableSize; ++s) {
                rates[t * kTableSize + s % 4 * 64 + s / 4] =
                    plan.rdo * kPerBit * static_cast<float>(rans::symbol_cost(model, t, s));
            }
        }
        set_points(walk, plan.scale, zero, points);
        kWalk.pick()({x, weights, n, plan.memory, walk.lanes, static_cast<float>(zero), 1u << (walk.bits - 2),
                      points, rates, coding.choices, model.n_tables > 1 ? model.tile : rans::kMaxCount, symbols},
                     scratch);
        count({symbols, n}, counts);
        fit_shifts(x, weights, n, zero, symbols, walk);
    }
    return walk;
}

}  // namespace qc::trellis
