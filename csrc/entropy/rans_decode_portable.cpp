// entropy/rans_decode_portable.cpp - decodes rounds of any number of lanes in plain C++.
//
// A slot's frequency, offset, symbol and escape flag are one 32-bit word, and refill and escape are
// arithmetic: as branches they would be guessed wrong every third symbol.
#include <cstring>

#include "core/bits.hpp"
#include "core/bytes.hpp"
#include "entropy/rans_decode.hpp"
#include "entropy/trellis.hpp"

namespace qc::rans {
namespace {

void prepare_portable(Stream& s) noexcept {
    for (unsigned t = 0; t < s.n_tables; ++t) {
        const Table& table = s.tables[t];
        const unsigned slots = s.memory > 0 ? 2 * kTotal : kTotal;
        for (unsigned k = 0; k < slots; ++k) {
            const unsigned slot = k % kTotal;
            const unsigned e = (k < kTotal ? table.slot : table.odd_slot)[slot] & kEntryMask;
            const std::uint32_t word = table.freq[e] | (slot - table.base[slot >> 7][e]) << 8 |
                                       std::uint32_t{table.symbol[e]} << 16 |
                                       std::uint32_t{e == kEscape} << 24;
            store(s.kernel_tables[t] + 4 * k, word);
        }
    }
}

struct Inputs {
    const std::uint8_t* in;
    const std::uint8_t* escape;
};

// States of the trellis, times 2, with the branch as their lowest bit: what follows.
struct Walk {
    std::uint8_t next[2 << trellis::kMaxMemory];

    explicit Walk(unsigned memory) noexcept {
        for (unsigned k = 0; memory > 0 && k < 2u << memory; ++k) {
            next[k] = static_cast<std::uint8_t>(trellis::next_state(memory, k >> 1, k & 1));
        }
    }
};

template <bool kEscapes, bool kAlongTrellis>
void decode_round(const std::uint8_t* words, const Walk& walk, std::uint32_t* states, std::uint8_t* walks,
                  std::size_t lanes, Inputs& inputs, std::uint8_t* to) noexcept {
    Inputs from = inputs;  // apart from bytes that stores could alias
    for (std::size_t k = 0; k < lanes; ++k) {
        const std::uint32_t context = kAlongTrellis ? (walks[k] & 1u) << 8 : 0;
        const std::uint32_t word = load<std::uint32_t>(words + 4 * (context | (states[k] & 0xFF)));
        std::uint32_t x = (word & 0xFF) * (states[k] >> 8) + (word >> 8 & 0xFF);
        const auto refill = static_cast<std::uint32_t>(static_cast<std::int32_t>(x - 256) >> 31);
        x = ((x << 8 | *from.in) & refill) | (x & ~refill);
        from.in += refill & 1;
        states[k] = x;
        if constexpr (kEscapes) {
            const std::uint32_t escaped = word >> 24;
            to[k] = static_cast<std::uint8_t>((word >> 16 & 0xFF) |
                                              (*from.escape & (0 - escaped)));
            from.escape += escaped;
        } else {
            to[k] = static_cast<std::uint8_t>(word >> 16);
        }
        if constexpr (kAlongTrellis) walks[k] = walk.next[walks[k] << 1 | (to[k] >> 1 & 1)];
    }
    inputs = from;
}

// Adds raw bits, which begin at bit `bit`, to the symbols of a round.
void add_raw(const std::uint8_t* raw, std::size_t bit, unsigned width, std::size_t lanes,
             std::uint8_t* to) noexcept {
    if (lanes < 8) {
        const unsigned mask = (1u << width) - 1;
        for (std::size_t k = 0; k < lanes; ++k, bit += width) {
            const unsigned pair = load<std::uint16_t>(raw + bit / 8);
            to[k] = static_cast<std::uint8_t>(to[k] | (pair >> bit % 8 & mask));
        }
        return;
    }
    // Eight fields begin at a byte. States follow the raw bits, so eight bytes are readable.
    const EightFields fields(width);
    for (std::size_t k = 0; k < lanes; k += 8, raw += width) {
        const std::uint64_t x = fields.spread(load<std::uint64_t>(raw));
        store(to + k, load<std::uint64_t>(to + k) | x);
    }
}

template <bool kAlongTrellis>
std::size_t run(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    const Walk walk(kAlongTrellis ? s.memory : 0);
    const std::size_t lanes = s.lanes;
    Inputs from{s.in, s.escape};
    std::size_t raw_bit = s.done * s.raw_bits % 8;
    const std::uint8_t* words = s.kernel_tables[s.table - s.tables];
    std::uint32_t states[kMaxLanes];
    for (std::size_t k = 0; k < lanes; ++k) states[k] = s.high[k] * 256u + s.low[k];

    std::size_t r = 0;
    for (; r < rounds && from.in <= s.limit; ++r, out += lanes) {
        if (s.tile_left == 0) words = s.kernel_tables[enter_tile(s)];
        s.tile_left -= lanes;
        if (s.table->freq[kEscape] != 0) {
            decode_round<true, kAlongTrellis>(words, walk, states, s.trellis, lanes, from, out);
        } else {
            decode_round<false, kAlongTrellis>(words, walk, states, s.trellis, lanes, from, out);
        }
        if (s.raw_bits > 0) {
            add_raw(s.raw, raw_bit, s.raw_bits, lanes, out);
            raw_bit += lanes * s.raw_bits;
            s.raw += raw_bit / 8;
            raw_bit %= 8;
        }
    }
    for (std::size_t k = 0; k < lanes; ++k) {
        s.high[k] = static_cast<std::uint8_t>(states[k] >> 8);
        s.low[k] = static_cast<std::uint8_t>(states[k]);
    }
    s.in = from.in;
    s.escape = from.escape;
    return r;
}

std::size_t rounds_portable(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    return s.memory > 0 ? run<true>(s, out, rounds) : run<false>(s, out, rounds);
}

}  // namespace

const DecodeKernel kDecodePortable{prepare_portable, rounds_portable, 1, true, nullptr};

std::size_t merge_portable(const std::uint8_t* nibbles, std::size_t n, const std::uint8_t* values,
                           std::uint8_t zero, std::uint8_t* out) noexcept {
    const std::uint8_t* value = values;
    for (std::size_t i = 0; i < n; i += 4) {
        unsigned nibble = nibbles[i / 4];
        for (std::size_t k = 0; k < 4; ++k, nibble >>= 1) {
            const unsigned keep = 0u - (nibble & 1);
            out[i + k] = static_cast<std::uint8_t>((*value & keep) | (zero & ~keep));
            value += nibble & 1;
        }
    }
    return static_cast<std::size_t>(value - values);
}

}  // namespace qc::rans
