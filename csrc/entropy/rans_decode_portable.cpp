// entropy/rans_decode_portable.cpp - decodes rounds of any number of lanes in plain C++.
//
// A slot's frequency, offset, symbol and escape flag are one 32-bit word, and refill and escape are
// arithmetic: as branches they would be guessed wrong every third symbol.
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/rans_decode.hpp"

namespace qc::rans {
namespace {

void prepare_portable(Stream& s) noexcept {
    for (unsigned t = 0; t < s.n_tables; ++t) {
        const Table& table = s.tables[t];
        for (unsigned slot = 0; slot < kTotal; ++slot) {
            const unsigned e = table.slot[slot] & kEntryMask;
            const std::uint32_t word = table.freq[e] | (slot - table.base[slot >> 7][e]) << 8 |
                                       std::uint32_t{table.symbol[e]} << 16 |
                                       std::uint32_t{e == kEscape} << 24;
            store(s.kernel_tables[t] + 4 * slot, word);
        }
    }
}

template <bool kEscapes>
std::size_t run(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    const std::size_t lanes = s.lanes;
    const unsigned raw_bits = s.raw_bits;
    const std::uint64_t raw_mask = (1u << raw_bits) - 1;
    const std::uint8_t* in = s.in;
    const std::uint8_t* escape = s.escape;
    const std::uint8_t* raw = s.raw;
    std::uint64_t raw_bit = s.done * raw_bits % 8;
    const std::uint8_t* words = s.kernel_tables[s.table - s.tables];
    std::uint32_t states[kMaxLanes];
    for (std::size_t k = 0; k < lanes; ++k) states[k] = s.high[k] * 256u + s.low[k];

    std::size_t r = 0;
    for (; r < rounds && in <= s.limit; ++r) {
        if (s.tile_left == 0) words = s.kernel_tables[enter_tile(s)];
        s.tile_left -= lanes;
        std::uint8_t* const to = out + r * lanes;
        for (std::size_t k = 0; k < lanes; ++k) {
            const std::uint32_t word = load<std::uint32_t>(words + 4 * (states[k] & 0xFF));
            std::uint32_t x = (word & 0xFF) * (states[k] >> 8) + (word >> 8 & 0xFF);
            const auto refill =
                static_cast<std::uint32_t>(static_cast<std::int32_t>(x - 256) >> 31);
            x = ((x << 8 | *in) & refill) | (x & ~refill);
            in += refill & 1;
            states[k] = x;
            if constexpr (kEscapes) {
                const std::uint32_t escaped = word >> 24;
                to[k] = static_cast<std::uint8_t>((word >> 16 & 0xFF) | (*escape & (0 - escaped)));
                escape += escaped;
            } else {
                to[k] = static_cast<std::uint8_t>(word >> 16);
            }
        }
        if (raw_bits > 0) {
            for (std::size_t k = 0; k < lanes; ++k, raw_bit += raw_bits) {
                const std::uint32_t pair = load<std::uint16_t>(raw + raw_bit / 8);
                to[k] = static_cast<std::uint8_t>(to[k] | (pair >> raw_bit % 8 & raw_mask));
            }
        }
    }
    for (std::size_t k = 0; k < lanes; ++k) {
        s.high[k] = static_cast<std::uint8_t>(states[k] >> 8);
        s.low[k] = static_cast<std::uint8_t>(states[k]);
    }
    s.in = in;
    s.escape = escape;
    s.raw = raw + raw_bit / 8;
    return r;
}

std::size_t rounds_portable(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    return s.has_escapes ? run<true>(s, out, rounds) : run<false>(s, out, rounds);
}

}  // namespace

const DecodeKernel kDecodePortable{prepare_portable, rounds_portable, 1};

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
