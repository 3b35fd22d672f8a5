// core/xxh3.hpp - XXH3-64 with a seed, as published by Yann Collet (xxHash 0.8). Tests compare it with
// the xxhash package at every length class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/xxh3_stripes.hpp"

namespace qc {

// A hash taken piece by piece, each while its bytes are in a near cache for another reader too.
class Xxh3 {
public:
    Xxh3(std::span<const std::uint8_t> data, std::uint64_t seed) noexcept;

    // Takes the bytes before `end`, or somewhat fewer.
    void advance(std::size_t end) noexcept;

    // Takes what is left.
    std::uint64_t finish() noexcept;

private:
    std::span<const std::uint8_t> data_;
    std::uint64_t seed_;
    std::size_t at_ = 0;      // a whole number of blocks
    std::size_t blocks_end_;  // the last block is kept for finish()
    alignas(64) std::uint64_t lanes_[8];
    alignas(64) std::uint8_t secret_[kXxh3SecretBytes];
};

std::uint64_t xxh3_64(const std::uint8_t* data, std::size_t length, std::uint64_t seed) noexcept;

}  // namespace qc
