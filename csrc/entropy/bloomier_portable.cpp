// entropy/bloomier_portable.cpp - windows of `bloomier` by tables: products of a tile with all 256 bytes.
#include <algorithm>

#include "entropy/bloomier.hpp"

namespace qc::bloomier {
namespace {

constexpr std::uint32_t kRing = 16;

// Doubling: the table of bits 0 .. k from that of bits 0 .. k - 1.
void fill_table(const std::uint8_t* tile, unsigned r, std::uint8_t* table) noexcept {
    std::uint64_t x = 0;
    std::memcpy(&x, tile, r);
    table[0] = 0;
    for (unsigned k = 0; k < 8; ++k) {
        // Bit k of each plane's byte: the word that slot k adds.
        const auto word = static_cast<std::uint8_t>((x >> k & 0x0101010101010101) * 0x0102040810204080 >> 56);
        for (std::size_t i = 0; i < std::size_t{1} << k; ++i) {
            table[(std::size_t{1} << k) + i] = table[i] ^ word;
        }
    }
}

}  // namespace

void window_portable(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    for (std::size_t i = 0; i < blocks; ++i) {
        const std::uint32_t t = s.start(first + i);
        if (s.ready < t) s.ready = t;
        for (; s.ready < t + kRowTiles; ++s.ready) fill_table(s.tile(s.ready), s.r, s.tables + 256 * (s.ready % kRing));
        const std::uint8_t* table[kRowTiles];
        for (std::uint32_t j = 0; j < kRowTiles; ++j) table[j] = s.tables + 256 * ((t + j) % kRing);
        std::uint8_t c[4][kBlockSize];
        hash_block(s.seed, static_cast<std::uint32_t>(first) + order[i], c);
        std::uint8_t* const out = s.out + order[i] * kBlockSize;
#pragma GCC unroll 16
        for (std::size_t k = 0; k < kBlockSize; ++k) {
            unsigned x = c[0][k] ^ (c[1][k] & c[2][k]);
            x ^= table[0][c[0][k]] ^ table[1][c[1][k]] ^ table[2][c[2][k]] ^ table[3][c[3][k]];
            x ^= table[4][c[0][(k + 1) % 16]] ^ table[5][c[1][(k + 5) % 16]];
            x ^= table[6][c[2][(k + 7) % 16]] ^ table[7][c[3][(k + 11) % 16]];
            out[k] = s.symbol_of[x];
        }
    }
}

}  // namespace qc::bloomier
