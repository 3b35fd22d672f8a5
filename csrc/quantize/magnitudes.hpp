// quantize/magnitudes.hpp - how large float32 values are.
#pragma once

#include <cstddef>

#include "simd/isa.hpp"

namespace qc {

struct Magnitudes {
    // Of n values that are no NaN; 0 of none.
    float (*largest)(const float* values, std::size_t n);
    // How many of n < 2^32 values are beyond `limit` >= 0. NaN is beyond all.
    std::size_t (*beyond)(const float* values, std::size_t n, float limit);
};

extern const Variants<const Magnitudes*> magnitudes;

}  // namespace qc
