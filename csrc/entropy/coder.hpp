// entropy/coder.hpp - the contract between an entropy coder and the rest of qcodec.
//
// A coder turns one stream of byte symbols, each below 2^bits, into bytes and back. It knows no
// quantizer and no Python, and keeps what it needs in a Workspace or in the state it is given.
// Decoding goes forward in blocks: `next` hands out the next n symbols, where every n but the last is
// kBlock. A payload comes from a file: nothing in it is true until checked.
//
// To add one: write entropy/<name>.cpp, fill a CoderKernel, end the file with a RegisterCoder.
// setup.py lists csrc, so no build file changes. Its id and name are a row of FORMAT.md, "Stages".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.hpp"
#include "core/workspace.hpp"

namespace qc {

// Symbols per block of the decode loop: two planes and a block of float32 stay in L1 and L2.
inline constexpr std::size_t kBlock = 8192;

// Symbols that a loop takes at a time where they go on to elements at once. The first and last lines of what it
// writes are partial ones, which memory must bring first.
inline constexpr std::size_t kFusedStep = 4 * kBlock;

struct CoderKernel {
    const char* name;         // equals the Python class attribute `name`
    std::uint8_t id;          // FORMAT.md, "Stages"
    std::size_t state_bytes;  // of a decoder, 64-byte aligned

    // Codes all symbols into `out`.
    //   requires  every symbol < 2^bits, bits in 1..8, symbols not empty              [pipeline]
    //   returns   bytes written, or 0 where they would not be fewer than out.size()
    //   scratch   Workspace slots kCoder, kCoder2, kCoder3
    std::size_t (*encode)(std::span<const std::uint8_t> symbols, unsigned bits, Workspace&,
                          std::span<std::uint8_t> out);

    // Prepares `state` to decode `count` symbols. The payload outlives the state.
    //   fails     kCorrupt, kTruncated: header or tables
    Status (*open)(void* state, std::span<const std::uint8_t> payload, std::size_t count,
                   unsigned bits) noexcept;

    // The next n symbols, valid until the next call.
    //   requires  n == kBlock, or n == all that are left, and n > 0                   [pipeline]
    //   ensures   every symbol < 2^bits; no byte outside payload and state is touched
    //   fails     kCorrupt, kTruncated; `at` is the byte within the payload
    Status (*next)(void* state, std::size_t n, const std::uint8_t** symbols) noexcept;

    // Passes over n symbols, under the rules of `next`.
    Status (*skip)(void* state, std::size_t n) noexcept;

    // After the last symbol: checks that the payload ends where it should.
    Status (*finish)(void* state) noexcept;
};

// A namespace-scope constant of this type adds its kernel to the list while the module loads.
class RegisterCoder {
public:
    explicit RegisterCoder(const CoderKernel& k) noexcept : kernel(k), next(head) { head = this; }

    const CoderKernel& kernel;
    const RegisterCoder* const next;
    static inline const RegisterCoder* head = nullptr;
};

inline const CoderKernel* find_coder(std::uint8_t id) noexcept {
    for (const RegisterCoder* r = RegisterCoder::head; r != nullptr; r = r->next) {
        if (r->kernel.id == id) return &r->kernel;
    }
    return nullptr;
}

}  // namespace qc
