// quantize/quantize.hpp - weights to integers: the loop that every `uniform` encode starts with.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

namespace qc {

// The grids of consecutive runs of weights, as dequantize.hpp has them for the other direction.
struct Grid {
    const float* scales;              // per group of the whole tensor
    const std::int32_t* zero_points;  // likewise, or null: `zero_point` for all
    std::int32_t zero_point;
    double reach;                     // |round(w / scale)| is clipped to this
    std::int32_t max_symbol;          // round(w / scale) + zero point is clipped to 0..max_symbol
    std::uint64_t groups;
    std::uint64_t inner;
    std::uint64_t group;              // of the first weight
    std::uint64_t left;               // weights left in its run, 1..inner
};

// n finite weights to symbols. w / scale, in double, is rounded to the nearest integer, ties to even; a scale
// of 0 makes every weight of its run the zero point.
using QuantizeFn = void (*)(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols);

void quantize_portable(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols);
#if QC_X86
void quantize_avx2(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols);
void quantize_avx512(const float* w, std::size_t n, const Grid& grid, std::int32_t* symbols);
#endif

extern const Variants<QuantizeFn> quantize;

}  // namespace qc
