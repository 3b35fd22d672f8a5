// quantize/trellis_points.hpp - the values that levels of `trellis` stand for: FORMAT.md, "trellis".
#pragma once

#include <cstdint>
#include <span>

#include "quantize/floats.hpp"
#include "quantize/uniform_section.hpp"

namespace qc::trellis {

// A bfloat16 value.
inline float point(int level, std::span<const std::uint8_t> shifts, float scale) noexcept {
    return f32_from_bf16(bf16_from_f32(shifted_level(level, shifts) * scale));
}

}  // namespace qc::trellis
