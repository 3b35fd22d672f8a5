// entropy/rans_table.hpp - frequency tables of the rANS coder (FORMAT.md, "rans", Tables).
//
// A table gives each of up to 63 symbols, and an escape for all others, a frequency in 1/256.
// Frequencies come from counts by integer arithmetic alone, so every machine finds the same ones.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "core/bits.hpp"
#include "core/status.hpp"

namespace qc::rans {

inline constexpr unsigned kEntries = 64;
inline constexpr unsigned kEscape = 63;  // entry of the escape; symbols have entries 0, 1, ...
inline constexpr unsigned kTotal = 256;  // sum of all frequencies
inline constexpr unsigned kMaxTables = 16;

// A slot's byte is made for look-ups that ignore bits above their index: with the half it is an index
// of base, without marks one of freq and symbol.
inline constexpr unsigned kEntryMask = 63;
inline constexpr unsigned kUpperHalf = 64;
inline constexpr unsigned kIsEscape = 128;

// Bits that tell `values` apart.
constexpr unsigned width_of(unsigned values) noexcept {
    return values < 2 ? 0 : static_cast<unsigned>(std::bit_width(values - 1));
}

struct alignas(64) Table {
    std::uint8_t slot[kTotal];       // entry that owns a slot, and marks
    std::uint8_t odd_slot[kTotal];   // the same where a trellis wants odd symbols: `slot` is for even ones
    std::uint8_t freq[kEntries];     // 0 where unused
    // Rank of a slot among its entry's slots: slot - base[slot / 128].
    std::uint8_t base[2][kEntries];
    std::uint8_t symbol[kEntries];   // ascending
};

// Sets slot and base. Entries own ranges of u = 2 * (slot % 128) + slot / 128, in order: a range in
// each half. States grow evenly then; with one range of slots each, streams are 0.2 % larger.
// With two contexts, even symbols with the escape own `slot`, odd ones with the escape `odd_slot`.
//   requires  the frequencies of each context add up to kTotal
void place_slots(Table& table, unsigned contexts) noexcept;

// Turns counts into frequencies that add up to `sum`: 1 .. 255 for entries in `used`, others are left alone.
//   requires  at least two entries used, or one and sum < kTotal
void normalise(const std::uint32_t* counts, std::uint64_t used, unsigned sum, std::uint8_t* freq) noexcept;

void put_table(BitWriter& out, const Table& table, unsigned symbol_bits, unsigned contexts) noexcept;

// Bytes that kMaxTables tables take at most.
inline constexpr std::size_t kMaxTableBytes = kMaxTables * 256;

// Reads the bit string of the tables. Past its end there are zeros; see overrun().
class TableBits {
public:
    explicit TableBits(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes) {}

    // requires  count <= 8
    std::uint32_t get(unsigned count) noexcept {
        const std::uint64_t mask = (std::uint64_t{1} << count) - 1;
        const auto v = static_cast<std::uint32_t>(bit_window(bytes_, at_) & mask);
        at_ += count;
        return v;
    }

    // Gives 0, which no gamma code stands for, where the value exceeds 511.
    std::uint32_t gamma() noexcept;

    bool overrun() const noexcept { return at_ > 8 * bytes_.size(); }
    std::size_t bytes_used() const noexcept { return bytes_for_bits(at_); }
    // requires  no overrun
    bool padding_is_zero() const noexcept {
        return at_ % 8 == 0 || bytes_[at_ / 8] >> at_ % 8 == 0;
    }

private:
    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
};

//   ensures   frequencies add up, symbols ascend and are below 2^symbol_bits
Status get_table(TableBits& in, unsigned symbol_bits, unsigned contexts, Table& table) noexcept;

// log2 of 1 .. 2^32-1 in units of 2^-16, rounded down; exact to that for arguments up to 511.
std::uint32_t log2_q16(std::uint32_t x) noexcept;

// Cost of a symbol with this frequency, in units of 2^-16 bit.
inline std::uint32_t cost_q16(unsigned freq) noexcept { return (8u << 16) - log2_q16(freq); }

}  // namespace qc::rans
