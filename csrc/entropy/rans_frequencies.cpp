// entropy/rans_frequencies.cpp - frequencies of a table for the symbols that it will code, in integers.
#include <algorithm>
#include <bit>

#include "entropy/rans_encode.hpp"

namespace qc::rans {

unsigned escape_bits(const Model& m) {
    const auto seen = static_cast<unsigned>(std::popcount(m.seen));
    return std::min(m.symbol_bits, m.must_escape ? m.symbol_bits : width_of(seen));
}

namespace {

constexpr std::uint64_t kOther = std::uint64_t{1} << kEscape;

// Those indices of `seen` that are worth a slot, at least one. Leaves the counts of `all`, the others' as escapes.
std::uint64_t worth_a_slot(const std::uint32_t* counts, std::uint64_t seen, std::uint64_t all, unsigned escape_bits,
                           std::uint32_t* grouped) {
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
        const bool worth = grouped[e] * std::uint64_t{177} * std::max(escape_bits, 1u) > total;
        if (worth && (seen >> e & 1) != 0) {
            kept |= std::uint64_t{1} << e;
        } else if ((kept >> e & 1) == 0) {
            grouped[kEscape] += grouped[e];
        }
    }
    return kept;
}

// What symbols with these counts take in all, in units of 2^-16 bit.
std::uint64_t total_cost(const std::uint8_t* freq, const std::uint32_t* counts, std::uint64_t kept,
                         unsigned escape_bits) {
    std::uint64_t sum = 0;
    for (std::uint64_t k = kept; k != 0; k &= k - 1) {
        const auto e = static_cast<unsigned>(std::countr_zero(k));
        sum += std::uint64_t{counts[e]} * cost_q16(freq[e]);
        if (e == kEscape) sum += std::uint64_t{counts[e]} * escape_bits * kOneBit;
    }
    return sum;
}

// Frequencies by index for symbols with these counts, index 63 for the escape. Keeps what is seen
// and worth a slot; goes without an escape where nothing needs one and that is smaller.
//   returns   bits in units of 2^-16
std::uint64_t fit_context(const std::uint32_t* counts, std::uint64_t seen, bool must_escape,
                              unsigned escape_bits, std::uint8_t* freq) {
    std::uint32_t grouped[kEntries];
    const std::uint64_t kept = worth_a_slot(counts, seen, ~std::uint64_t{0}, escape_bits, grouped);
    std::uint64_t best = ~std::uint64_t{0};
    std::fill_n(freq, kEntries, std::uint8_t{0});
    if (kept != seen || must_escape || std::popcount(kept) < 2) {
        normalise(grouped, kept | kOther, kTotal, freq);
        best = total_cost(freq, grouped, kept | kOther, escape_bits);
    }
    if (!must_escape && std::popcount(seen) >= 2) {
        std::uint8_t all[kEntries] = {};
        normalise(counts, seen, kTotal, all);
        const std::uint64_t bits = total_cost(all, counts, seen, escape_bits);
        if (bits < best) {
            best = bits;
            std::copy_n(all, kEntries, freq);
        }
    }
    return best;
}

// The same for two contexts, which have one frequency of the escape in common.
std::uint64_t fit_contexts(const std::uint32_t* counts, std::uint64_t seen, std::uint64_t odd, bool must_escape,
                           unsigned escape_bits, std::uint8_t* freq) {
    std::uint32_t grouped[2][kEntries];
    const std::uint64_t kept[2] = {worth_a_slot(counts, seen & ~odd, ~odd, escape_bits, grouped[0]),
                                   worth_a_slot(counts, seen & odd, odd & ~kOther, escape_bits, grouped[1])};
    std::uint64_t best = ~std::uint64_t{0};
    const auto attempt = [&](unsigned escapes, const std::uint64_t* used, const auto& counted) {
        std::uint8_t made[kEntries] = {};
        made[kEscape] = static_cast<std::uint8_t>(escapes);
        std::uint64_t bits = 0;
        for (unsigned c = 0; c < 2; ++c) {
            normalise(counted(c), used[c], kTotal - escapes, made);
            bits += total_cost(made, counted(c), used[c] | (escapes > 0 ? kOther : 0), escape_bits);
        }
        if (bits < best) {
            best = bits;
            std::copy_n(made, kEntries, freq);
        }
    };
    const std::uint64_t wanted[2] = {seen & ~odd, seen & odd};
    const bool two_each = std::popcount(wanted[0]) >= 2 && std::popcount(wanted[1]) >= 2;
    if (!must_escape && two_each) attempt(0, wanted, [&](unsigned) { return counts; });
    if (must_escape || !two_each || (kept[0] | kept[1]) != seen) {
        std::uint64_t rare = 0;
        std::uint64_t total = 1;
        for (unsigned c = 0; c < 2; ++c) {
            rare += grouped[c][kEscape];
            for (std::uint64_t k = kept[c] | kOther; k != 0; k &= k - 1) total += grouped[c][std::countr_zero(k)];
        }
        const auto share = static_cast<unsigned>(rare * kTotal / total);
        for (unsigned f = std::max(share, 1u); f <= share + 1; ++f) {
            attempt(std::min(f, kTotal / 2), kept, [&](unsigned c) { return grouped[c]; });
        }
    }
    return best;
}

}  // namespace

std::uint64_t fit_frequencies(const Model& m, const std::uint32_t* counts, std::uint8_t* freq) {
    return m.memory > 0 ? fit_contexts(counts, m.seen, m.odd, m.must_escape, escape_bits(m), freq)
                        : fit_context(counts, m.seen, m.must_escape, escape_bits(m), freq);
}

}  // namespace qc::rans
