// tests/fuzz/fuzz.hpp - what the targets share: inputs read byte by byte, choices, and random inputs where
// there is no libFuzzer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include "core/workspace.hpp"
#include "entropy/coder.hpp"
#include "entropy/trellis.hpp"
#include "simd/isa.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace qc::fuzz {

// Zeros follow the end.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    std::uint8_t byte() { return at_ < end_ ? *at_++ : 0; }
    std::size_t word() {
        const std::size_t low = byte();
        return low | static_cast<std::size_t>(byte()) << 8;
    }
    // Elements: up to 20000, in one of eight inputs up to 160000, of which streams have all their lanes.
    std::size_t count() {
        const std::size_t n = word();
        return n % 20000 * (n < 0xE000 ? 1 : 8) + 1;
    }
    std::vector<std::uint8_t> rest() const { return {at_, end_}; }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

// One of the registered kernels of a kind, RegisterCoder's or RegisterQuantizer's.
template <class Register>
const auto& pick(unsigned number) {
    unsigned n = 0;
    for (const Register* r = Register::head; r != nullptr; r = r->next) ++n;
    const Register* r = Register::head;
    for (unsigned k = number % n; k > 0; --k) r = r->next;
    return r->kernel;
}

inline void pick_isa(unsigned number) {
    set_active_isa(static_cast<Isa>(std::min<int>(number % 3, static_cast<int>(best_isa()))));
}

// Makes each symbol of the kind that its lane's state wants.
inline void follow(const Trellis& trellis, std::uint8_t* symbols, std::size_t n) {
    unsigned states[256] = {};
    for (std::size_t i = 0; i < n; ++i) {
        unsigned& state = states[i % trellis.lanes];
        symbols[i] = static_cast<std::uint8_t>((symbols[i] & ~1u) | (state & 1));
        state = trellis::next_state(trellis.memory, state, symbols[i] >> 1 & 1);
    }
}

// Random inputs for argv[1] seconds, from seed argv[2]. The bytes behind the first `head` are of few values in
// most inputs: that makes compressible symbols.
inline int run_random(int argc, char** argv, std::size_t head) {
    const std::time_t end = std::time(nullptr) + (argc > 1 ? std::atol(argv[1]) : 10);
    std::mt19937_64 random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
    std::vector<std::uint8_t> input;
    long runs = 0;
    for (; std::time(nullptr) < end; ++runs) {
        input.resize(head + random() % 400);
        for (std::uint8_t& b : input) b = static_cast<std::uint8_t>(random());
        const unsigned narrow = random() % 8;
        for (std::size_t i = head; i < input.size(); ++i) input[i] >>= narrow;
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%ld inputs, nothing found\n", runs);
    return 0;
}

}  // namespace qc::fuzz

#ifdef QC_LIBFUZZER
#define QC_RANDOM_MAIN(head)
#else
#define QC_RANDOM_MAIN(head) \
    int main(int argc, char** argv) { return qc::fuzz::run_random(argc, argv, head); }
#endif
