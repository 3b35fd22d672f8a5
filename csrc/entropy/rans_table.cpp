#include "entropy/rans_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace qc::rans {
namespace {

// log2(1 + m / 256) in units of 2^-16, by repeated squaring.
constexpr std::array<std::uint16_t, 256> make_logs() {
    std::array<std::uint16_t, 256> logs{};
    for (std::uint64_t m = 0; m < 256; ++m) {
        std::uint64_t y = (256 + m) << 23;  // 1 <= y < 2 in units of 2^-31
        std::uint32_t log = 0;
        for (int k = 0; k < 16; ++k) {
            y = (y * y) >> 31;
            log <<= 1;
            if (y >> 32 != 0) {
                log |= 1;
                y >>= 1;
            }
        }
        logs[m] = static_cast<std::uint16_t>(log);
    }
    return logs;
}

constexpr std::array<std::uint16_t, 256> kLogs = make_logs();

constexpr std::uint32_t log_of(std::uint32_t x) {
    const auto e = static_cast<unsigned>(std::bit_width(x)) - 1;
    const std::uint32_t m = e >= 8 ? x >> (e - 8) : x << (8 - e);
    return (e << 16) + kLogs[m & 0xFF];
}

// What one more slot saves a symbol that has f already; nothing where it has all that it can.
constexpr std::array<std::uint32_t, kTotal> make_gains() {
    std::array<std::uint32_t, kTotal> gains{};
    for (std::uint32_t f = 1; f < 255; ++f) gains[f] = log_of(f + 1) - log_of(f);
    return gains;
}

constexpr std::array<std::uint32_t, kTotal> kGains = make_gains();

// The order of the Exp-Golomb code of a frequency follows the frequency before it.
constexpr unsigned kFirstPrevious = 8;

unsigned order_after(unsigned previous) noexcept {
    return previous == 0 ? 0 : static_cast<unsigned>(std::bit_width(previous)) - 1;
}

void put_gamma(BitWriter& out, std::uint32_t v) noexcept {
    const auto k = static_cast<unsigned>(std::bit_width(v)) - 1;
    out.put(std::uint32_t{1} << k, k + 1);
    out.put(v ^ (std::uint32_t{1} << k), k);
}

}  // namespace

std::uint32_t TableBits::gamma() noexcept {
    const std::uint64_t word = bit_window(bytes_, at_);
    const auto k = static_cast<unsigned>(std::countr_zero(word | std::uint64_t{1} << 9));
    if (k > 8) {
        at_ += 9;  // past the end, if that is where the zeros come from: overrun() tells
        return 0;
    }
    at_ += 2 * k + 1;
    const std::uint64_t mask = (std::uint64_t{1} << k) - 1;
    return (std::uint32_t{1} << k) + static_cast<std::uint32_t>(word >> (k + 1) & mask);
}

std::uint32_t log2_q16(std::uint32_t x) noexcept { return log_of(x); }

namespace {

// Slots of the escape and of symbols of which those bits that are in `mask` are `bits`.
void place_context(Table& table, unsigned mask, unsigned bits, std::uint8_t* slot) noexcept {
    // Runs are filled sixteen slots at a time; what is too much, later runs overwrite.
    std::uint8_t lower_half[256];
    std::uint8_t upper_half[256];
    unsigned first = 0;
    for (unsigned e = 0; e < kEntries; ++e) {
        if (table.freq[e] == 0 || (e != kEscape && (table.symbol[e] & mask) != bits)) continue;
        const unsigned end = first + table.freq[e];
        const unsigned lower = (end + 1) / 2 - (first + 1) / 2;
        table.base[0][e] = static_cast<std::uint8_t>((first + 1) / 2);
        table.base[1][e] = static_cast<std::uint8_t>(128 + first / 2 - lower);
        const unsigned owner = e == kEscape ? e | kIsEscape : e;
        for (unsigned k = 0; k < table.freq[e] / 2 + 1u; k += 16) {
            std::memset(lower_half + (first + 1) / 2 + k, static_cast<int>(owner), 16);
            std::memset(upper_half + first / 2 + k, static_cast<int>(owner | kUpperHalf), 16);
        }
        first = end;
    }
    std::memcpy(slot, lower_half, 128);
    std::memcpy(slot + 128, upper_half, 128);
}

}  // namespace

void place_slots(Table& table, unsigned contexts) noexcept {
    const unsigned mask = contexts - 1;
    place_context(table, mask, 0, table.slot);
    if (mask != 0) place_context(table, mask, 1, table.odd_slot);
}

void normalise(const std::uint32_t* counts, std::uint64_t used, unsigned sum, std::uint8_t* freq) noexcept {
    unsigned entry[kEntries];
    unsigned n = 0;
    std::uint64_t total = 0;
    for (; used != 0; used &= used - 1) {
        entry[n] = static_cast<unsigned>(std::countr_zero(used));
        total += counts[entry[n++]];
    }
    if (total == 0) total = 1;
    unsigned given = 0;
    for (unsigned k = 0; k < n; ++k) {
        const std::uint64_t share = counts[entry[k]] * std::uint64_t{sum} / total;
        const auto f = static_cast<unsigned>(share < 1 ? 1 : share > 255 ? 255 : share);
        freq[entry[k]] = static_cast<std::uint8_t>(f);
        given += f;
    }
    // One by one, to the entry that gains most or from the one that loses least.
    std::uint64_t change[kEntries];
    const auto gain = [&](unsigned k) {
        return (counts[entry[k]] + std::uint64_t{1}) * kGains[freq[entry[k]]];
    };
    const auto loss = [&](unsigned k) {
        const unsigned f = freq[entry[k]];
        return f < 2 ? ~std::uint64_t{0} : (counts[entry[k]] + std::uint64_t{1}) * kGains[f - 1];
    };
    if (given < sum) {
        for (unsigned k = 0; k < n; ++k) change[k] = gain(k);
    } else {
        for (unsigned k = 0; k < n; ++k) change[k] = loss(k);
    }
    for (; given < sum; ++given) {
        const auto k = static_cast<unsigned>(std::max_element(change, change + n) - change);
        ++freq[entry[k]];
        change[k] = gain(k);
    }
    for (; given > sum; --given) {
        const auto k = static_cast<unsigned>(std::min_element(change, change + n) - change);
        --freq[entry[k]];
        change[k] = loss(k);
    }
}

void put_table(BitWriter& out, const Table& table, unsigned symbol_bits, unsigned contexts) noexcept {
    unsigned left = contexts * (kTotal - table.freq[kEscape]);
    unsigned previous = kFirstPrevious;
    unsigned symbol = table.symbol[0];
    put_gamma(out, table.freq[kEscape] + 1u);
    out.put(symbol, symbol_bits);
    for (unsigned e = 0; left > 0; ++e) {
        if (table.symbol[e] != symbol) {
            const unsigned zeros = table.symbol[e] - symbol;
            const unsigned order = order_after(previous);
            put_gamma(out, 1);
            out.put(0, order);
            put_gamma(out, zeros);
            previous = 0;
        }
        const unsigned f = table.freq[e];
        const unsigned order = order_after(previous);
        put_gamma(out, (f >> order) + 1);
        out.put(f & ((1u << order) - 1), order);
        previous = f;
        left -= f;
        symbol = table.symbol[e] + 1u;
    }
}

Status get_table(TableBits& in, unsigned symbol_bits, unsigned contexts, Table& table) noexcept {
    const char* const kRange = "rans: symbol or frequency of a table out of range";
    std::memset(&table, 0, sizeof table);
    const std::uint32_t escape = in.gamma();
    if (escape < 1 || escape > kTotal) return corrupt(kRange);
    table.freq[kEscape] = static_cast<std::uint8_t>(escape - 1);

    const unsigned each = kTotal - (escape - 1);
    unsigned left[2] = {each, contexts > 1 ? each : 0};
    unsigned previous = kFirstPrevious;
    unsigned n = 0;
    for (unsigned symbol = in.get(symbol_bits); left[0] + left[1] > 0;) {
        const unsigned order = order_after(previous);
        const std::uint32_t high = in.gamma();
        if (high == 0 || high > kTotal || in.overrun()) return corrupt(kRange);
        const std::uint32_t f = ((high - 1) << order) + in.get(order);
        if (f == 0) {
            const std::uint32_t zeros = in.gamma();
            if (zeros == 0 || n == 0 || previous == 0) return corrupt(kRange);
            symbol += zeros;
        } else {
            unsigned& of_context = left[symbol & (contexts - 1)];
            if (f > of_context || f > 255) return corrupt("rans: frequencies do not add up to 256");
            if (n == kEscape || symbol >> symbol_bits != 0) return corrupt(kRange);
            table.freq[n] = static_cast<std::uint8_t>(f);
            table.symbol[n++] = static_cast<std::uint8_t>(symbol++);
            of_context -= f;
        }
        previous = f;
    }
    if (in.overrun()) return corrupt(kRange);
    place_slots(table, contexts);
    return kOkStatus;
}

}  // namespace qc::rans
