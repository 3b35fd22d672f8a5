// entropy/base3.hpp - five symbols 0, 1, 2 in a byte, and runs of the byte of five ones in one:
// the code of 3LC (Lim, Andersen, Kaminsky; MLSys 2019). FORMAT.md, "zero_run", form 1.
//
// The symbols are cut into five equal parts, one for each digit of a byte, so all kernels are
// straight loops. In memory a byte a is held as its fraction, ceil(a * 256 / 243): times 3^k
// modulo 256 it is the fraction that begins with digit k, which is 0 below 86, 1 below 171, else 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "simd/isa.hpp"

namespace qc::base3 {

inline constexpr std::uint8_t kOnes = 121;       // five digits 1
inline constexpr std::uint8_t kFirstRun = 243;   // two bytes kOnes; each higher byte is one more
inline constexpr std::size_t kMaxRun = 14;
inline constexpr std::size_t kSlack = 64;        // kernels read and write so far beyond their ends

constexpr std::size_t part_symbols(std::size_t n) noexcept { return n / 5 + (n % 5 != 0); }

// Bytes 0 .. n-1 from five parts that begin `part` symbols apart; false where a symbol is above 2.
// Exact: no slack is read or written.
using JoinFn = bool (*)(const std::uint8_t* symbols, std::size_t part, std::size_t n,
                        std::uint8_t* bytes) noexcept;

// Runs of kOnes to run bytes. Returns the bytes written, at most n.
using ShortenFn = std::size_t (*)(const std::uint8_t* bytes, std::size_t n,
                                  std::uint8_t* out) noexcept;

// A payload to exactly n fractions.
//   fails     kCorrupt: the payload stands for more or fewer bytes
using ExpandFn = Status (*)(std::span<const std::uint8_t> payload, std::size_t n,
                            std::uint8_t* fractions) noexcept;

// Digit k, 0 .. 4, of n fractions.
using DigitFn = void (*)(const std::uint8_t* fractions, std::size_t n, unsigned k,
                         std::uint8_t* symbols) noexcept;

struct Kernels {
    JoinFn join;
    ShortenFn shorten;
    ExpandFn expand;
    DigitFn digit;
};

const Kernels& kernels() noexcept;
extern const Kernels kPortable;
extern const Kernels kAvx2;
extern const Kernels kAvx512;

// The whole code of n symbols into scratch of slot kCoder2; empty where a symbol is above 2.
std::span<const std::uint8_t> encode(std::span<const std::uint8_t> symbols, Workspace& workspace);

// Whether all digits behind the last of `count` symbols are 1.
bool padding_is_one(const std::uint8_t* fractions, std::size_t count) noexcept;

// ---- shared by the variants of the kernels

struct ExpandTable {
    std::uint64_t words[256];  // eight times the fraction that a payload byte stands for

    constexpr ExpandTable() : words() {
        for (unsigned byte = 0; byte < 256; ++byte) {
            const unsigned a = byte < kFirstRun ? byte : kOnes;
            words[byte] = (a * 256 + 242) / 243 * std::uint64_t{0x0101010101010101};
        }
    }
};
inline constexpr ExpandTable kExpandTable;

inline std::size_t expanded_bytes(std::uint8_t byte) noexcept {
    return byte < kFirstRun ? 1 : byte - std::size_t{kFirstRun - 2};
}

// Writes 16 bytes; returns behind those that count.
inline std::uint8_t* expand_byte(std::uint8_t byte, std::uint8_t* out) noexcept {
    store(out, kExpandTable.words[byte]);
    store(out + 8, kExpandTable.words[byte]);
    return out + expanded_bytes(byte);
}

// The end of a payload, from `at` on, with every check.
Status expand_rest(std::span<const std::uint8_t> payload, std::size_t at, std::uint8_t* out,
                   std::uint8_t* end) noexcept;

// Bytes for a run of kOnes of any length but 0; returns behind them. Writes into the slack.
[[gnu::always_inline]] inline std::uint8_t* put_run(std::size_t length, std::uint8_t* out) noexcept {
    const std::size_t full = (length - 1) / kMaxRun;
    const std::size_t rest = length - full * kMaxRun;
    std::memset(out, kFirstRun + kMaxRun - 2, kSlack);  // of one size: no call, and enough for most runs
    if (full > kSlack) std::memset(out, kFirstRun + kMaxRun - 2, full);
    out[full] = rest == 1 ? kOnes : static_cast<std::uint8_t>(kFirstRun - 2 + rest);
    return out + full + 1;
}

}  // namespace qc::base3
