// quantize/dithered_kernels.hpp - the loops of `dithered`: symbols to their places and elements from them, and back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quantize/dither.hpp"
#include "simd/isa.hpp"

namespace qc::dithered {

// Symbols of elements that begin with number `element`, a multiple of 16; all groups but the last are whole.
struct Run {
    const Dither& dither;
    std::uint32_t element;
    std::size_t n;

    Run from(std::size_t at) const noexcept {
        return {dither, element + static_cast<std::uint32_t>(at), n - at};
    }
};

// `high` is null for symbols of up to 8 bits.
struct Symbols {
    const std::uint8_t* high;
    const std::uint8_t* low;
    std::int32_t zero;

    Symbols from(std::size_t at) const noexcept {
        return {high == nullptr ? nullptr : high + at, low + at, zero};
    }
};

// Every `stride`th element from `first` on, n of them.
struct Every {
    const Dither& dither;
    std::uint32_t first;
    std::uint32_t stride;
    std::size_t n;

    Every from(std::size_t at) const noexcept {
        return {dither, first + static_cast<std::uint32_t>(at) * stride, stride, n - at};
    }
};

// (symbol - zero - u) * scale, symbols of up to 8 bits.
using EveryFn = void (*)(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out);

// (symbol - zero - u) * scale, around the caches with `stream`.
using SubtractFn = void (*)(const Run& run, const Symbols& symbols, float scale, bool stream, float* out);

// planes[c] has the symbols of class c, one per group.
using TurnFn = void (*)(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out);

// The inverse of turning, for encoders.
using ScatterFn = void (*)(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes);
extern const Variants<ScatterFn> scatter_classes;

// Integers nearest to value / step + u: a division, an addition and a rounding in float32.
using LevelsFn = void (*)(const Run& run, const float* values, float step, std::int32_t* out);

void scatter_portable(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes);
void levels_portable(const Run& run, const float* values, float step, std::int32_t* out);
void subtract_portable(const Run& run, const Symbols& symbols, float scale, bool stream, float* out);
void every_portable(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out);
void turn_portable(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out);
#if QC_X86
void subtract_avx2(const Run& run, const Symbols& symbols, float scale, bool stream, float* out);
void every_avx2(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out);
void turn_avx2(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out);
void scatter_avx2(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes);
void levels_avx2(const Run& run, const float* values, float step, std::int32_t* out);
void subtract_avx512(const Run& run, const Symbols& symbols, float scale, bool stream, float* out);
void every_avx512(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out);
void turn_avx512(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out);
#endif

}  // namespace qc::dithered
