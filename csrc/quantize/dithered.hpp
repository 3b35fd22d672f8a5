// quantize/dithered.hpp - the dither that encoder and decoder share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qc {

// Dither of elements [first, first + n), in steps: FORMAT.md, "dithered".
void fill_dither(std::uint64_t seed, std::uint64_t first, std::size_t n, float* out);

}  // namespace qc
