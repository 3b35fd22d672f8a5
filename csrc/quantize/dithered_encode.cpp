// quantize/dithered_encode.cpp - what encoders of `dithered` do: values to integers, symbols to the order of classes.
#include <algorithm>
#include <cmath>

#include "quantize/dithered.hpp"
#include "quantize/dithered_kernels.hpp"

namespace qc {
namespace dithered {

void scatter_portable(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < run.n; ++i) {
        const auto element = run.element + static_cast<std::uint32_t>(i);
        planes[run.dither.class_of(element)][i / kDitherClasses] = symbols[i];
    }
}

void levels_portable(const Run& run, const float* values, float step, std::int32_t* out) {
    for (std::size_t i = 0; i < run.n; ++i) {
        const float u = run.dither.value(run.element + static_cast<std::uint32_t>(i));
        out[i] = static_cast<std::int32_t>(std::nearbyintf(values[i] / step + u));
    }
}

#if QC_X86
constinit const Variants<ScatterFn> scatter_classes{scatter_portable, scatter_avx2};
static constinit const Variants<LevelsFn> levels_of{levels_portable, levels_avx2};
#else
constinit const Variants<ScatterFn> scatter_classes{scatter_portable};
static constinit const Variants<LevelsFn> levels_of{levels_portable};
#endif

}  // namespace dithered

void dithered_levels(std::uint64_t seed, std::uint64_t first, std::span<const float> values, float step,
                     std::int32_t* out) {
    using namespace dithered;
    for_runs(seed, first, values.size(),
             [&](const Dither& dither, std::uint32_t element, std::size_t at, std::size_t n) {
                 // Coefficients outside the blocks of a transform may begin inside a group.
                 const std::size_t head = std::min<std::size_t>(-element % kDitherClasses, n);
                 const float* const from = values.data() + at;
                 levels_portable({dither, element, head}, from, step, out + at);
                 levels_of.pick()(Run{dither, element, n}.from(head), from + head, step, out + at + head);
             });
}

}  // namespace qc
