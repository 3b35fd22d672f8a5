// quantize/dtype.hpp - element types of tensors, as FORMAT.md numbers them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qc {

enum class DType : std::uint8_t {
    kBool = 0, kU8 = 1, kI8 = 2, kU16 = 3, kI16 = 4, kU32 = 5, kI32 = 6, kU64 = 7, kI64 = 9,
    kF16 = 10, kBF16 = 11, kF32 = 12, kF64 = 13, kF8E4M3 = 14, kF8E5M2 = 15, kC64 = 16,
};

// 0 for a number that is no dtype.
constexpr std::size_t item_bytes(DType d) noexcept {
    switch (d) {
        case DType::kBool: case DType::kU8: case DType::kI8:
        case DType::kF8E4M3: case DType::kF8E5M2: return 1;
        case DType::kU16: case DType::kI16: case DType::kF16: case DType::kBF16: return 2;
        case DType::kU32: case DType::kI32: case DType::kF32: return 4;
        case DType::kU64: case DType::kI64: case DType::kF64: case DType::kC64: return 8;
    }
    return 0;
}

// The types that a lossy codec takes and that a decoder may convert between.
constexpr bool is_float(DType d) noexcept {
    return d == DType::kF16 || d == DType::kBF16 || d == DType::kF32 || d == DType::kF64;
}

}  // namespace qc
