// quantize/scale_codes.hpp - codes of scales to float32: FORMAT.md, "uniform".
//
// A group of 64 weights has a scale: a scale a nanosecond would be a fifth of all the time that decoding takes.
#pragma once

#include <cstdint>
#include <span>

#include "simd/isa.hpp"

namespace qc {

// Codes that lie above a base, in `width` <= 13 bits each.
struct CodedScales {
    std::span<const std::uint8_t> above;
    std::uint32_t base;
    unsigned width;
};

// Scales of the first codes, as far as those can be read from whole words within `above`. Raises `most` to the largest
// code, which may be beyond the grid: its scale is then the largest of it. Returns how many were done: a multiple of 8.
using ScaleCodesFn = std::uint64_t (*)(const CodedScales& codes, std::uint64_t entries, float* scales,
                                       std::uint32_t& most) noexcept;
extern const Variants<ScaleCodesFn> scale_codes;

#if QC_X86
std::uint64_t scale_codes_avx2(const CodedScales&, std::uint64_t, float*, std::uint32_t&) noexcept;
std::uint64_t scale_codes_avx512(const CodedScales&, std::uint64_t, float*, std::uint32_t&) noexcept;
#endif

// Groups of `count` codes, of which each may be read as `bytes` bytes at its first.
inline std::uint64_t readable_codes(const CodedScales& codes, std::uint64_t entries, unsigned count,
                                    std::size_t bytes) noexcept {
    const std::uint64_t groups = entries / count;
    if (codes.width == 0 || codes.above.size() < bytes) return 0;
    const std::uint64_t readable = (codes.above.size() - bytes) / (std::size_t{count} * codes.width / 8) + 1;
    return (groups < readable ? groups : readable) * count;
}

}  // namespace qc
