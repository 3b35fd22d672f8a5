// entropy/huffman.cpp - canonical Huffman codes in up to eight interleaved segments: the decoder.
//
// A lookup of kMaxLength bits yields one symbol, or all whole symbols among them where those are
// many. Segments are independent, so the loop walks all of them in step and the CPU overlaps their
// lookups; it is as fast without BMI2, so there is one variant. The loop checks nothing: it runs as
// many rounds as the input and output of every segment survive. The ends of segments go through a
// checked loop, symbol by symbol. A block decodes whole, into the state.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>
#include <new>

#include "core/bytes.hpp"
#include "entropy/coder.hpp"
#include "entropy/huffman_table.hpp"

namespace qc::huffman {
namespace {

// A load gives at least 57 bits of a segment, below a marker: five lookups.
constexpr std::size_t kLookups = 5;
constexpr std::size_t kLoadBytes = 8;
constexpr std::size_t kMaxAdvance = 7;  // bytes that a started byte and five lookups step over

// Outputs at equal places modulo 4096 would compete for the same lines of L1, so segments of whole
// kBlocks lie this much apart. Segments of a shorter block lie end to end, as `next` needs them.
constexpr std::size_t kGap = 512;

// Many symbols per lookup need a table that takes about as long as decoding so many symbols.
constexpr std::size_t kManyFrom = 8192;

struct Segment {
    const std::uint8_t* in;
    std::uint8_t* out;
    unsigned used_bits;  // of *in, 0..7
    const std::uint8_t* in_end;
    std::uint8_t* out_end;

    std::size_t in_left() const noexcept { return static_cast<std::size_t>(in_end - in); }
    std::size_t out_left() const noexcept { return static_cast<std::size_t>(out_end - out); }
};

// One symbol per lookup: bits 0..7 code bits, bits 8..15 the symbol.
struct OneTable {
    static constexpr std::size_t kMaxSymbols = 1;
    static constexpr std::size_t kStoreBytes = 1;

    std::array<std::uint16_t, kTableEntries> entries;

    void look_up(std::uint64_t& window, std::uint8_t*& out) const noexcept {
        const unsigned entry = entries[window % kTableEntries];
        *out++ = static_cast<std::uint8_t>(entry >> 8);
        window >>= entry & 63;
    }
};

// Up to six symbols per lookup: bits 0..7 code bits, bits 8..15 their number, then the symbols.
struct ManyTable {
    static constexpr std::size_t kMaxSymbols = 6;
    static constexpr std::size_t kStoreBytes = 8;

    std::array<std::uint64_t, kTableEntries> entries;

    void look_up(std::uint64_t& window, std::uint8_t*& out) const noexcept {
        const std::uint64_t entry = entries[window % kTableEntries];
        store(out, entry >> 16);
        out += entry >> 8 & 0xFF;
        window >>= entry & 63;
    }
};

struct State {
    alignas(64) ManyTable many;
    OneTable one;
    std::array<std::uint8_t, kBlockSymbols + (kMaxSegments - 1) * kGap> symbols;
    Lengths lengths;
    std::array<Segment, kMaxSegments> segments;

    std::span<const std::uint8_t> payload;
    std::size_t at;         // in the payload: end of the current block
    std::size_t left;       // symbols after the current block
    std::size_t block;      // symbols of the current block
    std::size_t block_left; // of them, not handed out yet
    std::size_t each;       // symbols of a segment, at most
    std::size_t gap;        // between segments in `symbols`
    unsigned bits;
    unsigned streams;
    bool have_table;        // `lengths` are those of a block
    bool tables_built;      // `one`, and `many` where it is used, are those of `lengths`
    bool use_many;
    bool decoded;           // `symbols` are those of the current block
};

// Whether lookups of several symbols pay for a slower loop and a table more.
bool many_pays(const Lengths& lengths, std::size_t n_symbols) noexcept {
    std::array<std::size_t, kMaxLength + 1> with_length{};
    for (const std::uint8_t length : lengths) ++with_length[length];
    std::array<std::size_t, kMaxLength + 1> found{};  // symbols in all strings of so many bits
    for (std::size_t bits = 1; bits <= kMaxLength; ++bits) {
        for (std::size_t length = 1; length <= bits; ++length) {
            const std::size_t rest = bits - length;
            found[bits] += with_length[length] * ((std::size_t{1} << rest) + found[rest]);
        }
    }
    return n_symbols >= kManyFrom && found[kMaxLength] * 10 >= kTableEntries * 13;
}

// A string of bits is a code and the rest of the string, so tables of shorter strings come first.
void build_many(const Lengths& lengths, const Codes& codes, const OneTable& one,
                ManyTable& many) noexcept {
    std::array<std::uint8_t, 256> coded;
    std::size_t n_coded = 0;
    for (std::size_t s = 0; s < 256; ++s) {
        if (lengths[s] != 0) coded[n_coded++] = static_cast<std::uint8_t>(s);
    }
    std::array<std::uint64_t, kTableEntries> shorter;  // strings of b bits from 2^b on
    for (unsigned bits = 0; bits <= kMaxLength; ++bits) {
        std::uint64_t* const entries =
            bits == kMaxLength ? many.entries.data() : shorter.data() + (std::size_t{1} << bits);
        std::fill_n(entries, std::size_t{1} << bits, 0);
        for (std::size_t k = 0; k < n_coded; ++k) {
            const std::uint64_t symbol = coded[k];
            const unsigned length = lengths[symbol];
            if (length > bits) continue;
            const std::size_t rest = std::size_t{1} << (bits - length);
            const std::uint64_t first = symbol << 16 | 1 << 8 | length;
            for (std::size_t i = 0; i < rest; ++i) {
                const std::uint64_t then = shorter[rest + i];
                entries[codes[symbol] + (i << length)] =
                    (then >> 16 << 24) + (then & 0xFFFF) + first;
            }
        }
    }
    // With a code of one bit, entries may have counted symbols for which they had no place.
    for (std::size_t i = 0; i < kTableEntries; ++i) {
        std::uint64_t& entry = many.entries[i];
        if ((entry >> 8 & 0xFF) <= ManyTable::kMaxSymbols) continue;
        unsigned used = 0;
        for (std::size_t n = 0; n < ManyTable::kMaxSymbols; ++n) {
            used += one.entries[i >> used] & 0xFF;
        }
        entry = entry >> 16 << 16 | ManyTable::kMaxSymbols << 8 | used;
    }
}

void build_tables(State& s) noexcept {
    Codes codes;
    canonical_codes(s.lengths, codes);
    for (std::size_t symbol = 0; symbol < 256; ++symbol) {
        const unsigned length = s.lengths[symbol];
        if (length == 0) continue;
        for (std::size_t i = codes[symbol]; i < kTableEntries; i += std::size_t{1} << length) {
            s.one.entries[i] = static_cast<std::uint16_t>(symbol << 8 | length);
        }
    }
    s.use_many = many_pays(s.lengths, s.block + s.left);
    if (s.use_many) build_many(s.lengths, codes, s.one, s.many);
    s.tables_built = true;
}

// Output that a round may touch beyond `out`.
template <class Table>
constexpr std::size_t kReach = (kLookups - 1) * Table::kMaxSymbols + Table::kStoreBytes;

// The rounds that a segment survives; `end` is the end of the payload.
template <class Table>
std::size_t safe_rounds(const Segment& segment, const std::uint8_t* end) noexcept {
    constexpr std::size_t kMost = kLookups * Table::kMaxSymbols;
    const std::size_t out = segment.out_left();
    const auto in = static_cast<std::size_t>(end - segment.in);
    if (out < kReach<Table> || in < kLoadBytes) return 0;
    return std::min((out - kReach<Table>) / kMost, (in - kLoadBytes) / kMaxAdvance) + 1;
}

// Zeros enter above this bit as codes leave below: counting them tells what five lookups used.
constexpr std::uint64_t kMarker = std::uint64_t{1} << 63;

// Five lookups in each segment.
//   requires  safe_rounds of each segment > 0
template <std::size_t kSegments, class Table>
inline void run_round(const Table& table, Segment* segments) noexcept {
    std::uint64_t window[kSegments];
    std::uint8_t* out[kSegments];
    for (std::size_t k = 0; k < kSegments; ++k) {
        window[k] = load<std::uint64_t>(segments[k].in) >> segments[k].used_bits | kMarker;
        out[k] = segments[k].out;
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kLookups; ++i) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < kSegments; ++k) table.look_up(window[k], out[k]);
    }
    for (std::size_t k = 0; k < kSegments; ++k) {
        // The 1 is below the marker; it tells the compiler that there is no zero to test for.
        const auto looked_up = static_cast<unsigned>(std::countl_zero(window[k] | 1));
        const unsigned used = segments[k].used_bits + looked_up;
        segments[k].in += used / 8;
        segments[k].used_bits = used % 8;
        segments[k].out = out[k];
    }
}

// Leaves less than kReach of output, or kLoadBytes of input, to each segment.
template <std::size_t kSegments, class Table>
void run_segments(const Table& table, Segment* segments, const std::uint8_t* end) noexcept {
    for (;;) {
        std::size_t rounds = std::numeric_limits<std::size_t>::max();
        for (std::size_t k = 0; k < kSegments; ++k) {
            rounds = std::min(rounds, safe_rounds<Table>(segments[k], end));
        }
        if (rounds == 0) break;
        for (; rounds > 0; --rounds) run_round<kSegments>(table, segments);
    }
    for (bool more = true; more;) {
        more = false;
        for (std::size_t k = 0; k < kSegments; ++k) {
            if (safe_rounds<Table>(segments[k], end) == 0) continue;
            run_round<1>(table, segments + k);
            more = true;
        }
    }
}

// The rest of a segment, checked. False where it does not end with its symbols.
//   requires  segment.in <= end, the end of the payload
bool finish_segment(const OneTable& table, Segment& segment, const std::uint8_t* end) noexcept {
    while (segment.out < segment.out_end) {
        if (segment.in >= segment.in_end) return false;
        std::uint64_t window = 0;
        std::memcpy(&window, segment.in,
                    std::min(kLoadBytes, static_cast<std::size_t>(end - segment.in)));
        window = window >> segment.used_bits | kMarker;
        const std::size_t n = std::min(kLookups, segment.out_left());
        for (std::size_t i = 0; i < n; ++i) table.look_up(window, segment.out);
        const unsigned used = segment.used_bits + static_cast<unsigned>(std::countl_zero(window));
        if (segment.in_left() < used / 8) return false;
        segment.in += used / 8;
        segment.used_bits = used % 8;
    }
    if (segment.used_bits == 0) return segment.in == segment.in_end;
    return segment.in + 1 == segment.in_end && *segment.in >> segment.used_bits == 0;
}

template <class Table>
void run_block(const Table& table, State& s) noexcept {
    Segment* const segments = s.segments.data();
    const std::uint8_t* const end = s.payload.data() + s.payload.size();
    switch (s.streams) {
        case 0: return run_segments<1>(table, segments, end);
        case 1: return run_segments<2>(table, segments, end);
        case 2: return run_segments<4>(table, segments, end);
        default: return run_segments<8>(table, segments, end);
    }
}

Status decode_block(State& s) noexcept {
    if (!s.tables_built) build_tables(s);
    if (s.use_many) {
        run_block(s.many, s);
    } else {
        run_block(s.one, s);
    }
    for (std::size_t k = 0; k < std::size_t{1} << s.streams; ++k) {
        Segment& segment = s.segments[k];
        if (!finish_segment(s.one, segment, s.payload.data() + s.payload.size())) {
            return corrupt("huffman: a segment does not end with its symbols",
                           static_cast<std::size_t>(segment.in - s.payload.data()));
        }
    }
    s.decoded = true;
    return kOkStatus;
}

// Reads flag, table and lengths of the next block; `at` moves behind its segments.
Status begin_block(State& s) noexcept {
    std::size_t at = s.at;
    const auto left = [&]() noexcept { return s.payload.size() - at; };
    if (left() == 0) return truncated("huffman: block", at);
    const std::uint8_t flag = s.payload[at++];
    if (flag > 1 || (flag == 0 && !s.have_table)) return corrupt("huffman: table flag", at - 1);
    if (flag == 1) {
        s.have_table = s.tables_built = false;
        std::size_t used = 0;
        if (Status status = read_table(s.payload.subspan(at), s.bits, s.lengths, used);
            !status.ok()) {
            status.at += at;
            return status;
        }
        s.have_table = true;
        at += used;
    }

    const std::size_t k = std::size_t{1} << s.streams;
    const std::size_t block = std::min(s.left, kBlockSymbols), each = (block + k - 1) / k;
    const std::size_t gap = each % kBlock == 0 ? kGap : 0;
    if (left() < 2 * k) return truncated("huffman: lengths of segments", at);
    const std::uint8_t* sizes = s.payload.data() + at;
    at += 2 * k;
    for (std::size_t i = 0; i < k; ++i, sizes += 2) {
        const std::size_t size = load<std::uint16_t>(sizes);
        if (left() < size) return truncated("huffman: segment", at);
        const std::uint8_t* const in = s.payload.data() + at;
        at += size;
        std::uint8_t* const out = s.symbols.data() + i * gap;
        s.segments[i] = {in, out + std::min(i * each, block), 0, in + size,
                         out + std::min((i + 1) * each, block)};
    }
    s.at = at;
    s.left -= block;
    s.block = s.block_left = block;
    s.each = each;
    s.gap = gap;
    s.decoded = false;
    return kOkStatus;
}

Status open(void* state, std::span<const std::uint8_t> payload, std::size_t count,
            unsigned bits) noexcept {
    State& s = *new (state) State;
    s.payload = payload;
    s.left = count;
    s.at = 1;
    s.block = s.block_left = 0;
    s.bits = bits;
    s.have_table = s.tables_built = s.decoded = false;
    if (payload.empty()) return truncated("huffman: number of segments");
    s.streams = payload[0];
    if (s.streams > kMaxStreams) return corrupt("huffman: number of segments");
    return kOkStatus;
}

Status next(void* state, std::size_t n, const std::uint8_t** symbols) noexcept {
    State& s = *static_cast<State*>(state);
    assert(n > 0 && n <= s.block_left + s.left);
    if (s.block_left == 0) QC_TRY(begin_block(s));
    if (!s.decoded) QC_TRY(decode_block(s));
    assert(n <= s.block_left);
    const std::size_t first = s.block - s.block_left;
    *symbols = s.symbols.data() + first + first / s.each * s.gap;
    s.block_left -= n;
    return kOkStatus;
}

Status skip(void* state, std::size_t n) noexcept {
    State& s = *static_cast<State*>(state);
    assert(n <= s.block_left + s.left);
    while (n > 0) {
        if (s.block_left == 0) QC_TRY(begin_block(s));
        const std::size_t step = std::min(n, s.block_left);
        s.block_left -= step;
        n -= step;
    }
    return kOkStatus;
}

Status finish(void* state) noexcept {
    const State& s = *static_cast<const State*>(state);
    if (s.at != s.payload.size()) return corrupt("huffman: bytes after the last block", s.at);
    return kOkStatus;
}

constexpr CoderKernel kHuffman{"huffman", 2, sizeof(State), encode, open, next, skip, finish};
const RegisterCoder registered{kHuffman};

}  // namespace
}  // namespace qc::huffman
