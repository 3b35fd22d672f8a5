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

// Scales as a section stores them: u16 or f32 each, zero or positive and normal.
Status read_scales(std::span<const std::uint8_t> raw, bool scales16, std::uint64_t entries,
                   float* scales) noexcept;

// Reads a section. `state.shifts` is that of the part before, if any.
Status open_uniform(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
                    ChunkState& state);

}  // namespace qc
