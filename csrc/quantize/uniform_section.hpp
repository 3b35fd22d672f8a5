// quantize/uniform_section.hpp - what stands before the symbols of `uniform`: FORMAT.md, "uniform".
#pragma once

#include <cstdint>
#include <span>

#include "quantize/quantizer.hpp"

namespace qc {

inline constexpr std::uint8_t kScales16 = 1;
inline constexpr std::uint8_t kWideZeroPoints = 2;
inline constexpr std::uint8_t kShifts = 4;
inline constexpr std::uint8_t kStepScale = 8;
inline constexpr std::uint8_t kSameShifts = 16;
inline constexpr std::uint8_t kScaleCodes = 32;
inline constexpr unsigned kMostCodeBits = 13;
inline constexpr std::uint8_t kMostShifts = 31;
inline constexpr int kShiftUnit = 128;  // shifts are in this part of a step

// What a level of the grid stands for, in steps: small magnitudes are moved towards zero.
inline float shifted_level(int level, std::span<const std::uint8_t> shifts) noexcept {
    const auto magnitude = static_cast<std::size_t>(level < 0 ? -level : level);
    int units = level * kShiftUnit;
    if (magnitude >= 1 && magnitude <= shifts.size()) {
        const auto shift = static_cast<std::int8_t>(shifts[magnitude - 1]);
        units -= level > 0 ? shift : -shift;
    }
    return static_cast<float>(units) * (1.0f / kShiftUnit);
}

// Shifts as a section stores them, those of the part before, or none.
Status read_shifts(bool follow, bool as_before, ByteReader& in, ChunkState& state) noexcept;

// Scales as a section stores them: u16 or f32 each, zero or positive and normal.
Status read_scales(std::span<const std::uint8_t> raw, bool scales16, std::uint64_t entries,
                   float* scales) noexcept;

// Reads a section. `state.shifts` is that of the part before, if any.
Status open_uniform(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
                    ChunkState& state);

}  // namespace qc
