// quantize/floats.hpp - conversions between floating dtypes, all through float32.
//
// Rounding is to nearest even, subnormals are kept, NaNs become quiet and keep their upper payload
// bits: what F16C does, and what FORMAT.md, "Arithmetic" asks of every variant.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "quantize/dtype.hpp"
#include "simd/isa.hpp"

namespace qc {

inline float f32_from_bf16(std::uint16_t h) noexcept {
    const std::uint32_t bits = static_cast<std::uint32_t>(h) << 16;
    const bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    return std::bit_cast<float>(nan ? bits | 0x400000u : bits);
}

inline std::uint16_t bf16_from_f32(float f) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float f32_from_f16(std::uint16_t h) noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000) << 16;
    const std::uint32_t exponent = h >> 10 & 31;
    const std::uint32_t mantissa = h & 0x3FF;
    if (exponent == 31) {
        const std::uint32_t quiet = mantissa != 0 ? 0x400000u : 0;
        return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13 | quiet);
    }
    if (exponent == 0) {
        // mantissa * 2^-24 is exact in float32
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
    }
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

inline std::uint16_t f16_from_f32(float f) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(f);
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) {
        return static_cast<std::uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    }
    if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00);  // 65520 and up
    if (magnitude < 0x38800000u) {
        // below 2^-14: adding 0.5 leaves the mantissa in units of 2^-24, rounded to nearest even
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u));
    }
    const std::uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
    return static_cast<std::uint16_t>(sign | (rounded - 0x38000000u) >> 13);
}

// n elements of a floating dtype (is_float) to float32, and back.
using ToF32Fn = void (*)(const std::uint8_t* in, DType from, std::size_t n, float* out);
using FromF32Fn = void (*)(const float* in, std::size_t n, std::uint8_t* out, DType to);

void to_f32_portable(const std::uint8_t* in, DType from, std::size_t n, float* out);
void from_f32_portable(const float* in, std::size_t n, std::uint8_t* out, DType to);
#if QC_X86
void to_f32_avx2(const std::uint8_t* in, DType from, std::size_t n, float* out);
void from_f32_avx2(const float* in, std::size_t n, std::uint8_t* out, DType to);
#endif

extern const Variants<ToF32Fn> to_f32;
extern const Variants<FromF32Fn> from_f32;

// The elements as float32: where they are, or converted into `block`.
inline const float* f32_view(const std::uint8_t* in, DType from, std::size_t n, float* block) {
    if (from == DType::kF32 && reinterpret_cast<std::uintptr_t>(in) % alignof(float) == 0) {
        return reinterpret_cast<const float*>(in);
    }
    to_f32.pick()(in, from, n, block);
    return block;
}

}  // namespace qc
