// transform/deinterleave.hpp - symbols of blocks one after another to those of each position one after another.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qc {

class Deinterleave {
public:
    static constexpr unsigned kMostArea = 64;

    // requires  area <= kMostArea
    explicit Deinterleave(unsigned area) noexcept;

    // Byte p of block b, of n blocks, to out[p * stride + b].
    //   requires  stride a multiple of 64, at least n
    void operator()(const std::uint8_t* blocks, std::size_t n, std::uint8_t* out, std::size_t stride) const noexcept;

private:
    std::size_t vectors(const std::uint8_t* blocks, std::size_t n, std::uint8_t* out, std::size_t stride) const noexcept;

    unsigned area_;
    bool in_vectors_;
    // Of 64 blocks, of which byte p of the k-th stands in register r: k's bit in masks_[p][r / 2], its place in those two.
    alignas(64) std::uint8_t places_[kMostArea][64];
    std::uint64_t masks_[kMostArea][kMostArea / 2];
};

}  // namespace qc
