#include "entropy/worth.hpp"

#include <algorithm>

#include "entropy/rans_table.hpp"

namespace qc {

bool may_pay(std::span<const std::uint8_t> symbols, unsigned bits) noexcept {
    // 32 pieces of 1024 symbols, evenly spread: rows that differ are seen, and 2^15 samples put the
    // entropy of 256 equal symbols at 7.994 bits, well above the threshold of 7.875.
    constexpr std::size_t kPiece = 1024;
    constexpr std::size_t kPieces = 32;
    if (symbols.size() < 2 * kPieces * kPiece) return true;
    std::uint32_t counts[4][256] = {};
    const std::size_t stride = symbols.size() / kPieces;
    for (std::size_t p = 0; p < kPieces; ++p) {
        const std::uint8_t* s = symbols.data() + p * stride;
        for (std::size_t i = 0; i < kPiece; i += 4) {
            for (std::size_t k = 0; k < 4; ++k) ++counts[k][s[i + k]];
        }
    }
    // Sum of c * log2(total / c), in units of 2^-16 bits.
    const std::uint32_t log_total = rans::log2_q16(kPieces * kPiece);
    std::uint64_t sum = 0;
    for (std::size_t v = 0; v < 256; ++v) {
        const std::uint32_t c = counts[0][v] + counts[1][v] + counts[2][v] + counts[3][v];
        if (c > 0) sum += static_cast<std::uint64_t>(c) * (log_total - rans::log2_q16(c));
    }
    const std::uint64_t stored = (static_cast<std::uint64_t>(bits) << 16) * kPieces * kPiece;
    return sum < stored - stored / kLeastSaving;
}

}  // namespace qc
