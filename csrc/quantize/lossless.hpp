// quantize/lossless.hpp - words to byte planes and back, with their variants.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quantize/dtype.hpp"
#include "simd/isa.hpp"

namespace qc {

enum class Mapping { kPlain, kRotate, kZigzag };

constexpr Mapping mapping_of(DType d) noexcept {
    switch (d) {
        case DType::kF16: case DType::kBF16: case DType::kF32: case DType::kF64:
        case DType::kF8E4M3: case DType::kF8E5M2: return Mapping::kRotate;
        case DType::kI8: case DType::kI16: case DType::kI32: case DType::kI64:
            return Mapping::kZigzag;
        default: return Mapping::kPlain;
    }
}

// `bytes` planes of n bytes each, top byte first, to n words.
using MergeFn = void (*)(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                         std::size_t n, std::uint8_t* out);

// n words to `bytes` planes of n bytes each.
using SplitFn = void (*)(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
                         std::uint8_t* const* planes);

void merge_planes_portable(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                           std::size_t n, std::uint8_t* out);
void split_planes_portable(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
                           std::uint8_t* const* planes);
#if QC_X86
void merge_planes_avx2(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                       std::size_t n, std::uint8_t* out);
void split_planes_avx2(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
                       std::uint8_t* const* planes);
void merge_planes_avx512(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                         std::size_t n, std::uint8_t* out);
void split_planes_avx512(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
                         std::uint8_t* const* planes);
#endif

extern const Variants<MergeFn> merge_planes;
extern const Variants<SplitFn> split_planes;

}  // namespace qc
