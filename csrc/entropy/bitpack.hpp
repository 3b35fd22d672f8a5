// entropy/bitpack.hpp - symbols of 1..8 bits as a bit string: FORMAT.md, stream mode 0.
//
// Also what a stream falls back to where coding does not pay, so the pipeline calls it directly.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

namespace qc {

constexpr std::size_t packed_bytes(std::size_t n, unsigned bits) noexcept {
    return n / 8 * bits + (n % 8 * bits + 7) / 8;
}

// packed_bytes(n, bits) bytes from `in`, which begins at a byte, to n symbols. Touches nothing else.
using UnpackFn = void (*)(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);

// n symbols below 2^bits to packed_bytes(n, bits) bytes, the last one padded with zeros.
using PackFn = void (*)(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);

void unpack_portable(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);
void pack_portable(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);
#if QC_X86
void unpack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);
void pack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);
void unpack_avx512(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out);
#endif

extern const Variants<UnpackFn> unpack_symbols;
extern const Variants<PackFn> pack_symbols;

// The bits after the last symbol in the last byte are zero.
inline bool padding_is_zero(const std::uint8_t* packed, std::size_t n, unsigned bits) noexcept {
    const unsigned used = static_cast<unsigned>(n % 8 * bits % 8);
    return used == 0 || (packed[packed_bytes(n, bits) - 1] >> used) == 0;
}

}  // namespace qc
