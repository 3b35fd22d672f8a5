// entropy/huffman_encode.cpp - the encoder: counts, a table that pays, then the bits.
#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/huffman_table.hpp"

namespace qc::huffman {
namespace {

// Stores of the bit loop reach this far beyond the bits written.
constexpr std::size_t kSlack = 8;

// Symbols below kSmall are counted and coded in pairs.
constexpr std::size_t kSmall = 16;

// requires  at most kBlockSymbols symbols, all below kSmall
void count_small(std::span<const std::uint8_t> symbols, Counts& counts) noexcept {
    std::array<std::uint16_t, kSmall * kSmall> lanes[4] = {};
    std::size_t i = 0;
    for (; i + 8 <= symbols.size(); i += 8) {
        std::uint64_t eight = load<std::uint64_t>(symbols.data() + i);
        eight |= eight >> 4;
        for (unsigned k = 0; k < 4; ++k) ++lanes[k][eight >> (16 * k) & 0xFF];
    }
    counts.fill(0);
    for (std::size_t pair = 0; pair < kSmall * kSmall; ++pair) {
        const std::uint32_t n = std::uint32_t{lanes[0][pair]} + lanes[1][pair] + lanes[2][pair] +
                                lanes[3][pair];
        counts[pair % kSmall] += n;
        counts[pair / kSmall] += n;
    }
    for (; i < symbols.size(); ++i) ++counts[symbols[i]];
}

void count_any(std::span<const std::uint8_t> symbols, Counts& counts) noexcept {
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

// Codes ready for the bit loops, which take four symbols, at most 44 bits, between stores.
class CodeTable {
public:
    void build(const Lengths& lengths) noexcept {
        Codes codes;
        canonical_codes(lengths, codes);
        for (std::size_t s = 0; s < 256; ++s) {
            const unsigned length = lengths[s];
            one_[s] = length == 0 ? 0 : std::uint64_t{codes[s]} << (64 - length) | length;
        }
        small_ = std::all_of(lengths.begin() + kSmall, lengths.end(),
                             [](std::uint8_t length) { return length == 0; });
        if (!small_) return;
        for (std::size_t t = 0; t < kSmall; ++t) {
            for (std::size_t s = 0; s < kSmall; ++s) {
                const std::uint32_t code = codes[s] | std::uint32_t{codes[t]} << lengths[s];
                pair_[s | t << 8] = code << 8 | (lengths[s] + std::uint32_t{lengths[t]});
            }
        }
    }

    // Returns the bytes written; touches kSlack more.
    std::size_t put(std::span<const std::uint8_t> symbols, std::uint8_t* out) const noexcept {
        return small_ ? put_small(symbols, out) : put_any(symbols, out);
    }

private:
    // Bits are held at the bottom of a word.
    std::size_t put_small(std::span<const std::uint8_t> symbols,
                          std::uint8_t* out) const noexcept {
        const std::uint8_t *const begin = out, *s = symbols.data(), *const end = s + symbols.size();
        std::uint64_t hold = 0;
        unsigned held = 0;
        const auto flush = [&]() noexcept {
            store(out, hold);
            out += held / 8;
            hold >>= held & 56;
            held %= 8;
        };
        for (; end - s >= 4; s += 4) {
            for (const std::size_t at : {0, 2}) {
                const std::uint32_t pair = pair_[load<std::uint16_t>(s + at)];
                hold |= std::uint64_t{pair >> 8} << held;
                held += pair & 0xFF;
            }
            flush();
        }
        for (; s < end; ++s) {
            hold |= one_[*s] >> (64 - (one_[*s] & 63)) << held;
            held += static_cast<unsigned>(one_[*s] & 63);
            flush();
        }
        return static_cast<std::size_t>(out - begin) + (held != 0);
    }

    // Bits are held at the top of a word; what shifts leave at the bottom never gets that far.
    std::size_t put_any(std::span<const std::uint8_t> symbols, std::uint8_t* out) const noexcept {
        const std::uint8_t *const begin = out, *s = symbols.data(), *const end = s + symbols.size();
        std::uint64_t hold = 0, held = 0;
        const auto flush = [&](std::uint64_t code, std::uint64_t length) noexcept {
            hold = hold >> (length & 63) | code;
            held = (held + length) & 63;
            store(out, hold >> (64 - held));
            out += held / 8;
            held %= 8;
        };
        for (; end - s >= 4; s += 4) {
            // Joined as a tree: one chain through all of them takes longer.
            const std::uint64_t a = one_[s[0]], b = one_[s[1]], c = one_[s[2]], d = one_[s[3]];
            const std::uint64_t ab = a >> (b & 63) | b, cd = c >> (d & 63) | d;
            flush(ab >> ((c + d) & 63) | cd, a + b + c + d);
        }
        for (; s < end; ++s) flush(one_[*s], one_[*s]);
        return static_cast<std::size_t>(out - begin) + (held != 0);
    }

    std::array<std::uint64_t, 256> one_;            // code at the top, length at the bottom
    std::array<std::uint32_t, kSmall * 256> pair_;  // of s and t, at s | t << 8: code, length
    bool small_;
};

// Interleaved segments overlap in a decoder, but each costs a length and padding, about 2.5 bytes.
// A full block has at least 8192 bytes, so it is cut into eight and their lengths fit into u16. Where it is the only
// one, there is little to overlap.
unsigned choose_streams(std::uint64_t block_bytes, bool alone) noexcept {
    const std::uint64_t bytes = alone ? block_bytes / 4 : block_bytes;
    return bytes < 1024 ? 0 : bytes < 3072 ? 1 : bytes < 8192 ? 2 : 3;
}

}  // namespace

std::size_t encode(std::span<const std::uint8_t> symbols, unsigned bits,
                   Workspace& workspace, std::span<std::uint8_t> out) {
    if (out.empty()) return 0;
    std::uint8_t* const scratch = workspace.get(
        Workspace::kCoder, kBlockSymbols * kMaxLength / 8 + kMaxSegments + kSlack);
    Lengths lengths{};
    CodeTable codes;
    Counts counts;
    std::array<std::uint8_t, kMaxTableBytes> table;
    std::size_t at = 1;
    unsigned streams = 0;

    for (std::size_t done = 0; done < symbols.size();) {
        const auto block = symbols.subspan(done, std::min(kBlockSymbols, symbols.size() - done));
        if (bits <= 4) {
            count_small(block, counts);
        } else {
            count_any(block, counts);
        }
        std::size_t table_bytes = 0;
        if (!keep_lengths(counts, lengths)) {
            table_bytes = write_table(lengths, table.data());
            codes.build(lengths);
        }
        if (done == 0) streams = choose_streams(payload_bits(counts, lengths) / 8, symbols.size() < kBlockSymbols);

        const std::size_t k = std::size_t{1} << streams, each = (block.size() + k - 1) / k;
        const std::size_t head_bytes = 1 + table_bytes + 2 * k;
        const std::size_t most = head_bytes + payload_bits(counts, lengths) / 8 + k + kSlack;
        // `out` takes segments directly while it surely has room for them.
        std::uint8_t* const segments =
            out.size() - at > most ? out.data() + at + head_bytes : scratch;
        std::array<std::uint8_t, 2 * kMaxSegments> sizes;
        std::size_t segment_bytes = 0;
        for (std::size_t i = 0; i < k; ++i) {
            const std::size_t first = std::min(i * each, block.size());
            const auto part = block.subspan(first, std::min(each, block.size() - first));
            const std::size_t size = codes.put(part, segments + segment_bytes);
            store(sizes.data() + 2 * i, static_cast<std::uint16_t>(size));
            segment_bytes += size;
        }
        if (out.size() - at <= head_bytes + segment_bytes) return 0;
        std::uint8_t* const head = out.data() + at;
        head[0] = table_bytes != 0;
        std::memcpy(head + 1, table.data(), table_bytes);
        std::memcpy(head + 1 + table_bytes, sizes.data(), 2 * k);
        if (segments == scratch) std::memcpy(head + head_bytes, scratch, segment_bytes);
        at += head_bytes + segment_bytes;
        done += block.size();
    }
    out[0] = static_cast<std::uint8_t>(streams);
    return at;
}

}  // namespace qc::huffman
