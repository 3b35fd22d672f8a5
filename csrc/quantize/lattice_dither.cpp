// quantize/lattice_dither.cpp - dither that is uniform over the cell of a lattice: FORMAT.md, "lattice".
//
// Coordinates of kLanes vectors lie side by side, so that loops over them become vector code. All values are
// exact, whatever the order of operations.
#include <algorithm>
#include <cmath>
#include <utility>

#include "quantize/dither.hpp"
#include "quantize/lattice.hpp"

namespace qc::lattice {
namespace {

constexpr unsigned kLanes = 16;
constexpr double kRound = 0x1.8p52;  // adding and taking it away rounds to the nearest integer, halves to even

template <unsigned dim>
using Lanes = double[dim][kLanes];

// Nearest points with an even sum, and their squared distances.
template <unsigned dim>
[[gnu::always_inline]] inline void nearest_even(const Lanes<dim>& a, double shift, Lanes<dim>& n,
                                                double* distance) noexcept {
    double worst[kLanes];
    double at[kLanes];
    double step[kLanes];
    double sum[kLanes];
    for (unsigned w = 0; w < kLanes; ++w) {
        worst[w] = -1;
        at[w] = step[w] = sum[w] = distance[w] = 0;
    }
    for (unsigned i = 0; i < dim; ++i) {
        for (unsigned w = 0; w < kLanes; ++w) {
            const double x = a[i][w] - shift;
            const double nearest = (x + kRound) - kRound;
            const double error = x - nearest;
            const double size = std::fabs(error);
            n[i][w] = nearest;
            sum[w] += nearest;
            distance[w] += size * size;
            const bool worse = size > worst[w];
            worst[w] = worse ? size : worst[w];
            at[w] = worse ? i : at[w];
            step[w] = worse ? (error >= 0 ? 1.0 : -1.0) : step[w];
        }
    }
    for (unsigned w = 0; w < kLanes; ++w) {
        const double half = sum[w] * 0.5;
        const bool odd = (half + kRound) - kRound != half;
        step[w] = odd ? step[w] : 0.0;
        distance[w] += odd ? 1.0 - 2.0 * worst[w] : 0.0;
    }
    for (unsigned i = 0; i < dim; ++i) {
        for (unsigned w = 0; w < kLanes; ++w) n[i][w] += at[w] == i ? step[w] : 0.0;
    }
}

template <Kind kind>
[[gnu::always_inline]] inline void subtract(const Dither& dither, std::uint32_t first,
                                            std::size_t vectors, float* x) noexcept {
    constexpr unsigned dim = kForms[kind].dim;
    constexpr double edge = kind == kE8 ? 4 : kind == kD4 ? 2 : 1;
    for (std::size_t v = 0; v < vectors; v += kLanes) {
        const auto element = first + static_cast<std::uint32_t>(v * dim);
        Lanes<dim> t;
        Lanes<dim> n;
        double d[kLanes];
        for (unsigned i = 0; i < dim; ++i) {
            for (unsigned w = 0; w < kLanes; ++w) {
                const auto r = static_cast<std::int32_t>(dither.random(element + w * dim + i));
                t[i][w] = static_cast<double>(2 * r + 1) * (edge * 0x1p-25);
            }
        }
        if constexpr (kind == kZ) {
            for (unsigned w = 0; w < kLanes; ++w) n[0][w] = (t[0][w] + kRound) - kRound;
        } else if constexpr (kind == kD4) {
            nearest_even<dim>(t, 0, n, d);
        } else {
            Lanes<dim> half;
            Lanes<dim> odd;
            double d_odd[kLanes];
            for (unsigned i = 0; i < dim; ++i) {
                for (unsigned w = 0; w < kLanes; ++w) half[i][w] = t[i][w] * 0.5;
            }
            nearest_even<dim>(half, 0, n, d);
            nearest_even<dim>(half, 0.5, odd, d_odd);
            for (unsigned i = 0; i < dim; ++i) {
                for (unsigned w = 0; w < kLanes; ++w) {
                    n[i][w] = d_odd[w] < d[w] ? 2 * odd[i][w] + 1 : 2 * n[i][w];
                }
            }
        }
        float u[dim][kLanes];
        for (unsigned i = 0; i < dim; ++i) {
            for (unsigned w = 0; w < kLanes; ++w) u[i][w] = static_cast<float>(t[i][w] - n[i][w]);
        }
        const std::size_t some = std::min<std::size_t>(kLanes, vectors - v);
        for (std::size_t w = 0; w < some; ++w) {
            for (unsigned i = 0; i < dim; ++i) x[(v + w) * dim + i] -= u[i][w];
        }
    }
}

using SubtractFn = void (*)(Kind kind, const Dither&, std::uint32_t first, std::size_t vectors, float* x);

[[gnu::always_inline]] inline void subtract_any(Kind kind, const Dither& dither, std::uint32_t first,
                                                std::size_t vectors, float* x) noexcept {
    if (kind == kE8) subtract<kE8>(dither, first, vectors, x);
    if (kind == kD4) subtract<kD4>(dither, first, vectors, x);
    if (kind == kZ) subtract<kZ>(dither, first, vectors, x);
}

void subtract_portable(Kind kind, const Dither& dither, std::uint32_t first, std::size_t vectors,
                       float* x) {
    subtract_any(kind, dither, first, vectors, x);
}
#if QC_X86
#pragma GCC push_options
#pragma GCC target("avx2")
void subtract_avx2(Kind kind, const Dither& dither, std::uint32_t first, std::size_t vectors, float* x) {
    subtract_any(kind, dither, first, vectors, x);
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
void subtract_avx512(Kind kind, const Dither& dither, std::uint32_t first, std::size_t vectors, float* x) {
    subtract_any(kind, dither, first, vectors, x);
}
#pragma GCC pop_options
constinit const Variants<SubtractFn> subtract_cell{subtract_portable, subtract_avx2, subtract_avx512};
#else
constinit const Variants<SubtractFn> subtract_cell{subtract_portable};
#endif

}  // namespace

void subtract_dither(Kind kind, std::uint64_t seed, std::uint64_t first, std::size_t vectors, float* x) {
    // A chunk does not reach over a multiple of 2^32.
    subtract_cell.pick()(kind, Dither(seed, first), static_cast<std::uint32_t>(first), vectors, x);
}

}  // namespace qc::lattice
