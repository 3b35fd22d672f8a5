// quantize/lattice_floats.hpp - coordinates as the last bits of a float.
//
// In a power of two with a unit of its last bits, a symbol and the bits beside it stand for a coordinate but for an
// offset, and the difference of the two is exact.
#pragma once

#include <bit>
#include <cstdint>

namespace qc::lattice {

// A float whose byte 1 counts `unit` a bit, a power of two: byte 0 counts 256ths of that.
constexpr std::uint32_t float_bits(unsigned unit) noexcept {
    return (127u + 15 + static_cast<unsigned>(std::countr_zero(unit))) << 23;
}
constexpr float float_base(unsigned unit) noexcept { return 32768.0f * static_cast<float>(unit); }

}  // namespace qc::lattice
