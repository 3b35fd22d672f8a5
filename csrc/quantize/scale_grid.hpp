// quantize/scale_grid.hpp - the grid of scales that are stored as codes: FORMAT.md, "uniform".
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace qc {

inline constexpr unsigned kScaleSteps = 32;  // per octave
inline constexpr std::uint32_t kMinScaleCode = kScaleSteps;             // 2^-126
inline constexpr std::uint32_t kMaxScaleCode = kScaleSteps * 255 - 1;   // below 2^128

// Mantissas 2^(k / 32) as float32 bit patterns of the octave from 1 on. No exact value is near the middle of two.
inline const auto& scale_mantissas() noexcept {
    struct Mantissas {
        std::uint32_t bits[kScaleSteps];
        Mantissas() noexcept {
            for (unsigned k = 0; k < kScaleSteps; ++k) {
                bits[k] = std::bit_cast<std::uint32_t>(static_cast<float>(std::exp2(k / 32.0))) & 0x7FFFFFu;
            }
        }
    };
    static const Mantissas mantissas;
    return mantissas.bits;
}

//   requires  kMinScaleCode <= code <= kMaxScaleCode
inline float scale_of_code(std::uint32_t code, const std::uint32_t* mantissas = scale_mantissas()) noexcept {
    return std::bit_cast<float>(code / kScaleSteps << 23 | mantissas[code % kScaleSteps]);
}

// The least code whose scale is not below `scale`, a positive normal float32; the largest where none is.
inline std::uint32_t code_of_scale(float scale) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(scale);
    const auto& m = scale_mantissas();
    const auto k = static_cast<std::uint32_t>(
        std::lower_bound(m, m + kScaleSteps, bits & 0x7FFFFFu) - m);
    return std::min((bits >> 23) * kScaleSteps + k, kMaxScaleCode);
}

}  // namespace qc
