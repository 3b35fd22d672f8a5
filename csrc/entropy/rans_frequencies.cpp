// entropy/rans_frequencies.cpp - frequencies of a table for the symbols that it will code, in integers.
#include <algorithm>
#include <bit>

#include "entropy/rans_encode.hpp"

namespace qc::rans {

namespace {

// Of so many escapes each is stored in a byte (plan_escapes).
bool are_many(std::uint64_t escapes, std::uint64_t symbols) { return escapes > symbols / 64; }

}  // namespace

unsigned escape_bits(const Model& m) {
    constexpr unsigned kRanked = 3;
    if (m.by_rank) return std::min(m.symbol_bits, kRanked);
    const auto seen = static_cast<unsigned>(std::popcount(m.seen));
    return std::min(m.symbol_bits, m.must_escape ? m.symbol_bits : width_of(seen));
}

std::uint64_t escapes_cost(const std::uint32_t* escaped, std::uint64_t symbols, unsigned symbol_bits) {
    std::uint32_t rare[kEscape];
    std::copy_n(escaped, kEscape, rare);
    std::uint64_t escapes = escaped[kEscape];
    for (const std::uint32_t count : rare) escapes += count;
    if (are_many(escapes, symbols)) return escapes * 8 * kOneBit;
    std::sort(rare, rare + kEscape, std::greater<>());
    std::uint64_t least = ~std::uint64_t{0};
    for (unsigned order = 1; order < 4; ++order) least = std::min(least, ranked_bits(rare, kEscape, order));
    return (least + std::uint64_t{escaped[kEscape]} * symbol_bits) * kOneBit;
}

namespace {

constexpr std::uint64_t kOther = std::uint64_t{1} << kEscape;

// Those indices of `seen` that are worth a slot, at least one. Leaves the counts of `all`, the others' as escapes.
std::uint64_t worth_a_slot(const Model& m, const std::uint32_t* counts, std::uint64_t seen, std::uint64_t all,
                           unsigned bits, std::uint32_t* grouped) {
    std::uint64_t total = 0;
    auto most = static_cast<unsigned>(std::countr_zero(seen | kOther >> 1));
    for (unsigned e = 0; e < kEntries; ++e) {
        grouped[e] = (all >> e & 1) != 0 ? counts[e] : 0;
        total += grouped[e];
        if ((seen >> e & 1) != 0 && counts[e] > counts[most]) most = e;
    }
    // A slot costs the others total * log2(256 / 255) bits, about total / 177.
    std::uint64_t kept = std::uint64_t{1} << most;
    for (unsigned e = 0; e < kEscape; ++e) {
        const bool worth = grouped[e] * std::uint64_t{177} * std::max(bits, 1u) > total;
        if (worth && (seen >> e & 1) != 0) {
            kept |= std::uint64_t{1} << e;
        } else if ((kept >> e & 1) == 0) {
            grouped[kEscape] += grouped[e];
        }
    }
    const bool in_bytes = m.by_rank && bits < 8 && are_many(grouped[kEscape], total);
    return in_bytes ? worth_a_slot(m, counts, seen, all, 8, grouped) : kept;
}

// What the slots of symbols with these counts take in all, in units of 2^-16 bit.
std::uint64_t slots_cost(const std::uint8_t* freq, const std::uint32_t* counts, std::uint64_t used) {
    std::uint64_t sum = 0;
    for (; used != 0; used &= used - 1) {
        const auto e = static_cast<unsigned>(std::countr_zero(used));
        sum += std::uint64_t{counts[e]} * cost_q16(freq[e]);
    }
    return sum;
}

// What those of these symbols that are not kept take beyond their slots.
std::uint64_t escapes_cost_of(const Model& m, const std::uint32_t* counts, std::uint64_t kept) {
    std::uint32_t escaped[kEntries];
    std::uint64_t escapes = 0;
    std::uint64_t total = 0;
    for (unsigned e = 0; e < kEntries; ++e) {
        total += counts[e];
        escaped[e] = (kept >> e & 1) != 0 ? 0 : counts[e];
        escapes += escaped[e];
    }
    return m.by_rank ? escapes_cost(escaped, total, m.symbol_bits) : escapes * escape_bits(m) * kOneBit;
}

// Frequencies by index for symbols with these counts, index 63 for the escape. Keeps what is seen
// and worth a slot; goes without an escape where nothing needs one and that is smaller.
//   returns   bits in units of 2^-16
std::uint64_t fit_context(const Model& m, const std::uint32_t* counts, std::uint8_t* freq) {
    std::uint32_t grouped[kEntries];
    std::uint64_t best = ~std::uint64_t{0};
    const auto attempt = [&](const std::uint32_t* counted, std::uint64_t used, std::uint64_t escaped) {
        std::uint8_t made[kEntries] = {};
        normalise(counted, used, kTotal, made);
        const std::uint64_t bits = slots_cost(made, counted, used) + escaped;
        if (bits >= best) return;
        best = bits;
        std::copy_n(made, kEntries, freq);
    };
    std::uint64_t before = 0;
    for (unsigned bits = escape_bits(m); bits + 2 > escape_bits(m); --bits) {
        const std::uint64_t kept = worth_a_slot(m, counts, m.seen, ~std::uint64_t{0}, bits, grouped);
        if (kept == before) break;
        before = kept;
        if (kept != m.seen || m.must_escape || std::popcount(kept) < 2) {
            attempt(grouped, kept | kOther, escapes_cost_of(m, counts, kept));
        }
        if (bits == 0 || !m.by_rank) break;
    }
    if (!m.must_escape && std::popcount(m.seen) >= 2) attempt(counts, m.seen, 0);
    return best;
}

// The same for two contexts, which have one frequency of the escape in common.
std::uint64_t fit_contexts(const Model& m, const std::uint32_t* counts, std::uint8_t* freq) {
    std::uint32_t grouped[2][kEntries];
    std::uint64_t best = ~std::uint64_t{0};
    const auto attempt = [&](unsigned escapes, const std::uint64_t* used, const auto& counted, std::uint64_t escaped) {
        std::uint8_t made[kEntries] = {};
        made[kEscape] = static_cast<std::uint8_t>(escapes);
        std::uint64_t bits = escaped;
        for (unsigned c = 0; c < 2; ++c) {
            normalise(counted(c), used[c], kTotal - escapes, made);
            bits += slots_cost(made, counted(c), used[c] | (escapes > 0 ? kOther : 0));
        }
        if (bits >= best) return;
        best = bits;
        std::copy_n(made, kEntries, freq);
    };
    const std::uint64_t wanted[2] = {m.seen & ~m.odd, m.seen & m.odd};
    const bool two_each = std::popcount(wanted[0]) >= 2 && std::popcount(wanted[1]) >= 2;
    if (!m.must_escape && two_each) attempt(0, wanted, [&](unsigned) { return counts; }, 0);
    std::uint64_t before = 0;
    for (unsigned bits = escape_bits(m); bits + 2 > escape_bits(m); --bits) {
        const std::uint64_t kept[2] = {worth_a_slot(m, counts, wanted[0], ~m.odd, bits, grouped[0]),
                                       worth_a_slot(m, counts, wanted[1], m.odd & ~kOther, bits, grouped[1])};
        const std::uint64_t both = kept[0] | kept[1];
        if (both == before || (!m.must_escape && two_each && both == m.seen)) break;
        before = both;
        std::uint64_t rare = 0;
        std::uint64_t total = 1;
        for (unsigned c = 0; c < 2; ++c) {
            rare += grouped[c][kEscape];
            for (std::uint64_t k = kept[c] | kOther; k != 0; k &= k - 1) total += grouped[c][std::countr_zero(k)];
        }
        const std::uint64_t escaped = escapes_cost_of(m, counts, both);
        const auto share = static_cast<unsigned>(rare * kTotal / total);
        for (unsigned f = std::max(share, 1u); f <= share + 1; ++f) {
            attempt(std::min(f, kTotal / 2), kept, [&](unsigned c) { return grouped[c]; }, escaped);
        }
        if (bits == 0 || !m.by_rank) break;
    }
    return best;
}

}  // namespace

std::uint64_t fit_frequencies(const Model& m, const std::uint32_t* counts, std::uint8_t* freq) {
    return m.memory > 0 ? fit_contexts(m, counts, freq) : fit_context(m, counts, freq);
}

}  // namespace qc::rans
