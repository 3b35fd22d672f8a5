// quantize/dither.hpp - the dither of `dithered`: a counter-based generator, FORMAT.md "dithered".
//
// A dither is known from seed and element alone, so any range decodes by itself. Of each 16 elements in a row
// one falls into each sixteenth of the interval: its number is the class that the element's symbol is coded in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace qc {

inline constexpr unsigned kDitherClasses = 16;
inline constexpr std::uint32_t kWeyl = 0x9E3779B9u;

constexpr std::uint32_t mix32(std::uint32_t x) noexcept {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

// Elements are counted within a run that shares the upper 32 bits of their number.
class Dither {
public:
    constexpr Dither(std::uint64_t seed, std::uint64_t element) noexcept {
        const auto low = static_cast<std::uint32_t>(seed);
        const auto high = static_cast<std::uint32_t>(seed >> 32);
        const auto upper = static_cast<std::uint32_t>(element >> 32);
        const std::uint32_t key = mix32(mix32(mix32(low) + high) + upper);
        element_key_ = mix32(key + 1);
        group_key_ = mix32(key + 2);
    }

    // `element` is the lower half of its number.
    constexpr std::uint32_t class_of(std::uint32_t element) const noexcept {
        return (element + turn_of(element)) % kDitherClasses;
    }
    // The same for all of a group of 16.
    constexpr std::uint32_t turn_of(std::uint32_t element) const noexcept {
        return mix32((element / kDitherClasses) * kWeyl + group_key_) % kDitherClasses;
    }
    constexpr std::uint32_t element_key() const noexcept { return element_key_; }
    constexpr std::uint32_t group_key() const noexcept { return group_key_; }

    // In steps, an odd multiple of 2^-24 between -1/2 and 1/2.
    constexpr float value(std::uint32_t element) const noexcept {
        return value(element, class_of(element));
    }
    constexpr float value(std::uint32_t element, std::uint32_t class_number) const noexcept {
        const std::uint32_t fraction = mix32(element * kWeyl + element_key_) >> 13;
        const std::uint32_t u = class_number << 19 | fraction;
        return static_cast<float>(static_cast<std::int32_t>(2 * u + 1) - (1 << 23)) * 0x1p-24f;
    }

    // 24 bits that know nothing of the classes: FORMAT.md, "lattice".
    constexpr std::uint32_t random(std::uint32_t element) const noexcept {
        return mix32(element * kWeyl + element_key_) >> 8;
    }

private:
    std::uint32_t element_key_ = 0;
    std::uint32_t group_key_ = 0;
};

// Calls f(dither, lower half of the element's number, offset, n) for runs of equal upper halves.
template <class F>
void for_runs(std::uint64_t seed, std::uint64_t first, std::size_t count, F f) {
    for (std::size_t at = 0; at < count;) {
        const std::uint64_t left = (std::uint64_t{1} << 32) - ((first + at) & 0xFFFFFFFFu);
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, count - at));
        f(Dither(seed, first + at), static_cast<std::uint32_t>(first + at), at, n);
        at += n;
    }
}

}  // namespace qc
