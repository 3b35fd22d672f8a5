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

template <bool kWide>
void decode_window(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    constexpr std::size_t kAbove = 256 * kRing;
    const unsigned bits_above = ((1u << s.r) - 1) >> 8;
    for (std::size_t i = 0; i < blocks; ++i) {
        const std::uint32_t t = s.start(first + i);
        if (s.ready < t) s.ready = t;
        for (; s.ready < t + kRowTiles; ++s.ready) {
            const std::uint8_t* const tile = s.tile(s.ready);
            std::uint8_t* const tables = s.tables + 256 * (s.ready % kRing);
            fill_table(tile, kWide ? 8 : s.r, tables);
            if constexpr (kWide) fill_table(tile + 8, s.r - 8, tables + kAbove);
        }
        const std::uint8_t* table[kRowTiles];
        for (std::uint32_t j = 0; j < kRowTiles; ++j) table[j] = s.tables + 256 * ((t + j) % kRing);
        std::uint8_t c[4][kBlockSize];
        hash_block(s.seed, static_cast<std::uint32_t>(first) + order[i], c);
        const auto product = [&](std::size_t part, std::size_t k) {
            const auto of = [&](std::size_t j, std::size_t at) -> unsigned {
                return table[j][part + c[j % 4][at % kBlockSize]];
            };
            return of(0, k) ^ of(1, k) ^ of(2, k) ^ of(3, k) ^ of(4, k + kTurn[0]) ^ of(5, k + kTurn[1]) ^
                   of(6, k + kTurn[2]) ^ of(7, k + kTurn[3]);
        };
        std::uint8_t* const out = s.out + order[i] * kBlockSize;
#pragma GCC unroll 16
        for (std::size_t k = 0; k < kBlockSize; ++k) {
            unsigned word = c[0][k] ^ (c[1][k] & c[2][k]) ^ product(0, k);
            if constexpr (kWide) {
                const unsigned above = c[1][k] ^ (c[2][k] & c[3][k]) ^ product(kAbove, k);
                word |= (((above & bits_above) + 255) >> 8) * kBeyond;  // GCC makes a branch of a comparison
            }
            out[k] = s.symbol_of[word];
        }
    }
}

}  // namespace

void window_portable(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    if (s.r > 8) return decode_window<true>(s, first, blocks, order);
    decode_window<false>(s, first, blocks, order);
}

}  // namespace qc::bloomier
