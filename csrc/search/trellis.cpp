#include "search/trellis.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "entropy/rans_encode.hpp"
#include "quantize/magnitudes.hpp"
#include "simd/isa.hpp"

namespace qc::trellis {
namespace {
constexpr std::size_t kVectorBytes = 16;
}
}  // namespace qc::trellis
#include "search/trellis_walk.hpp"
#include "search/trellis_records.hpp"

namespace qc::trellis {
namespace {

constexpr unsigned kPasses = 4;
// Where speed counts, tables and points come from every sixteenth run of rounds.
constexpr std::size_t kSampleFrom = std::size_t{1} << 18;
constexpr unsigned kSampleStride = 16;
constexpr unsigned kRunRounds = 64;
// One element in so many may lie beyond the levels: a patch of 8 bytes each costs less than a thousandth of a bit, and
// levels of 6 or 7 bits decode faster than those of 8.
constexpr std::size_t kPatchedOf = std::size_t{1} << 17;
constexpr unsigned kMinBits = 3;
constexpr unsigned kMaxBits = 8;
constexpr float kPerBit = 1.0f / 65536;

#if QC_X86
constexpr Variants<const Kernels*> kKernels{&kPortable, &kAvx2, &kAvx512};
#else
constexpr Variants<const Kernels*> kKernels{&kPortable};
#endif

// Magnitudes, in steps, that levels of so many bits hold with one to spare.
float reach_of(unsigned bits) noexcept { return static_cast<float>((1 << (bits - 1)) - 2); }

// Fewest bits whose levels reach almost all values.
unsigned bits_for(std::span<const float> values, float factor, float most) noexcept {
    unsigned bits = kMinBits;
    while (bits < kMaxBits && most > reach_of(bits)) ++bits;
    const std::size_t allowed = values.size() / kPatchedOf;
    const auto few_beyond = [&](float reach) {
        return magnitudes.pick()->beyond(values.data(), values.size(), reach / factor) <= allowed;
    };
    while (allowed > 0 && bits > kMinBits && few_beyond(reach_of(bits - 1))) --bits;
    return bits;
}

std::uint8_t nearest_level(float value, int zero) noexcept {
    // The sum leaves the nearest integer in its low bits.
    return static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(value + 0x1.8p23f) + static_cast<unsigned>(zero));
}

void count(std::span<const std::uint8_t> symbols, std::uint32_t* counts) noexcept {
    std::uint32_t part[4][256] = {};  // equal neighbours wait for each other
    for (std::size_t i = 0; i < symbols.size(); ++i) ++part[i % 4][symbols[i]];
    for (unsigned s = 0; s < 256; ++s) counts[s] = part[0][s] + part[1][s] + part[2][s] + part[3][s];
}

// About what the levels of rounded values would take, from the first of them.
std::uint64_t estimate_bits(std::span<const float> values, float factor, unsigned bits, int zero) {
    const std::size_t looked_at = std::min(values.size(), kSampleFrom / 4);
    const auto end = static_cast<float>(zero - 1);
    std::uint32_t counts[256] = {};
    for (std::size_t i = 0; i < looked_at; ++i) {
        ++counts[nearest_level(std::clamp(values[i] * factor, -end, end), zero)];
    }
    return rans::estimate_bits(counts, bits) * values.size() / looked_at;
}

// Values and weights as a walk takes them.
struct Grid {
    const float* values;
    const float* weights;  // or null
    std::size_t n;
    std::size_t stride;
    unsigned lanes;

    // fn(place in the order of coding, place in the arrangement)
    template <class Fn>
    void each(Fn fn) const {
        for (std::size_t i = 0; i < n; i += 16) {
            const std::size_t from = i % lanes / 16 * stride + i / lanes * 16;
            for (std::size_t k = 0; k < 16 && i + k < n; ++k) fn(i + k, from + k);
        }
    }
};

// Centroids of the cells as shifts, as far as there are cells.
void fit_shifts(const Grid& grid, int zero, const std::uint8_t* symbols, Walk& walk) noexcept {
    double mass[256] = {};
    double sum[256] = {};
    grid.each([&](std::size_t i, std::size_t from) {
        const double w = grid.weights == nullptr ? 1.0 : grid.weights[from];
        mass[symbols[i]] += w;
        sum[symbols[i]] += w * grid.values[from];
    });
    walk.n_shifts = 0;
    for (unsigned j = 1; j <= kMostShifts && static_cast<int>(j) < zero; ++j) {
        const int up = zero + static_cast<int>(j), down = zero - static_cast<int>(j);
        const double m = mass[up] + mass[down];
        const double off = m > 0 ? j - (sum[up] - sum[down]) / m : 0;
        const double shift = std::nearbyint(std::clamp(off * kShiftUnit, -127.0, 127.0));
        walk.shifts[j - 1] = static_cast<std::uint8_t>(static_cast<std::int8_t>(shift));
        if (shift != 0) walk.n_shifts = j;
    }
}

void set_points(const Walk& walk, float scale, int zero, float* points) noexcept {
    for (int s = 0; s < static_cast<int>(kTableSize); ++s) {
        const float value = point(s - zero, {walk.shifts.data(), walk.n_shifts}, scale);
        points[s % 4 * 64 + s / 4] = value / scale;
    }
}

// Of a place that has a next one.
void set_records(const float* points, const float* rates, unsigned tables, float* records) noexcept {
    for (std::size_t i = 0; i + 1 < tables * kTableSize; ++i) {
        const float* const point = points + i % kTableSize;
        const bool is_last = i % 64 == 63;
        const float record[4] = {point[0], is_last ? point[0] : point[1], rates[i], rates[i + 1]};
        std::memcpy(records + 4 * i, record, sizeof record);
    }
}

// The state of a search: levels of values, and what is known of their cost.
class Search {
public:
    Search(const Plan& plan, unsigned bits, unsigned lanes, std::size_t n, Workspace& workspace)
        : plan_(plan), workspace_(workspace), zero_(1 << (bits - 1)) {
        walk_.bits = bits;
        walk_.lanes = lanes;
        const std::size_t steps = (n + lanes - 1) / lanes;
        const std::size_t words = plan.memory == 7 ? 4 : 1;
        std::uint8_t* const scratch = workspace.get(Workspace::kGather, steps * 64 * (words + 1));
        scratch_ = {scratch, scratch + steps * 64 * words};
        symbols_ = workspace.get(Workspace::kSymbols, steps * lanes);
        walk_.symbols = symbols_;
        model_ = workspace.get_as<rans::Model>(Workspace::kStaging, 1);
        points_ = workspace.get_as<float>(Workspace::kCoefficients, (1 + 5 * rans::kMaxTables) * kTableSize);
    }

    void iterate(const Grid& grid, unsigned passes) {
        round_levels(grid);
        for (unsigned pass = 0; pass < passes; ++pass) {
            pass_over(grid, fit(grid.n).choices);
            fit_shifts(grid, zero_, symbols_, walk_);
        }
    }

    // Finds tables for the levels that were chosen last.
    rans::Coding fit(std::size_t n) {
        std::uint32_t counts[256];
        count({symbols_, n}, counts);
        return rans::fit_model({symbols_, n}, counts, walk_.bits, plan_.memory, workspace_, *model_);
    }

    // One walk with the tables and points that there are.
    void finish(const Grid& grid) {
        if (model_->n_tables > 1) round_levels(grid);
        pass_over(grid, rans::choose_tables({symbols_, grid.n}, workspace_, *model_).choices);
    }

    const Walk& walk() const noexcept { return walk_; }

private:
    void round_levels(const Grid& grid) const {
        kKernels.pick()->round({grid.values, grid.n, grid.lanes, grid.stride, static_cast<unsigned>(zero_), symbols_});
    }

    void pass_over(const Grid& grid, const std::uint8_t* choices) {
        float* const rates = points_ + kTableSize;
        for (unsigned t = 0; t < model_->n_tables; ++t) {
            for (unsigned s = 0; s < kTableSize; ++s) {
                rates[t * kTableSize + s % 4 * 64 + s / 4] =
                    plan_.rdo * kPerBit * static_cast<float>(rans::symbol_cost(*model_, t, s));
            }
        }
        set_points(walk_, plan_.scale, zero_, points_);
        float* const records = rates + rans::kMaxTables * kTableSize;
        set_records(points_, rates, model_->n_tables, records);
        kKernels.pick()->walk({grid.values, grid.weights, grid.stride, grid.n, plan_.memory, walk_.lanes,
                               static_cast<float>(zero_), 1u << (walk_.bits - 2), points_, rates, records,
                               choices,
                               model_->n_tables > 1 ? model_->tile : rans::kMaxCount, symbols_},
                              scratch_);
    }

    const Plan& plan_;
    Workspace& workspace_;
    const int zero_;
    Walk walk_{};
    Scratch scratch_{};
    std::uint8_t* symbols_;
    rans::Model* model_;
    float* points_;
};

// Runs of rounds of all lanes that are long enough for a walk, one of kSampleStride, arranged as the whole is.
Grid sample_of(const Grid& grid, float* room) noexcept {
    const std::size_t run = 16 * kRunRounds;
    const std::size_t runs = grid.n / (std::size_t{kRunRounds} * grid.lanes * kSampleStride);
    Grid sample{room, nullptr, runs * kRunRounds * grid.lanes, runs * run, grid.lanes};
    const auto copy = [&](const float* from, float* to) {
        for (unsigned g = 0; g < grid.lanes / 16; ++g) {
            for (std::size_t r = 0; r < runs; ++r) {
                std::memcpy(to + g * sample.stride + r * run, from + g * grid.stride + r * run * kSampleStride,
                            run * sizeof(float));
            }
        }
    };
    copy(grid.values, room);
    if (grid.weights != nullptr) {
        copy(grid.weights, room + sample.n);
        sample.weights = room + sample.n;
    }
    return sample;
}

}  // namespace

const Kernels kPortable{arrange, round_levels, walk_with<RecordTables, WordDecisions>};

Walk choose(std::span<const float> values, const float* weights, const Plan& plan, Workspace& workspace) {
    const std::size_t n = values.size();
    const Kernels& kernels = *kKernels.pick();
    const float factor = 1.0f / plan.scale;
    const unsigned bits = bits_for(values, factor, magnitudes.pick()->largest(values.data(), n) * factor);
    const int zero = 1 << (bits - 1);
    const unsigned lanes = rans::choose_lanes(estimate_bits(values, factor, bits, zero), kMinLanes, rans::kMaxLanes);
    // A line more than the steps need: groups a power of 2 apart would share sets of the cache.
    const std::size_t stride = ((n + lanes - 1) / lanes + 1) * 16;
    const std::size_t all = stride * (lanes / 16);
    float* const room = workspace.get_as<float>(Workspace::kConvert, 4 * all);
    kernels.arrange({values.data(), n, lanes, stride, factor, static_cast<float>(zero - 1), room});
    Grid grid{room, nullptr, n, stride, lanes};
    if (weights != nullptr) {
        kernels.arrange({weights, n, lanes, stride, 1.0f, std::numeric_limits<float>::max(), room + all});
        grid.weights = room + all;
    }
    Search search(plan, bits, lanes, n, workspace);
    if (workspace.patient || n < kSampleFrom) {
        search.iterate(grid, kPasses);
    } else {
        const Grid sample = sample_of(grid, room + 2 * all);
        search.iterate(sample, kPasses - 1);
        search.fit(sample.n);
        search.finish(grid);
    }
    return search.walk();
}

}  // namespace qc::trellis
