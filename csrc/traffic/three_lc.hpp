// traffic/three_lc.hpp - state changes of a tensor as 3LC sends them (Lim, Andersen, Kaminsky;
// MLSys 2019). qcodec/traffic/WIRE.md is the law.
//
// Encoding reads gradient and residual twice, for the maximum and then for everything else: a
// block of bytes takes its digits from five places of the tensor, one place after another, so that
// few streams are open at a time and the bytes stay in L1 until their runs are coded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "core/buffer.hpp"
#include "core/status.hpp"
#include "quantize/dtype.hpp"
#include "simd/isa.hpp"

namespace qc::three_lc {

inline constexpr std::size_t kMaxRank = 32;
inline constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 48;
inline constexpr float kMinScale = 0x1p-125f;  // half of it is a normal number still

struct Message {
    std::uint64_t dims[kMaxRank] = {};
    std::size_t rank = 0;
    std::uint64_t n = 0;       // product of the dims
    float scale = 0;           // M
    std::size_t payload = 0;   // where it begins
};

// The header, and whether the length of the payload is possible: nothing need be allocated before.
//   fails     kTruncated, kCorrupt, kLimit
Status read_header(std::span<const std::uint8_t> bytes, Message& message) noexcept;

// All values of a message whose header has been read into `out`, of kF32 or kBF16.
//   fails     kTruncated, kCorrupt; `out` is then unspecified
Status decode(std::span<const std::uint8_t> bytes, const Message& message, std::uint8_t* out,
              DType to);

// Steps 1 to 6. `residual` is the context's buffer of dims' product many elements.
//   fails     kInput: gradient + residual is not finite at element `at`; the residual is unchanged
Status encode(std::span<const std::uint64_t> dims, const std::uint8_t* gradient, DType from,
              float sparsity, float* residual, Buffer& out);

// ---- kernels: n elements of kF32 or kBF16, anywhere in memory

struct Step {
    float scale;  // M
    float half;   // what a value must exceed to be sent
};

// Bits of the largest |gradient + residual|; those of infinity or above where one is not finite.
using LargestFn = std::uint32_t (*)(const std::uint8_t* gradient, DType from, const float* residual,
                                    std::size_t n) noexcept;

// Steps 1 to 3, and a digit more for each of n bytes.
using DigitsFn = void (*)(const std::uint8_t* gradient, DType from, float* residual, std::size_t n,
                          Step step, std::uint8_t* bytes) noexcept;

// Values of digit k of n fractions (entropy/base3.hpp), around the caches where `stream`.
using ValuesFn = void (*)(const std::uint8_t* fractions, std::size_t n, unsigned k, float scale,
                          std::uint8_t* out, DType to, bool stream) noexcept;

struct Kernels {
    LargestFn largest;
    DigitsFn digits;
    ValuesFn values;
};

extern const Kernels kPortable;
extern const Kernels kAvx2;
extern const Kernels kAvx512;

// What kCount elements take, so far ahead that memory never waits for a page to be met: for vector kernels.
template <DType kFrom, std::size_t kCount>
[[gnu::always_inline]] inline void fetch(const std::uint8_t* gradient, const float* residual, std::size_t at) noexcept {
    constexpr std::size_t kAhead = 1024;
    constexpr std::size_t kItem = item_bytes(kFrom);
    for (std::size_t k = 0; k < kCount; k += 16) __builtin_prefetch(residual + at + kAhead + k);
    for (std::size_t k = 0; k < kCount * kItem; k += 64) __builtin_prefetch(gradient + (at + kAhead) * kItem + k);
}

}  // namespace qc::three_lc
