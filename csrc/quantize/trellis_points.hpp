// quantize/trellis_points.hpp - the values that levels of `trellis` stand for: FORMAT.md, "trellis".
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace qc::trellis {

inline constexpr std::size_t kMaxShifts = 31;
inline constexpr int kShiftUnit = 128;  // shifts are in this part of a step

inline float round_to_bf16(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u);
}

// Shifts move points towards zero. The product overflows to infinity at most.
inline float point(int level, std::span<const std::int8_t> shifts, float scale) noexcept {
    const auto magnitude = static_cast<std::size_t>(std::abs(level));
    int units = level * kShiftUnit;
    if (magnitude >= 1 && magnitude <= shifts.size()) {
        units -= level > 0 ? shifts[magnitude - 1] : -shifts[magnitude - 1];
    }
    return round_to_bf16(static_cast<float>(units) * (1.0f / kShiftUnit) * scale);
}

}  // namespace qc::trellis
