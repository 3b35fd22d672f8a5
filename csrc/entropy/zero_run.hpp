// entropy/zero_run.hpp - symbols to zero runs and values: the encoder of `zero_run`, form 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/isa.hpp"

namespace qc::zero_run {

// A gap byte below kLongGap is so many zeros and a value; kLongGap is so many zeros and no value.
inline constexpr std::uint8_t kLongGap = 255;

// Kernels write so far beyond the gaps and values that they make.
inline constexpr std::size_t kSlack = 64;

struct Split {
    std::size_t zeros = 0;  // since the last value
    std::size_t n_gaps = 0;
    std::size_t n_values = 0;
};

// Appends the gaps and values of n more symbols. Both grow by at most n, and kSlack.
using SplitFn = void (*)(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                         std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept;

void split_portable(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                    std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept;
#if QC_X86
void split_avx2(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept;
void split_avx512(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                  std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept;
#endif

// Appends the gap of a value that follows `zeros` zeros, but for its last byte, which it returns.
inline std::uint8_t put_long_gaps(std::size_t zeros, std::uint8_t* gaps,
                                  std::size_t& n_gaps) noexcept {
    if (zeros >= kLongGap) {
        std::memset(gaps + n_gaps, kLongGap, zeros / kLongGap);
        n_gaps += zeros / kLongGap;
        zeros %= kLongGap;
    }
    return static_cast<std::uint8_t>(zeros);
}

}  // namespace qc::zero_run
