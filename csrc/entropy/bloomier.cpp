// entropy/bloomier.cpp - the coder `bloomier`: header, advances, exceptions, blocks of symbols.
//
// A window of the stream is a block of the decode loop: it decodes alone, so that skipping costs the
// exceptions in it and nothing else.
#include "entropy/bloomier.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "core/bytes.hpp"

namespace qc::bloomier {
namespace {

#if QC_X86
constexpr Variants<WindowFn> decode_window{window_portable, window_avx2, window_avx512};
#else
constexpr Variants<WindowFn> decode_window{window_portable};
#endif

Status open_values(State& s, ByteReader& in, unsigned bits) noexcept {
    std::uint8_t r = 0, lowest = 0, highest = 0;
    std::span<const std::uint8_t> used;
    QC_TRY(in.get(r, "bloomier: bits of a word"));
    if (r < 1 || r > kMaxWordBits) return corrupt("bloomier: bits of a word", in.at() - 1);
    s.r = r;
    QC_TRY(in.get(s.zero, "bloomier: most frequent symbol"));
    if (s.zero >> bits != 0) return corrupt("bloomier: most frequent symbol too wide", in.at() - 1);
    QC_TRY(in.get(lowest, "bloomier: lowest symbol"));
    QC_TRY(in.get(highest, "bloomier: highest symbol"));
    if (highest >> bits != 0 || lowest > highest) return corrupt("bloomier: range of symbols", in.at() - 1);
    const unsigned n = highest - lowest + 1u;
    QC_TRY(in.take(bytes_for_bits(n), used, "bloomier: symbols in use"));
    const auto is_used = [&](unsigned k) { return (used[k / 8] >> k % 8 & 1) != 0; };
    const bool padded = n % 8 == 0 || used.back() >> n % 8 == 0;
    const bool has_zero = s.zero >= lowest && s.zero <= highest && is_used(s.zero - lowest);
    if (!is_used(0) || !is_used(n - 1) || !padded || has_zero) {
        return corrupt("bloomier: symbols in use", in.at() - 1);
    }
    std::memset(s.symbol_of, s.zero, sizeof s.symbol_of);
    s.n_values = 0;
    for (unsigned k = 0; k < n; ++k) {
        if (!is_used(k)) continue;
        if (s.n_values + 1u >= 1u << r) return corrupt("bloomier: more symbols in use than words", in.at() - 1);
        s.symbol_of[s.n_values++] = static_cast<std::uint8_t>(lowest + k);
    }
    for (std::size_t w = std::size_t{1} << r; w < 256; w *= 2) std::memcpy(s.symbol_of + w, s.symbol_of, w);
    return kOkStatus;
}

Status open_starts(State& s, unsigned reference, unsigned order) noexcept {
    const std::size_t blocks = blocks_of(s.count), per = std::size_t{1} << s.bucket;
    const std::int64_t most = static_cast<std::int64_t>(per) * 2;
    const std::uint32_t longest = static_cast<std::uint32_t>(2 * (most + 256)) >> order;
    std::uint64_t start = 0;
    s.starts[0] = 0;
    for (std::size_t b = 0; b * per < blocks; ++b) {
        std::uint32_t ones = 0;
        while (s.bits.get(1) != 0 && ones <= longest) ++ones;
        if (ones > longest) return corrupt("bloomier: an advance", s.bits_at);
        const std::uint32_t z = ones << order | s.bits.get(order);
        const std::int64_t step = static_cast<std::int64_t>(z >> 1) ^ -static_cast<std::int64_t>(z & 1);
        const std::int64_t advance = static_cast<std::int64_t>(reference) + step;
        if (advance < 0 || advance > most) return corrupt("bloomier: an advance", s.bits_at);
        // The last start of the bucket bounds those before it.
        const std::size_t last = std::min(per, blocks - b * per) - 1;
        const auto d = static_cast<std::uint64_t>(advance);
        if (start + (last * d >> s.bucket) > s.n_tiles) return corrupt("bloomier: a start behind the tiles", s.bits_at);
        start += d;
        s.starts[b + 1] = static_cast<std::uint32_t>(start);
    }
    if (s.bits.overrun()) return truncated("bloomier: advances", s.payload.size());
    return kOkStatus;
}

Status next_exception(State& s) noexcept {
    if (s.exceptions_left == 0) {
        s.position = kMaxCount;
        return kOkStatus;
    }
    const std::size_t before = s.position;
    const std::size_t position = s.bits.get(s.position_bits);
    const std::uint32_t word = s.bits.get(s.r);
    if (s.bits.overrun()) return truncated("bloomier: exceptions", s.payload.size());
    if (position >= s.count || word >= s.n_values || (before != kMaxCount && position <= before)) {
        return corrupt("bloomier: an exception", s.bits_at);
    }
    s.position = position;
    s.word = static_cast<std::uint8_t>(word);
    return kOkStatus;
}

void fill_order(std::uint16_t* order, std::size_t blocks) noexcept {
    const std::uint32_t k = static_cast<std::uint32_t>(blocks), stride = stride_of(k);
    for (std::uint32_t i = 0, q = 0; i < k + 8; ++i) {  // some are read ahead
        order[i] = static_cast<std::uint16_t>(q);
        q += stride;
        if (q >= k) q -= k;
    }
}

Status open(void* state, std::span<const std::uint8_t> payload, std::size_t count, unsigned bits) noexcept {
    State& s = *static_cast<State*>(state);
    s.bits = BitReader({});
    QC_TRY(open_state(s, payload, count, bits));
    const std::size_t last = 8 + (128 + s.r - 1) / s.r;
    s.tail_first = s.n_tiles > last ? s.n_tiles - last : 0;
    const std::size_t tail = (s.n_tiles - s.tail_first) * s.r;
    if (tail > 0) std::memcpy(s.tail, s.tiles + s.tail_first * s.r, tail);
    std::memset(s.tail + tail, 0, sizeof s.tail - tail);
    const std::size_t blocks = blocks_of(count), rest = blocks % kWindow;
    if (blocks >= kWindow) fill_order(s.order[0], kWindow);
    if (rest > 0) fill_order(s.order[1], rest);
    s.ready = 0;
    s.window = decode_window.pick();
    s.position = kMaxCount;
    return next_exception(s);
}

Status next(void* state, std::size_t n, const std::uint8_t** symbols) noexcept {
    State& s = *static_cast<State*>(state);
    if (n > kBlock || n > s.count - s.done) return corrupt("bloomier: read past the last symbol");
    const std::size_t first = s.done / kBlockSize, blocks = blocks_of(n);
    s.window(s, first, blocks, s.order[blocks == kWindow ? 0 : 1]);
    QC_TRY(pass_exceptions(s, n, s.out));
    *symbols = s.out;
    return kOkStatus;
}

Status skip(void* state, std::size_t n) noexcept {
    State& s = *static_cast<State*>(state);
    if (n > s.count - s.done) return corrupt("bloomier: read past the last symbol");
    return pass_exceptions(s, n, nullptr);
}

Status finish(void* state) noexcept {
    State& s = *static_cast<State*>(state);
    if (s.exceptions_left != 0) return corrupt("bloomier: exceptions after the last symbol", s.bits_at);
    if (!s.bits.padding_is_zero() || s.bits_at + s.bits.bytes_used() != s.payload.size()) {
        return corrupt("bloomier: bytes after the last exception", s.payload.size());
    }
    return kOkStatus;
}

// Options are not in this contract, and no stream may become lossy unasked: what comes this way is stored.
std::size_t encode_nothing(std::span<const std::uint8_t>, unsigned, Workspace&, std::span<std::uint8_t>) { return 0; }

constexpr CoderKernel kernel{"bloomier", kId, sizeof(State), encode_nothing, open, next, skip, finish};
const RegisterCoder registered{kernel};

}  // namespace

Status pass_exceptions(State& s, std::size_t n, std::uint8_t* symbols) noexcept {
    while (s.position < s.done + n) {
        if (symbols != nullptr) symbols[s.position - s.done] = s.symbol_of[s.word];
        --s.exceptions_left;
        QC_TRY(next_exception(s));
    }
    s.done += n;
    return kOkStatus;
}

Status open_state(State& s, std::span<const std::uint8_t> payload, std::size_t count, unsigned bits) noexcept {
    if (count > kMaxCount) return corrupt("bloomier: more than 2^20 symbols");
    s.payload = payload;
    s.count = count;
    s.done = 0;
    ByteReader in(payload);
    std::uint64_t seed = 0, tiles = 0;
    std::uint8_t bucket = 0, reference = 0, order = 0;
    QC_TRY(open_values(s, in, bits));
    QC_TRY(in.varint(s.keys, "bloomier: number of keys"));
    if (s.keys < 1 || s.keys > count) return corrupt("bloomier: number of keys", in.at() - 1);
    QC_TRY(in.varint(seed, "bloomier: seed"));
    if (seed >> 32 != 0) return corrupt("bloomier: seed", in.at() - 1);
    s.seed = hash_seed(static_cast<std::uint32_t>(seed));
    QC_TRY(in.varint(tiles, "bloomier: number of tiles"));
    if (tiles > count) return corrupt("bloomier: number of tiles", in.at() - 1);
    s.n_tiles = static_cast<std::size_t>(tiles);
    QC_TRY(in.varint(s.exceptions_left, "bloomier: number of exceptions"));
    if (s.exceptions_left > s.keys) return corrupt("bloomier: number of exceptions", in.at() - 1);
    QC_TRY(in.get(bucket, "bloomier: bucket"));
    if (bucket < kMinBucket || bucket > kMaxBucket) return corrupt("bloomier: bucket", in.at() - 1);
    s.bucket = bucket - 4u;
    QC_TRY(in.get(reference, "bloomier: reference"));
    QC_TRY(in.get(order, "bloomier: order"));
    if (order > kMaxOrder) return corrupt("bloomier: order", in.at() - 1);
    std::span<const std::uint8_t> stored;
    QC_TRY(in.take(tiles * s.r, stored, "bloomier: tiles"));
    s.tiles = stored.data();
    s.bits_at = in.at();
    s.bits = BitReader(payload.subspan(in.at()));
    s.position_bits = static_cast<unsigned>(std::bit_width(count - 1));
    return open_starts(s, reference, order);
}

}  // namespace qc::bloomier
