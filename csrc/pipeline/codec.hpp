// pipeline/codec.hpp - a codec of which every name has been resolved.
#pragma once

#include "entropy/coder.hpp"
#include "quantize/quantizer.hpp"

namespace qc {

struct Codec {
    const QuantizerKernel* quantizer;
    const CoderKernel* coder;
};

}  // namespace qc
