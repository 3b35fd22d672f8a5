// quantize/dithered.hpp - the dither that encoder and decoder share, and what the encoder does with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qc {

// Dither of elements [first, first + n), in steps: FORMAT.md, "dithered".
void fill_dither(std::uint64_t seed, std::uint64_t first, std::size_t n, float* out);

// Integers nearest to value / step + dither for elements from `first` on.
//   requires  finite values, less than 2^24 - 1 steps from zero
void dithered_levels(std::uint64_t seed, std::uint64_t first, std::span<const float> values, float step,
                     std::int32_t* out);

}  // namespace qc
