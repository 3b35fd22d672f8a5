// pipeline/profile_class.hpp - the class of an element with a profile: FORMAT.md, "Order".
#pragma once

#include <algorithm>
#include <cstdint>

namespace qc {

inline constexpr int kProfileClasses = 64;
inline constexpr int kProfileCentre = 32;  // the code of a factor of one

// `sum` is that of a channel's and a position's codes.
constexpr std::uint8_t profile_class(unsigned row, unsigned sum) noexcept {
    const int c = static_cast<int>(row + sum) - 2 * kProfileCentre;
    return static_cast<std::uint8_t>(std::clamp(c, 0, kProfileClasses - 1));
}

}  // namespace qc
