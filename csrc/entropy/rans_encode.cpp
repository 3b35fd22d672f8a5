// entropy/rans_encode.cpp - lays out the coded stream: FORMAT.md, "rans". Chooses form and lanes.
#include "entropy/rans_encode.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bits.hpp"
#include "simd/isa.hpp"

namespace qc::rans {
namespace {

constexpr std::size_t kPeekRun = 256;                  // symbols of one sampled run
constexpr std::size_t kPeek = std::size_t{1} << 14;    // symbols sampled for form and raw bits
constexpr std::size_t kHeaderBytes = kMaxTableBytes + 512;
constexpr std::size_t kPad = 128;                      // kernels write so far beyond their ends

#if QC_X86
constexpr Variants<const EncodeKernel*> kKernels{&kEncodePortable, &kEncodeAvx2, &kEncodeAvx512};
#else
constexpr Variants<const EncodeKernel*> kKernels{&kEncodePortable};
#endif

const EncodeKernel& kernel_for(unsigned lanes) {
    const EncodeKernel* kernel = kKernels.pick();
    if (lanes >= kernel->min_lanes) return *kernel;
#if QC_X86
    if (kernel == &kEncodeAvx512 && lanes >= kEncodeAvx2.min_lanes) return kEncodeAvx2;
#endif
    return kEncodePortable;
}

// Visits runs spread evenly over n symbols, all of them where n is small.
template <class Fn>
void peek(std::size_t n, Fn fn) {
    const std::size_t stride = std::max<std::size_t>(1, n / kPeek) * kPeekRun;
    for (std::size_t at = 0; at < n; at += stride) fn(at, std::min(at + kPeekRun, n));
}

void peek_counts(std::span<const std::uint8_t> symbols, std::uint32_t* counts) {
    std::uint32_t part[4][256] = {};
    peek(symbols.size(), [&](std::size_t i, std::size_t end) {
        for (; i + 4 <= end; i += 4) {
            ++part[0][symbols[i]];
            ++part[1][symbols[i + 1]];
            ++part[2][symbols[i + 2]];
            ++part[3][symbols[i + 3]];
        }
        for (; i < end; ++i) ++part[0][symbols[i]];
    });
    for (unsigned s = 0; s < 256; ++s) {
        counts[s] = part[0][s] + part[1][s] + part[2][s] + part[3][s];
    }
}

struct Escapes {
    EscapeCode code;
    unsigned width;
    std::size_t bits;
    unsigned list_size;
    std::uint8_t list[256];
};

// Many escapes are stored as bytes: quick to read. Few as places in a list of those that occur, the most frequent
// ones first if that is shorter.
Escapes plan_escapes(std::span<const std::uint8_t> escapes, std::size_t n_symbols) {
    Escapes e{};
    std::uint32_t counts[256] = {};
    std::uint32_t every_other[256] = {};
    for (std::size_t k = 0; k + 2 <= escapes.size(); k += 2) {
        ++counts[escapes[k]];
        ++every_other[escapes[k + 1]];
    }
    if (escapes.size() % 2 != 0) ++counts[escapes.back()];
    for (unsigned s = 0; s < 256; ++s) counts[s] += every_other[s];
    for (unsigned s = 0; s < 256; ++s) {
        if (counts[s] > 0) e.list[e.list_size++] = static_cast<std::uint8_t>(s);
    }
    if (e.list_size > 128 || escapes.size() > n_symbols / 64 + 256) {
        e = {EscapeCode::kByte, 8, escapes.size() * 8, 0, {}};
        return e;
    }
    e.code = EscapeCode::kPlace;
    e.width = width_of(e.list_size);
    e.bits = escapes.size() * e.width;
    if (e.list_size < 2) return e;
    constexpr unsigned kMostOnes = 24;  // a code fits into 32 bits
    static_assert(kMostOnes <= kMostRankedOnes);
    std::uint8_t ranked[128];
    std::copy_n(e.list, e.list_size, ranked);
    std::sort(ranked, ranked + e.list_size,
              [&](auto a, auto b) { return counts[a] != counts[b] ? counts[a] > counts[b] : a < b; });
    std::uint32_t by_rank[128];
    for (unsigned r = 0; r < e.list_size; ++r) by_rank[r] = counts[ranked[r]];
    for (unsigned width = 0; width < 8; ++width) {
        if ((e.list_size - 1) >> width > kMostOnes) continue;
        const std::size_t bits = ranked_bits(by_rank, e.list_size, width);
        constexpr std::size_t kLength = 24;  // the field that only ranked escapes need
        if (bits + (e.code == EscapeCode::kRanked ? 0 : kLength) >= e.bits) continue;
        e.code = EscapeCode::kRanked;
        e.width = width;
        e.bits = bits;
    }
    if (e.code == EscapeCode::kRanked) std::copy_n(ranked, e.list_size, e.list);
    return e;
}

void put_escapes(std::span<const std::uint8_t> escapes, const Escapes& e, std::uint8_t* out) {
    if (e.code == EscapeCode::kByte) {
        std::copy(escapes.begin(), escapes.end(), out);
        return;
    }
    std::uint32_t code[256];
    std::uint8_t length[256];
    for (unsigned r = 0; r < e.list_size; ++r) {
        const unsigned symbol = e.list[r];
        const unsigned front = e.code == EscapeCode::kRanked ? (r >> e.width) + 1 : 0;
        const unsigned ones = front > 0 ? (1u << (front - 1)) - 1 : 0;
        code[symbol] = ones | (r & ((1u << e.width) - 1)) << front;
        length[symbol] = static_cast<std::uint8_t>(front + e.width);
    }
    BitWriter packed(out);
    for (const std::uint8_t symbol : escapes) packed.put(code[symbol], length[symbol]);
    packed.finish();
}

// Form without masks of symbols of which a sample has these counts. Uses kCoder2 and kCoder3.
std::size_t encode_plain(std::span<const std::uint8_t> symbols, const std::uint32_t* counts, unsigned bits,
                         const Trellis& trellis, Workspace& work, std::span<std::uint8_t> out) {
    const std::size_t n = symbols.size();
    Model m;
    const Coding coding = fit_model(symbols, counts, bits, trellis.memory, work, m);
    const EncodeKernel& whole = encode_kernel();
    const unsigned width = width_of(m.n_tables);
    const std::size_t tiles = (n + m.tile - 1) / m.tile;
    EncodeJob job;
    job.index = coding.index;
    job.symbols = symbols.data();
    job.n = n;
    job.model = &m;
    job.choices = coding.choices;
    const unsigned most_lanes = work.patient ? kMaxLanes / 4 : kMaxLanes;  // where size comes before speed, fewer
    job.lanes = m.memory > 0 ? trellis.lanes : choose_lanes(m.bits, 1, most_lanes);
    const bool escapes_possible = std::any_of(m.encode_tables, m.encode_tables + m.n_tables,
                                              [](const auto& t) { return t.has_escapes; });
    const std::size_t room = n + 2 * kPad;
    std::uint8_t* const scratch = work.get(Workspace::kCoder3, escapes_possible ? 2 * room : room);
    std::uint8_t* const body_end = scratch + n + kPad;
    std::uint8_t* const escapes_end = scratch + (escapes_possible ? room : 0) + n + kPad;
    job.body = body_end;
    job.escapes = escapes_end;
    std::memset(job.high, kFirstHigh, sizeof job.high);
    std::memset(job.low, kFirstLow, sizeof job.low);
    const std::size_t rounds = n / job.lanes;
    encode_symbols(job, rounds * job.lanes, n);
    if (rounds > 0) kernel_for(job.lanes).rounds(job, rounds);

    const auto n_escapes = static_cast<std::size_t>(escapes_end - job.escapes);
    const Escapes escapes = plan_escapes({job.escapes, n_escapes}, n);
    std::uint8_t header[kHeaderBytes];
    std::size_t h = 0;
    header[h++] = m.memory > 0 ? kTrellisForm : kPlainForm;
    header[h++] = static_cast<std::uint8_t>(std::countr_zero(job.lanes) | (m.raw_bits + m.memory) << 4);
    const bool ranked = n_escapes > 0 && escapes.code == EscapeCode::kRanked;
    header[h++] = static_cast<std::uint8_t>((m.n_tables - 1) | (ranked ? kRankedBit | escapes.width << 5 : 0));
    if (m.n_tables > 1) header[h++] = static_cast<std::uint8_t>(m.tile / kTileUnit);
    h += put_varint(header + h, n_escapes);
    if (n_escapes > 0) {
        header[h++] = static_cast<std::uint8_t>(escapes.list_size);
        std::copy_n(escapes.list, escapes.list_size, header + h);
        h += escapes.list_size;
        if (ranked) h += put_varint(header + h, bytes_for_bits(escapes.bits));
    }
    BitWriter tables(header + h);
    for (unsigned t = 0; t < m.n_tables; ++t) {
        put_table(tables, m.tables[t], m.symbol_bits, m.memory > 0 ? 2 : 1);
    }
    h += tables.finish();

    const std::size_t choice_bytes = m.n_tables > 1 ? bytes_for_bits(tiles * width) : 0;
    const std::size_t escape_bytes = bytes_for_bits(escapes.bits);
    const std::size_t raw_bytes = bytes_for_bits(n * m.raw_bits);
    const auto body_bytes = static_cast<std::size_t>(body_end - job.body);
    const std::size_t total =
        h + choice_bytes + escape_bytes + raw_bytes + 2 * job.lanes + body_bytes;
    if (total >= out.size()) return 0;

    std::uint8_t* at = out.data();
    std::memcpy(at, header, h);
    at += h;
    if (choice_bytes > 0) {
        BitWriter packed(at);
        for (std::size_t t = 0; t < tiles; ++t) packed.put(coding.choices[t], width);
        at += packed.finish();
    }
    put_escapes({job.escapes, n_escapes}, escapes, at);
    at += escape_bytes;
    if (m.raw_bits > 0) whole.pack(symbols.data(), n, m.raw_bits, at);
    at += raw_bytes;
    std::memcpy(at, job.high, job.lanes);
    std::memcpy(at + job.lanes, job.low, job.lanes);
    std::memcpy(at + 2 * job.lanes, job.body, body_bytes);
    return total;
}

// Masked form. Uses kCoder too.
std::size_t encode_masked(std::span<const std::uint8_t> symbols, unsigned bits, std::uint8_t zero,
                          Workspace& work, std::span<std::uint8_t> out) {
    const std::size_t n = symbols.size();
    const std::size_t n_masks = (n + 3) / 4;
    std::uint8_t* const masks = work.get(Workspace::kCoder, n_masks + n + 2 * kPad);
    std::uint8_t* const values = masks + n_masks + kPad;
    const std::size_t n_values = encode_kernel().split(symbols.data(), n, zero, masks, values);
    if (n_values == 0 || out.size() < 32) return 0;
    std::uint8_t* const body = out.data() + 2 + 2 * kMaxVarint;
    const std::span<std::uint8_t> rest = out.subspan(2 + 2 * kMaxVarint);
    std::uint32_t counts[256];
    peek_counts({masks, n_masks}, counts);
    const std::size_t mask_bytes = encode_plain({masks, n_masks}, counts, 4, {}, work, rest);
    if (mask_bytes == 0) return 0;
    std::size_t h = 0;
    out[h++] = 1;
    out[h++] = zero;
    h += put_varint(out.data() + h, n_values);
    h += put_varint(out.data() + h, mask_bytes);
    std::memmove(out.data() + h, body, mask_bytes);
    peek_counts({values, n_values}, counts);
    const std::size_t value_bytes =
        encode_plain({values, n_values}, counts, bits, {}, work, out.subspan(h + mask_bytes));
    return value_bytes == 0 ? 0 : h + mask_bytes + value_bytes;
}

// Whether masks and values take less than one plain stream would, as far as a sample tells.
bool masks_pay(std::span<const std::uint8_t> symbols, const std::uint32_t* counts, unsigned bits,
               std::uint8_t& zero) {
    const std::size_t n = symbols.size();
    zero = static_cast<std::uint8_t>(std::max_element(counts, counts + 256) - counts);
    std::uint64_t total = 0;
    for (unsigned s = 0; s < 256; ++s) total += counts[s];
    if (n < 1024 || bits < 2 || counts[zero] * std::uint64_t{2} < total) return false;
    if (counts[zero] == total) return false;
    std::uint32_t masks[256] = {};
    peek(n, [&](std::size_t i, std::size_t end) {
        for (; i + 4 <= end; i += 4) {
            ++masks[unsigned{symbols[i] != zero} | unsigned{symbols[i + 1] != zero} << 1 |
                    unsigned{symbols[i + 2] != zero} << 2 | unsigned{symbols[i + 3] != zero} << 3];
        }
    });
    const std::uint64_t plain = estimate_bits(counts, bits);
    std::uint32_t others[256];
    std::copy_n(counts, 256, others);
    others[zero] = 0;
    const std::uint64_t masked = estimate_bits(masks, 4) + estimate_bits(others, bits);
    constexpr std::uint64_t kSecondHeader = 8 * 32;
    return masked * n / total + kSecondHeader < plain * n / total;
}

}  // namespace

const EncodeKernel& encode_kernel() noexcept { return *kKernels.pick(); }

namespace {

// Slot kCoder2: choices, and the index plane where it is not the symbols.
struct CodingRoom {
    std::uint8_t* choices;
    std::uint8_t* mapped;

    CodingRoom(std::size_t n, Workspace& work)
        : choices(work.get(Workspace::kCoder2, n + kMaxTiles + 2 * kPad)), mapped(choices + kMaxTiles + kPad) {}

    // The index plane; `unseen` tells of symbols without an index, where `look` asks for it or a plane is made.
    const std::uint8_t* map(std::span<const std::uint8_t> symbols, const Model& m, bool look, bool& unseen) const {
        const std::uint8_t* const from = symbols.data();
        if (!m.same_index || look) {
            std::uint8_t* const to = m.same_index ? nullptr : mapped;
            unseen = encode_kernel().map(from, symbols.size(), m.index_of, to);
        }
        return m.same_index ? from : mapped;
    }
};

void choose(const std::uint8_t* index, std::size_t n, const Model& m, std::uint8_t* choices) {
    if (m.n_tables > 1) {
        encode_kernel().choose(index, n, m, choices);
    } else {
        std::memset(choices, 0, kMaxTiles);
    }
}

}  // namespace

unsigned choose_lanes(std::uint64_t bits, unsigned least, unsigned most) noexcept {
    unsigned lanes = least;
    while (lanes < most && bits / 8 >= 2 * lanes * std::uint64_t{256}) lanes *= 2;
    return lanes;
}

Coding fit_model(std::span<const std::uint8_t> symbols, const std::uint32_t* counts, unsigned bits,
                 unsigned memory, Workspace& work, Model& m) {
    const std::size_t n = symbols.size();
    // Two contexts need symbols of both kinds.
    bool kinds[2] = {};
    for (unsigned s = 0; s < 256; ++s) kinds[s & 1] |= counts[s] > 0;
    plan_index(counts, bits, kinds[0] && kinds[1] ? memory : 0, m);
    const bool all_seen = m.same_index && static_cast<unsigned>(std::popcount(m.seen)) == 1u << bits;
    const CodingRoom room(n, work);
    const std::uint8_t* const index = room.map(symbols, m, !all_seen, m.must_escape);
    if (fit_tables(index, n, work, m, room.choices)) return {index, room.choices};
    if (m.n_tables > 1 || !spare_escapes(index, n, m, room.choices)) choose(index, n, m, room.choices);
    return {index, room.choices};
}

Coding choose_tables(std::span<const std::uint8_t> symbols, Workspace& work, const Model& m) {
    const CodingRoom room(symbols.size(), work);
    bool unseen = false;
    const std::uint8_t* const index = room.map(symbols, m, false, unseen);
    choose(index, symbols.size(), m, room.choices);
    return {index, room.choices};
}

std::size_t encode_stream(std::span<const std::uint8_t> symbols, unsigned bits, Workspace& work,
                          std::span<std::uint8_t> out) {
    if (symbols.size() > kMaxCount) return 0;
    std::uint8_t zero = 0;
    std::uint32_t counts[256];
    peek_counts(symbols, counts);
    if (work.trellis.memory == 0 && masks_pay(symbols, counts, bits, zero)) {
        const std::size_t bytes = encode_masked(symbols, bits, zero, work, out);
        if (bytes > 0) return bytes;
    }
    return encode_plain(symbols, counts, bits, work.trellis, work, out);
}

}  // namespace qc::rans
