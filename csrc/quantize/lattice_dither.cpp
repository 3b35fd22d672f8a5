// quantize/lattice_dither.cpp - dither that is uniform over the cell of a lattice: FORMAT.md, "lattice".
//
// Coordinates of kLanes vectors lie side by side, so that loops over them become vector code. The page says it
// with real numbers, all of them exact; here they are integers.
#include <algorithm>

#include "quantize/dither.hpp"
#include "quantize/lattice.hpp"

namespace qc::lattice {
namespace {

constexpr unsigned kLanes = 16;

// Coordinates in units of 2^-24 of what the lattice needs; all are odd, so that nothing is half way.
template <unsigned dim>
using Lanes = std::int32_t[dim][kLanes];

// Differences a - n to nearest points with an even sum, and their squared lengths in squared units.
template <unsigned dim>
[[gnu::always_inline]] inline void subtract_even(const Lanes<dim>& a, std::int32_t shift, Lanes<dim>& left,
                                                 double* distance) noexcept {
    std::int32_t worst[kLanes];
    std::int32_t at[kLanes];
    std::int32_t sum[kLanes];
    for (unsigned w = 0; w < kLanes; ++w) {
        worst[w] = at[w] = sum[w] = 0;
        distance[w] = 0;
    }
    for (unsigned i = 0; i < dim; ++i) {
        for (unsigned w = 0; w < kLanes; ++w) {
            const std::int32_t x = a[i][w] - shift;
            const std::int32_t nearest = (x + (1 << 23)) >> 24;
            const std::int32_t error = x - nearest * (1 << 24);
            const std::int32_t size = std::max(error, -error);
            left[i][w] = error;
            sum[w] += nearest;
            at[w] = size > worst[w] ? static_cast<std::int32_t>(i) : at[w];
            worst[w] = std::max(worst[w], size);
        }
        for (unsigned w = 0; w < kLanes; ++w) {
            const double error = left[i][w];
            distance[w] += error * error;
        }
    }
    for (unsigned w = 0; w < kLanes; ++w) {
        const double more = 0x1p48 - 0x1p25 * worst[w];
        distance[w] += (sum[w] & 1) * more;
    }
    for (unsigned i = 0; i < dim; ++i) {
        for (unsigned w = 0; w < kLanes; ++w) {
            const std::int32_t step = left[i][w] > 0 ? 1 << 24 : -(1 << 24);
            const bool moved = (sum[w] & 1) != 0 && at[w] == static_cast<std::int32_t>(i);
            left[i][w] -= moved ? step : 0;
        }
    }
}

template <Kind kind>
[[gnu::always_inline]] inline void subtract(const Dither& dither, std::uint32_t first,
                                            std::size_t vectors, float* x) noexcept {
    constexpr unsigned dim = kForms[kind].dim;
    for (std::size_t v = 0; v < vectors; v += kLanes) {
        const auto element = first + static_cast<std::uint32_t>(v * dim);
        Lanes<dim> t;
        Lanes<dim> left;
        for (unsigned i = 0; i < dim; ++i) {
            for (unsigned w = 0; w < kLanes; ++w) {
                t[i][w] = 2 * static_cast<std::int32_t>(dither.random(element + w * dim + i)) + 1;
            }
        }
        float unit = 0x1p-24f;
        if constexpr (kind == kZ) {
            unit = 0x1p-25f;
            for (unsigned w = 0; w < kLanes; ++w) {
                left[0][w] = t[0][w] - ((t[0][w] + (1 << 24)) >> 25) * (1 << 25);
            }
        } else if constexpr (kind == kD4) {
            double d[kLanes];
            subtract_even<dim>(t, 0, left, d);
        } else {
            // Half the coordinates; a difference is that of the halves, doubled.
            unit = 0x1p-23f;
            double d[kLanes];
            double d_odd[kLanes];
            Lanes<dim> odd;
            subtract_even<dim>(t, 0, left, d);
            subtract_even<dim>(t, 1 << 23, odd, d_odd);
            std::int32_t nearer[kLanes];
            for (unsigned w = 0; w < kLanes; ++w) nearer[w] = d_odd[w] < d[w] ? -1 : 0;
            for (unsigned i = 0; i < dim; ++i) {
                for (unsigned w = 0; w < kLanes; ++w) {
                    left[i][w] = (odd[i][w] & nearer[w]) | (left[i][w] & ~nearer[w]);
                }
            }
        }
        const std::size_t some = std::min<std::size_t>(kLanes, vectors - v);
        for (std::size_t w = 0; w < some; ++w) {
            for (unsigned i = 0; i < dim; ++i) {
                x[(v + w) * dim + i] -= static_cast<float>(left[i][w]) * unit;
            }
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
QC_TARGET("avx2")
void subtract_avx2(Kind kind, const Dither& dither, std::uint32_t first, std::size_t vectors, float* x) {
    subtract_any(kind, dither, first, vectors, x);
}
QC_TARGET_END
QC_TARGET("avx512f,avx512bw,avx512vl,avx512dq" QC_PREFER_512)
void subtract_avx512(Kind kind, const Dither& dither, std::uint32_t first, std::size_t vectors, float* x) {
    subtract_any(kind, dither, first, vectors, x);
}
QC_TARGET_END
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
