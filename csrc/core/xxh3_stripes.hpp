// core/xxh3_stripes.hpp - the loop over stripes of 64 bytes, where XXH3 spends its time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

namespace qc {

inline constexpr std::size_t kXxh3SecretBytes = 192;
inline constexpr std::size_t kXxh3Block = 1024;  // 16 stripes, after which the lanes are scrambled

// One stripe into the eight lanes of `lanes`.
void xxh3_stripe(const std::uint8_t* in, const std::uint8_t* secret, std::uint64_t* lanes) noexcept;

// Whole blocks; `lanes` is 64-byte aligned.
using Xxh3BlocksFn = void (*)(const std::uint8_t* in, std::size_t blocks,
                              const std::uint8_t* secret, std::uint64_t* lanes) noexcept;

extern const Variants<Xxh3BlocksFn> xxh3_blocks;

}  // namespace qc
