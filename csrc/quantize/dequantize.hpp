// quantize/dequantize.hpp - symbols to q * scale, the loop that every `uniform` decode ends in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quantize/dtype.hpp"
#include "simd/isa.hpp"

namespace qc {

// Where a block stands among its runs: elements that share one scale follow each other `inner` at a
// time, entries in order, the first again after the last.
struct Runs {
    const float* scales;
    const std::int32_t* zero_points;  // null: `zero_point` for all
    std::int32_t zero_point;
    std::int32_t factor;              // q = factor * symbol - zero point; 1 or 2
    unsigned width;                   // symbols are below 2^width; 16 where `high` is given
    // Entry and left are apart: loops begin by copying both, and one load of the two would wait for their stores to
    // leave the core, behind all elements that are still on their way to memory.
    std::uint64_t entry;              // of the first element
    std::uint64_t entries;
    std::uint64_t inner;
    std::uint64_t left;               // elements left in its run, 1..inner

    std::int32_t zero(std::uint64_t e) const noexcept {
        return zero_points != nullptr ? zero_points[e] : zero_point;
    }
};

// n elements of dtype `to` (is_float); `high` is null for symbols of up to 8 bits, else
// symbol = high * 256 + low. The product is a float32, then rounded to `to`.
using DequantizeFn = void (*)(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                              const Runs& runs, std::uint8_t* out, DType to);

void dequantize_portable(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                         const Runs& runs, std::uint8_t* out, DType to);
#if QC_X86
void dequantize_avx2(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, std::uint8_t* out, DType to);
void dequantize_avx512(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                       const Runs& runs, std::uint8_t* out, DType to);
#endif

extern const Variants<DequantizeFn> dequantize;

}  // namespace qc
