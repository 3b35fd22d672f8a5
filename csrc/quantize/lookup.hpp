// quantize/lookup.hpp - symbols to elements by a table: codebooks, and grids with shifted points.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quantize/dtype.hpp"
#include "simd/isa.hpp"

namespace qc {

inline constexpr std::size_t kTableBytes = 256 * 8;

// out[i] = table[symbols[i]], elements of 2, 4 or 8 bytes. The table has 256 entries, aligned to 64; symbols are
// below 2^bits.
using LookupFn = void (*)(const std::uint8_t* symbols, unsigned bits, std::size_t n,
                          const std::uint8_t* table, std::size_t item, std::uint8_t* out);

extern const Variants<LookupFn> lookup;

#if QC_X86
void lookup_avx512(const std::uint8_t* symbols, unsigned bits, std::size_t n, const std::uint8_t* table,
                   std::size_t item, std::uint8_t* out);
#endif

// Byte k of each of 256 elements of 2 or 4 bytes to planes[256 * k ..]. Returns whether they are of four and their lower
// halves all zero.
bool split_bytes(const std::uint8_t* table, std::size_t item, std::uint8_t* planes) noexcept;

// Elements [begin, end), one by one.
void lookup_rest(const std::uint8_t* symbols, std::size_t begin, std::size_t end, const std::uint8_t* table,
                 std::size_t item, std::uint8_t* out) noexcept;

}  // namespace qc
