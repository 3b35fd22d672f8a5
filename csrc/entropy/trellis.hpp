// entropy/trellis.hpp - the trellises of `trellis`, and of the third form of `rans`: FORMAT.md, "rans".
//
// Codes of Ungerboeck, as maps of states of `memory` bits. The lowest bit of a state says whether even or odd
// symbols may follow, bit 1 of the symbol where the state goes.
#pragma once

#include <cstdint>

namespace qc::trellis {

inline constexpr unsigned kMaxMemory = 7;

constexpr bool is_memory(unsigned memory) noexcept {
    return memory == 3 || memory == 5 || memory == 7;
}

// What a state's lowest bit, and the bit of the symbol, add to the next state.
struct Taps {
    unsigned context;
    unsigned branch;
};
constexpr Taps taps(unsigned memory) noexcept {
    return memory == 3 ? Taps{5, 2} : memory == 5 ? Taps{18, 4} : Taps{78, 43};
}

constexpr unsigned next_state(unsigned memory, unsigned state, unsigned branch) noexcept {
    const Taps t = taps(memory);
    return state >> 1 ^ ((state & 1) != 0 ? t.context : 0) ^ (branch != 0 ? t.branch : 0);
}

// The state before `state` from which this branch leads there. Its lowest bit is the top bit of `state`.
constexpr unsigned previous_state(unsigned memory, unsigned state, unsigned branch) noexcept {
    const Taps t = taps(memory);
    const unsigned context = state >> (memory - 1) & 1;
    const unsigned upper = state ^ (context != 0 ? t.context : 0) ^ (branch != 0 ? t.branch : 0);
    return upper << 1 | context;
}

}  // namespace qc::trellis
