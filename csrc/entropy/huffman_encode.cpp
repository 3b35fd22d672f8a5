// entropy/huffman_encode.cpp - the encoder: counts, a table that pays, then the bits.
#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/huffman_table.hpp"

namespace qc::huffman {
namespace {

// Stores of the bit loop reach this far beyond the bits written.
constexpr std::size_t kSlack = 8;

void count_symbols(std::span<const std::uint8_t> symbols, Counts& counts) noexcept {
    Counts lanes[4] = {};
    std::size_t i = 0;
    for (; i + 8 <= symbols.size(); i += 8) {
        const std::uint64_t eight = load<std::uint64_t>(symbols.data() + i);
        for (unsigned k = 0; k < 8; ++k) ++lanes[k % 4][eight >> (8 * k) & 0xFF];
    }
    for (; i < symbols.size(); ++i) ++lanes[0][symbols[i]];
    for (std::size_t s = 0; s < 256; ++s) {
        counts[s] = lanes[0][s] + lanes[1][s] + lanes[2][s] + lanes[3][s];
    }
}

// Returns the bytes written; touches kSlack more.
std::size_t put_segment(std::span<const std::uint8_t> symbols, const Lengths& lengths,
                        const Codes& codes, std::uint8_t* out) noexcept {
    std::uint8_t* const begin = out;
    std::uint64_t hold = 0;
    unsigned held = 0;
    for (const std::uint8_t s : symbols) {
        hold |= std::uint64_t{codes[s]} << held;
        held += lengths[s];
        if (held >= 32) {
            store(out, static_cast<std::uint32_t>(hold));
            out += 4;
            hold >>= 32;
            held -= 32;
        }
    }
    store(out, hold);
    return static_cast<std::size_t>(out - begin) + (held + 7) / 8;
}

// Interleaved segments overlap in a decoder, but each costs a length and padding, about 2.5 bytes.
unsigned choose_streams(std::uint64_t block_bytes) noexcept {
    return block_bytes < 1024 ? 0 : block_bytes < 3072 ? 1 : block_bytes < 8192 ? 2 : 3;
}

}  // namespace

std::size_t encode(std::span<const std::uint8_t> symbols, [[maybe_unused]] unsigned bits,
                   Workspace& workspace, std::span<std::uint8_t> out) {
    std::uint8_t* const segments = workspace.get(
        Workspace::kCoder, kBlockSymbols * kMaxLength / 8 + 8 + kSlack);
    Lengths lengths, fresh;
    Codes codes;
    Counts counts;
    std::array<std::uint8_t, kMaxTableBytes> table;
    std::size_t at = 1;
    unsigned streams = 0;

    for (std::size_t done = 0; done < symbols.size();) {
        const auto block = symbols.subspan(done, std::min(kBlockSymbols, symbols.size() - done));
        count_symbols(block, counts);
        choose_lengths(counts, fresh);
        std::size_t table_bytes = write_table(fresh, table.data());
        const std::uint64_t fresh_bits = payload_bits(counts, fresh) + 8 * table_bytes;
        bool keep = done > 0;
        for (std::size_t s = 0; s < 256; ++s) keep = keep && (counts[s] == 0 || lengths[s] != 0);
        // A new table costs a reader time, so it must save a five-hundredth.
        if (keep && payload_bits(counts, lengths) * 499 <= fresh_bits * 500) {
            table_bytes = 0;
        } else {
            lengths = fresh;
            canonical_codes(lengths, codes);
        }
        if (done == 0) streams = choose_streams(fresh_bits / 8);

        const std::size_t k = std::size_t{1} << streams, each = (block.size() + k - 1) / k;
        std::array<std::uint8_t, 16> sizes;
        std::size_t total = 0;
        for (std::size_t i = 0; i < k; ++i) {
            const std::size_t first = std::min(i * each, block.size());
            const auto part = block.subspan(first, std::min(each, block.size() - first));
            const std::size_t size = put_segment(part, lengths, codes, segments + total);
            store(sizes.data() + 2 * i, static_cast<std::uint16_t>(size));
            total += size;
        }
        if (out.size() - at <= 1 + table_bytes + 2 * k + total) return 0;
        out[at++] = table_bytes != 0;
        std::memcpy(out.data() + at, table.data(), table_bytes);
        std::memcpy(out.data() + at + table_bytes, sizes.data(), 2 * k);
        std::memcpy(out.data() + at + table_bytes + 2 * k, segments, total);
        at += table_bytes + 2 * k + total;
        done += block.size();
    }
    out[0] = static_cast<std::uint8_t>(streams);
    return at;
}

}  // namespace qc::huffman
