// entropy/bloomier.hpp - the coder `bloomier`: FORMAT.md, "bloomier". What its parts share.
//
// A banded linear system over GF(2) whose solution, the tiles, gives each position a word. Rows come from a
// hash of the position; where a row starts follows the number of keys met so far, so that decoding in order
// moves a window of a few tiles. Lossy: positions that are no keys get words at random.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>

#include "core/bits.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "entropy/coder.hpp"
#include "simd/isa.hpp"

namespace qc::bloomier {

inline constexpr std::uint8_t kId = 7;
inline constexpr std::size_t kMaxCount = std::size_t{1} << 20;
inline constexpr std::size_t kBlockSize = 16;                    // positions that share a start
inline constexpr std::size_t kWindow = kBlock / kBlockSize;      // blocks
inline constexpr unsigned kMinBucket = 6, kMaxBucket = 16;       // log2 of positions
inline constexpr unsigned kMaxOrder = 15;
inline constexpr unsigned kMaxWordBits = 16;
inline constexpr unsigned kBeyond = 255;  // a word that no symbol has, for all that need more than a byte
inline constexpr std::uint32_t kMaxSeed = (std::uint32_t{1} << 28) - 1;
inline constexpr std::size_t kRowTiles = 8;
inline constexpr std::uint32_t kPhi = 0x9E3779B9, kMul1 = 0x7FEB352D, kMul2 = 0x846CA68B;

// Columns 4 .. 7 of a row are columns 0 .. 3 of neighbours in the block: half the hashing.
inline constexpr unsigned kTurn[4] = {1, 5, 7, 11};

constexpr std::uint32_t mix(std::uint32_t x) noexcept {
    x ^= x >> 16;
    x *= kMul1;
    x ^= x >> 15;
    x *= kMul2;
    return x ^ x >> 16;
}

constexpr std::uint32_t hash_seed(std::uint32_t seed) noexcept { return mix(seed * kPhi + 1); }

constexpr std::size_t blocks_of(std::size_t count) noexcept {
    return (count + kBlockSize - 1) / kBlockSize;
}

inline std::uint32_t stride_of(std::uint32_t blocks) noexcept {
    std::uint32_t s = blocks * 40503 >> 16;
    if (s == 0) s = 1;
    while (std::gcd(s, blocks) != 1) ++s;
    return s;
}

// The four hashed bytes of each position of a block, bytes of R(j, .) in columns[j].
inline void hash_block(std::uint32_t seed, std::uint32_t block, std::uint8_t (*columns)[kBlockSize]) noexcept {
    std::uint32_t words[4][4];
    for (std::uint32_t j = 0; j < 4; ++j) {
        for (std::uint32_t k = 0; k < 4; ++k) words[j][k] = mix((16 * block + 4 * k + j) * kPhi + seed);
    }
    std::memcpy(columns, words, sizeof words);
}

struct State;

// Words of the window that begins with block `first`, a multiple of kWindow, to symbols in s.out.
using WindowFn = void (*)(State& s, std::size_t first, std::size_t blocks,
                          const std::uint16_t* order) noexcept;

struct alignas(64) State {
    std::uint8_t out[kBlock];
    std::uint8_t other[kBlock];         // of loops that work on two windows
    std::uint8_t symbol_of[256];        // of each byte whose low r bits are a word
    std::uint8_t tail[640];             // the last tiles, and zeros behind them
    // Portable, AVX2: products of the tiles in reach, of bits 0 .. 7 of words and then of those above.
    alignas(64) std::uint8_t tables[2 * 16 * 256];
    std::uint32_t starts[(kMaxCount >> kMinBucket) + 1];
    std::uint16_t order[2][kWindow + 8];  // blocks of a window as they are visited: all but the last, the last

    const std::uint8_t* tiles;
    std::size_t n_tiles;
    std::size_t tail_first;
    std::size_t count;
    std::size_t done;
    WindowFn window;
    std::uint32_t seed;                 // hashed
    std::uint32_t ready;                // tiles that have tables
    unsigned r;
    unsigned n_values;
    std::uint8_t zero;
    unsigned bucket;                    // log2 of its blocks
    std::uint64_t keys;

    std::uint64_t exceptions_left;      // with the one in `position`
    std::size_t position;               // of the next exception
    std::uint8_t word;
    unsigned position_bits;
    BitReader bits{{}};
    std::span<const std::uint8_t> payload;
    std::size_t bits_at;                // where the bit string begins

    // Where block `visit` of the stream starts.
    std::uint32_t start(std::size_t visit) const noexcept {
        const std::size_t b = visit >> bucket;
        const std::size_t i = visit & ((std::size_t{1} << bucket) - 1);
        return starts[b] + static_cast<std::uint32_t>(i * (starts[b + 1] - starts[b]) >> bucket);
    }

    // Tiles from `at` on: 128 bytes behind the eighth are readable.
    //   requires  at <= n_tiles + 8
    const std::uint8_t* tile(std::size_t at) const noexcept {
        return at < tail_first ? tiles + at * r : tail + (at - tail_first) * r;
    }
};

void window_portable(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept;
#if QC_X86
void window_avx2(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept;
void window_avx512(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept;
#endif

// Reads everything but tiles and exceptions, and checks it.
Status open_state(State& s, std::span<const std::uint8_t> payload, std::size_t count, unsigned bits) noexcept;

struct Options {
    unsigned bits;       // of a word, 1 .. kMaxWordBits
    std::uint32_t seed;  // at most kMaxSeed
};

// The next n positions are done. Checks their exceptions, and puts them among `symbols` if there are some.
Status pass_exceptions(State& s, std::size_t n, std::uint8_t* symbols) noexcept;

// How many symbols other than the most frequent one are in use.
unsigned values_in_use(std::span<const std::uint8_t> symbols) noexcept;

// Codes all symbols into `out`.
//   requires  1 .. 2^20 symbols, of which values_in_use are 1 .. 2^options.bits - 1
//   returns   bytes written, or 0 where they would not be fewer than out.size()
std::size_t encode(std::span<const std::uint8_t> symbols, unsigned bits, Options options, Workspace& workspace,
                   std::span<std::uint8_t> out);

}  // namespace qc::bloomier
