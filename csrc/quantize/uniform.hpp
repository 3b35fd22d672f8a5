// quantize/uniform.hpp - arithmetic that the encoder's fit, the chunk kernel and its searches share.
//
// FORMAT.md, "uniform". A scale is a positive normal float32 or zero. Fitted scales have 9
// significant bits (the low 15 mantissa bits are zero), so that a u16 stores them: rounded up, which
// keeps every weight inside the grid at a cost of at most 2^-8 of the step.
#pragma once

#include <cstdint>

#include "core/status.hpp"
#include "quantize/quantizer.hpp"

namespace qc {

inline constexpr std::int32_t kMaxZeroPoint = 1 << 23;
inline constexpr std::int32_t kMaxEscape = 1 << 24;

// Widths 1..8 and 16. `bits` = 1 and symmetric is the grid {-1, +1}, without a zero.
constexpr std::int32_t default_zero_point(unsigned width) noexcept {
    return std::int32_t{1} << (width - 1);
}
constexpr bool is_sign_grid(const TensorSpec& t) noexcept { return t.bits == 1 && t.symmetric; }

// Scales, and zero points unless symmetric, of all groups of a tensor, so that no weight is clipped:
//   symmetric   scale = max|w| / (2^(bits-1) - 1); bits = 1: scale = mean|w|
//   affine      scale = (max - min) / (2^bits - 1), zero point = round(-min / scale)
//   requires  data holds t.n elements of a floating dtype; scales, zero_points have t.dim  [binding]
//   fails     kInput at the first NaN or infinity, as float32
Status fit_uniform(const TensorSpec& t, const std::uint8_t* data, std::span<float> scales,
                   std::span<std::int32_t> zero_points);

}  // namespace qc
