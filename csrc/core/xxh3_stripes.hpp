// core/xxh3_stripes.hpp - the loop over stripes of 64 bytes, where XXH3 spends its time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

namespace qc {

inline constexpr std::size_t kXxh3SecretBytes = 192;
inline constexpr std::size_t kXxh3Block = 1024;  // 16 stripes, after which the lanes are scrambled

// All of `in`, more than 240 bytes, into the eight lanes of `acc`: stripes of 64 bytes in blocks of 16,
// the rest of the last block, and the last 64 bytes once more.
using Xxh3StripesFn = void (*)(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                               std::uint64_t* acc);

void xxh3_stripes_portable(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                           std::uint64_t* acc);
#if QC_X86
void xxh3_stripes_avx2(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                       std::uint64_t* acc);
void xxh3_stripes_avx512(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                         std::uint64_t* acc);
#endif

extern const Variants<Xxh3StripesFn> xxh3_stripes;

}  // namespace qc
