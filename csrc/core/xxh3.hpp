// core/xxh3.hpp - XXH3-64 with a seed, as published by Yann Collet (xxHash 0.8). Tests compare it with
// the xxhash package at every length class.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qc {

std::uint64_t xxh3_64(const std::uint8_t* data, std::size_t length, std::uint64_t seed) noexcept;

}  // namespace qc
