// entropy/huffman_table.hpp - code lengths of the huffman coder: finding, writing, reading them.
//
// FORMAT.md, "huffman", is the law. Everything here is integer and breaks ties by symbol, so equal
// counts give equal bytes everywhere. A complete code (the sum of 2^-length is one) of at most
// kMaxLength bits is what every function below gives or demands, so decode tables have no holes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.hpp"
#include "core/workspace.hpp"

namespace qc::huffman {

inline constexpr unsigned kMaxLength = 11;
inline constexpr std::size_t kBlockSymbols = 65536;
inline constexpr unsigned kMaxStreams = 3;
inline constexpr std::size_t kMaxSegments = std::size_t{1} << kMaxStreams;
inline constexpr std::size_t kTableEntries = std::size_t{1} << kMaxLength;

using Lengths = std::array<std::uint8_t, 256>;    // 0: no code
using Codes = std::array<std::uint16_t, 256>;     // as they enter the stream: first bit lowest
using Counts = std::array<std::uint32_t, 256>;
using Weights = std::array<std::uint64_t, 256>;

// Two symbols, then at most 7 bits for each of 256 runs.
inline constexpr std::size_t kMaxTableBytes = 2 + 256 * 7 / 8;

// Code lengths for weights: the least total among codes of at most kMaxLength bits, or for many
// symbols and extreme weights a hair more.
//   requires  every weight < 2^47, one of them positive
//   ensures   a symbol has a code iff its weight is positive, but a lone symbol gets a companion
void limited_lengths(const Weights& weights, Lengths& lengths) noexcept;

// Codes in canonical order.
void canonical_codes(const Lengths& lengths, Codes& codes) noexcept;

// Returns the bytes written, at most kMaxTableBytes.
//   requires  lengths of a complete code
std::size_t write_table(const Lengths& lengths, std::uint8_t* out) noexcept;

// Reads a table from the front of `bytes` and accepts complete codes only.
//   ensures   on success every symbol with a code is below 2^bits
//   fails     kTruncated, kCorrupt; `at` is the byte within `bytes`
Status read_table(std::span<const std::uint8_t> bytes, unsigned bits, Lengths& lengths,
                  std::size_t& used) noexcept;

// The bits that symbols of these counts take.
std::uint64_t payload_bits(const Counts& counts, const Lengths& lengths) noexcept;

// Where a block of these counts is best coded with the lengths given, returns true. Otherwise finds
// the lengths for which payload and table together are smallest, among several candidates.
//   requires  at most kBlockSymbols symbols were counted, at least one
//   ensures   every symbol that was counted has a code
bool keep_lengths(const Counts& counts, Lengths& lengths) noexcept;

// CoderKernel::encode of this coder.
std::size_t encode(std::span<const std::uint8_t> symbols, unsigned bits, Workspace& workspace,
                   std::span<std::uint8_t> out);

}  // namespace qc::huffman
