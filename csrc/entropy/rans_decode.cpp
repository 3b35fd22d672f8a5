// entropy/rans_decode.cpp - opens, runs and closes a plain stream: FORMAT.md, "rans", Plain form.
//
// Everything the kernels rely on is checked here, once: tables, tile choices, states, lengths. What
// remains for the run is the budget of refill bytes and of escapes, and the final states.
#include "entropy/rans_decode.hpp"

#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/rans_escapes.hpp"
#include "entropy/trellis.hpp"
#include "simd/isa.hpp"

namespace qc::rans {
namespace {

#if QC_X86
constexpr Variants<const DecodeKernel*> kKernels{&kDecodePortable, &kDecodeAvx2, &kDecodeAvx512};
#else
constexpr Variants<const DecodeKernel*> kKernels{&kDecodePortable};
#endif

const DecodeKernel* pick_kernel(unsigned lanes, bool along_trellis) noexcept {
    const DecodeKernel* kernel = kKernels.pick();
    const auto fits = [&](const DecodeKernel& k) {
        return lanes >= k.min_lanes && (k.takes_trellis || !along_trellis);
    };
    if (fits(*kernel)) return kernel;
#if QC_X86
    if (kernel == &kDecodeAvx512 && fits(kDecodeAvx2)) return &kDecodeAvx2;
#endif
    return &kDecodePortable;
}

Status open_tables(Stream& s, ByteReader& in, std::span<const std::uint8_t> payload,
                   unsigned symbol_bits) noexcept {
    TableBits bits(payload.subspan(in.at()));
    s.has_escapes = false;
    for (unsigned t = 0; t < s.n_tables; ++t) {
        Table& table = s.tables[t];
        Status status = get_table(bits, symbol_bits, s.memory > 0 ? 2 : 1, table);
        if (bits.overrun()) status = truncated("rans: tables end too early");
        status.at = in.at();
        QC_TRY(status);
        s.has_escapes = s.has_escapes || table.freq[kEscape] != 0;
        for (std::uint8_t& symbol : table.symbol) {
            symbol = static_cast<std::uint8_t>(symbol << s.raw_bits);
        }
    }
    if (!bits.padding_is_zero()) return corrupt("rans: padding after the tables", in.at());
    std::span<const std::uint8_t> skipped;
    QC_TRY(in.take(bits.bytes_used(), skipped, "rans: tables"));

    if (s.n_tables > 1) {
        const std::size_t tiles = (s.count + s.tile - 1) / s.tile;
        const unsigned width = width_of(s.n_tables);
        std::span<const std::uint8_t> packed;
        QC_TRY(in.take(bytes_for_bits(tiles * width), packed, "rans: tables of the tiles"));
        BitReader choices(packed);
        for (std::size_t t = 0; t < tiles; ++t) {
            const std::uint32_t k = choices.get(width);
            if (k >= s.n_tables) return corrupt("rans: table of a tile out of range", in.at());
            s.choices[t] = static_cast<std::uint8_t>(k);
        }
        if (!choices.padding_is_zero()) return corrupt("rans: padding after tiles", in.at());
    }
    return kOkStatus;
}

// The last bytes move to where reading past them is harmless.
void enter_tail(Stream& s) noexcept {
    const auto left = static_cast<std::size_t>(s.in_end - s.in);
    std::memcpy(s.tail, s.in, left);
    std::memset(s.tail + left, 0, sizeof s.tail - left);
    s.in = s.tail;
    s.in_end = s.limit = s.tail + left;
    s.in_tail = true;
}

Status ran_out(const Stream& s) noexcept {
    return truncated("rans: symbols go on where the stream ends", s.payload_bytes);
}

// The lanes of a last round that is not whole.
void decode_rest(Stream& s, std::size_t n, std::uint8_t* out) noexcept {
    const unsigned raw_mask = (1u << s.raw_bits) - 1;
    const std::size_t raw_at = s.done * s.raw_bits % 8;
    for (std::size_t lane = 0; lane < n; ++lane) {
        const Table& t = *s.table;
        const unsigned low = s.low[lane];
        const bool odd = s.memory > 0 && (s.trellis[lane] & 1) != 0;
        const unsigned entry = (odd ? t.odd_slot : t.slot)[low] & kEntryMask;
        unsigned x = t.freq[entry] * s.high[lane] + low - t.base[low >> 7][entry];
        if (x < 256) x = x << 8 | *s.in++;
        s.high[lane] = static_cast<std::uint8_t>(x >> 8);
        s.low[lane] = static_cast<std::uint8_t>(x);
        unsigned symbol = t.symbol[entry];
        if (entry == kEscape) symbol = *s.escape++;
        if (s.memory > 0) {
            s.trellis[lane] = static_cast<std::uint8_t>(
                trellis::next_state(s.memory, s.trellis[lane], symbol >> 1 & 1));
        }
        const std::size_t bit = raw_at + lane * s.raw_bits;
        const unsigned raw = load<std::uint16_t>(s.raw + bit / 8);
        out[lane] = static_cast<std::uint8_t>(symbol | ((raw >> bit % 8) & raw_mask));
    }
}

}  // namespace

Status open_plain(Stream& s, std::span<const std::uint8_t> payload, std::size_t count,
                  unsigned bits, std::uint8_t form) noexcept {
    ByteReader in(payload);
    std::uint8_t stored_form = 0;
    std::uint8_t lanes = 0;
    std::uint8_t tables = 0;
    QC_TRY(in.get(stored_form, "rans: header"));
    QC_TRY(in.get(lanes, "rans: header"));
    QC_TRY(in.get(tables, "rans: header"));
    if (stored_form != form) return {Code::kUnsupported, 0, "rans: form of the stream"};
    if (count > kMaxCount) return {Code::kLimit, 0, "rans: more symbols than a chunk has"};
    s.memory = form == kTrellisForm ? lanes >> 4 : 0u;
    s.raw_bits = form == kTrellisForm ? 0u : lanes >> 4;
    if ((lanes & 15) > 8 || s.raw_bits >= bits) return corrupt("rans: lanes or raw bits", 1);
    if (form == kTrellisForm && (!trellis::is_memory(s.memory) || bits < 2)) return corrupt("rans: trellis", 1);
    std::memset(s.trellis, 0, sizeof s.trellis);
    const bool ranked = (tables & kRankedBit) != 0;
    const unsigned order = tables / (2 * kRankedBit);
    if (order != 0 && !ranked) return corrupt("rans: order of escapes that are not ranked", 2);
    const unsigned symbol_bits = bits - s.raw_bits;
    s.lanes = 1u << (lanes & 15);
    s.n_tables = tables % kMaxTables + 1u;
    s.count = count;
    s.done = 0;
    s.tile = kMaxCount;
    s.payload_bytes = payload.size();
    if (s.n_tables > 1) {
        std::uint8_t units = 0;
        QC_TRY(in.get(units, "rans: header"));
        if (units == 0) return corrupt("rans: tile of no symbols", in.at() - 1);
        s.tile = units * kTileUnit;
    }
    std::uint64_t escape_bytes = 0;
    QC_TRY(open_escapes(s, in, symbol_bits, ranked, order, escape_bytes));
    QC_TRY(open_tables(s, in, payload, symbol_bits));
    if (s.escapes_unread > 0 && !s.has_escapes) return corrupt("rans: escapes, but no table has one");
    QC_TRY(in.take(escape_bytes, s.escape_bits, "rans: escaped symbols"));
    std::span<const std::uint8_t> part;
    QC_TRY(in.take(bytes_for_bits(std::uint64_t{count} * s.raw_bits), part, "rans: raw bits"));
    s.raw = part.data();
    const auto spare = static_cast<unsigned>(count * s.raw_bits % 8);
    if (spare != 0 && part.back() >> spare != 0) return corrupt("rans: padding after raw bits");
    QC_TRY(in.take(s.lanes, part, "rans: states"));
    if (std::memchr(part.data(), 0, s.lanes) != nullptr) {
        return corrupt("rans: state below 256", in.at() - s.lanes);
    }
    std::memcpy(s.high, part.data(), s.lanes);
    QC_TRY(in.take(s.lanes, part, "rans: states"));
    std::memcpy(s.low, part.data(), s.lanes);

    s.in = payload.data() + in.at();
    s.in_end = payload.data() + payload.size();
    s.in_tail = false;
    if (in.left() <= kRoundRead) {
        enter_tail(s);
    } else {
        s.limit = s.in_end - kRoundRead;
    }
    s.next_tile = 0;
    s.table = s.tables;
    s.tile_left = 0;
    s.kernel = pick_kernel(s.lanes, s.memory > 0);
    if (s.kernel->prepare != nullptr) s.kernel->prepare(s);
    return kOkStatus;
}

namespace {

// Whole rounds by `run`, which gets how many are left and says how many it did.
template <class Run>
Status run_rounds(Stream& s, std::size_t rounds, Run run) noexcept {
    while (rounds > 0) {
        const std::size_t done = run(rounds);
        rounds -= done;
        s.done += done * s.lanes;
        if (rounds == 0) break;
        if (s.in_tail) return ran_out(s);
        enter_tail(s);
    }
    return kOkStatus;
}

Status check_budget(const Stream& s) noexcept {
    if (s.in_tail && s.in > s.in_end) return ran_out(s);
    if (s.has_escapes && s.escape > s.escapes_end) {
        return corrupt("rans: more escapes than the stream has");
    }
    return kOkStatus;
}

}  // namespace

Status next_plain(Stream& s, std::size_t n, std::uint8_t* out) noexcept {
    QC_TRY(keep_escapes(s));
    QC_TRY(run_rounds(s, n / s.lanes, [&](std::size_t rounds) {
        const std::size_t done = s.kernel->rounds(s, out, rounds);
        out += done * s.lanes;
        return done;
    }));
    const std::size_t rest = n % s.lanes;
    if (rest > 0) {
        if (s.tile_left == 0) enter_tile(s);
        if (!s.in_tail && s.in > s.limit) enter_tail(s);
        if (s.in_tail && s.in > s.in_end) return ran_out(s);
        decode_rest(s, rest, out);
        s.done += rest;
    }
    return check_budget(s);
}

Status next_to_sink(Stream& s, std::size_t n, SinkRoundsFn rounds, void* sink) noexcept {
    for (std::size_t at = 0, some = 0; at < n; at += some) {
        QC_TRY(keep_escapes(s));
        // A loop takes two rounds to begin and end: where no escapes are to come, it has all symbols at once.
        some = s.escapes_unread == 0 ? n - at : std::min(kBlock, n - at);
        QC_TRY(run_rounds(s, some / s.lanes, [&](std::size_t left) { return rounds(s, sink, left); }));
        QC_TRY(check_budget(s));
    }
    return kOkStatus;
}

Status next_abreast(Stream* const* streams, unsigned count, std::size_t n, std::uint8_t* const* out) noexcept {
    for (unsigned k = 0; k < count; ++k) QC_TRY(keep_escapes(*streams[k]));
    const std::size_t done = streams[0]->kernel->abreast(streams, count, out, n / 64) * 64;
    for (unsigned k = 0; k < count; ++k) {
        streams[k]->done += done;
        QC_TRY(check_budget(*streams[k]));
        if (done < n) QC_TRY(next_plain(*streams[k], n - done, out[k] + done));
    }
    return kOkStatus;
}

Status finish_plain(const Stream& s) noexcept {
    if (s.done != s.count) return corrupt("rans: symbols left", s.payload_bytes);
    if (s.in != s.in_end) return corrupt("rans: bytes left after the last symbol");
    if (s.escapes_unread > 0 || s.escape != s.escapes_end) {
        return corrupt("rans: escapes left after the last symbol");
    }
    for (unsigned lane = 0; lane < s.lanes; ++lane) {
        if (s.high[lane] != kFirstHigh || s.low[lane] != kFirstLow) {
            return corrupt("rans: state after the last symbol");
        }
    }
    return kOkStatus;
}

}  // namespace qc::rans
