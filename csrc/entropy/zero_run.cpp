// entropy/zero_run.cpp - the coder `zero_run`: FORMAT.md, "zero_run". Three kernels, one for each
// coder that may follow; the code is the same.
//
// Form 0 decodes by filling a block with zeros and putting values at a running place. Gaps and
// values are streams of their own, read block by block in step with the symbols. Form 1 expands its
// runs when it is opened, and cuts digits out of the bytes as they are asked for.
#include <algorithm>
#include <cstring>
#include <new>

#include "core/bytes.hpp"
#include "entropy/base3.hpp"
#include "entropy/coder.hpp"
#include "entropy/stream.hpp"
#include "entropy/zero_run.hpp"

namespace qc::zero_run {
namespace {

// Ids of the coders that gaps and values go through. Under bitpack they are stored.
enum Then : std::uint8_t { kBitpack = 1, kHuffman = 2, kRans = 3 };

constexpr std::size_t kMaxCount = std::size_t{1} << 20;  // symbols of a chunk
constexpr std::size_t kMaxThenState = std::size_t{1} << 19;
constexpr std::size_t kFractionBytes = base3::part_symbols(kMaxCount) + base3::kSlack;

struct Feed {
    StreamReader reader;
    const std::uint8_t* at = nullptr;  // decoded, and not used yet
    const std::uint8_t* end = nullptr;
    std::size_t unread = 0;            // not decoded yet

    bool empty() const noexcept { return at == end && unread == 0; }

    // The next block, once all of the last is used.
    Status fill() noexcept {
        const std::size_t n = std::min(unread, kBlock);
        QC_TRY(reader.next(n, &at));
        end = at + n;
        unread -= n;
        return kOkStatus;
    }
};

struct alignas(64) State {
    std::uint8_t out[kBlock + base3::kSlack];
    std::size_t count = 0;
    std::size_t done = 0;
    std::uint8_t form = 0;
    // form 0
    std::uint8_t zero = 0;
    Feed gaps;
    Feed values;
    std::ptrdiff_t at = 0;  // where the next gap begins, from the next block's first symbol
    // form 1
    std::size_t part = 0;

    // Behind the state: fractions of form 1, or memory of the readers of form 0.
    std::uint8_t* memory() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
};

constexpr std::size_t memory_bytes(Then then) noexcept {
    const std::size_t reader = then == kBitpack ? kBlock : kMaxThenState;
    return (std::max(2 * reader, kFractionBytes) + 63) / 64 * 64;
}

// Stands in for a coder that this build lacks: streams that do not need it still decode.
constexpr CoderKernel kMissing{
    "missing", 0, 64,
    [](std::span<const std::uint8_t>, unsigned, Workspace&, std::span<std::uint8_t>) {
        return std::size_t{0};
    },
    [](void*, std::span<const std::uint8_t>, std::size_t, unsigned) noexcept {
        return Status{Code::kUnsupported, 0, "zero_run: this build lacks the coder of its parts"};
    },
    [](void*, std::size_t, const std::uint8_t**) noexcept { return kOkStatus; },
    [](void*, std::size_t) noexcept { return kOkStatus; },
    [](void*) noexcept { return kOkStatus; }};

const CoderKernel& coder_of(Then then) noexcept {
    const CoderKernel* const found = find_coder(then);
    return found != nullptr && found->state_bytes <= kMaxThenState ? *found : kMissing;
}

// ---- decoding

Status open_runs(State& s, ByteReader& in, unsigned bits, Then then) noexcept {
    std::uint64_t n_values = 0, n_gaps = 0;
    QC_TRY(in.get(s.zero, "zero_run: zero symbol"));
    if (s.zero >> bits != 0) return corrupt("zero_run: zero symbol too wide", in.at() - 1);
    QC_TRY(in.varint(n_values, "zero_run: number of values"));
    if (n_values >= s.count) return corrupt("zero_run: number of values", in.at() - 1);
    if (n_values > 0) {
        QC_TRY(in.varint(n_gaps, "zero_run: number of gap bytes"));
        const std::uint64_t most = n_values + (s.count - n_values) / kLongGap;
        if (n_gaps < n_values || n_gaps > most) {
            return corrupt("zero_run: number of gap bytes", in.at() - 1);
        }
        const CoderKernel& coder = coder_of(then);
        s.gaps.unread = static_cast<std::size_t>(n_gaps);
        s.values.unread = static_cast<std::size_t>(n_values);
        QC_TRY(s.gaps.reader.open(in, coder, s.gaps.unread, 8, s.memory()));
        QC_TRY(s.values.reader.open(in, coder, s.values.unread, bits,
                                    s.memory() + memory_bytes(then) / 2 / 64 * 64));
    }
    if (in.left() != 0) return corrupt("zero_run: bytes after the last stream", in.at());
    return kOkStatus;
}

Status open_base3(State& s, std::span<const std::uint8_t> payload, unsigned bits) noexcept {
    if (bits < 2 || s.count > kMaxCount) return corrupt("zero_run: form");
    s.part = base3::part_symbols(s.count);
    Status status = base3::kernels().expand(payload.subspan(1), s.part, s.memory());
    status.at += 1;
    if (status.ok() && !base3::padding_is_one(s.memory(), s.count)) {
        return corrupt("zero_run: digits after the last symbol", payload.size() - 1);
    }
    return status;
}

template <Then kThen>
Status open(void* state, std::span<const std::uint8_t> payload, std::size_t count,
            unsigned bits) noexcept {
    State& s = *new (state) State;
    s.count = count;
    ByteReader in(payload);
    QC_TRY(in.get(s.form, "zero_run: form"));
    if (s.form > 1) return corrupt("zero_run: form");
    return s.form == 0 ? open_runs(s, in, bits, kThen) : open_base3(s, payload, bits);
}

// Puts values of what both feeds hold into `out`, zeros so far; false at the end of the block.
bool put_values(State& s, std::ptrdiff_t n) noexcept {
    constexpr std::uint64_t kOnes = 0x0001000100010001;
    const std::uint8_t *gap = s.gaps.at, *value = s.values.at;
    const std::uint8_t* const end = gap + std::min(s.gaps.end - gap, s.values.end - value);
    std::uint8_t* const out = s.out;
    std::ptrdiff_t at = s.at;
    bool more = true;
    while (more && gap < end) {
        // Four gaps in words of 16 bits; a product adds up those before each.
        for (; end - gap >= 4; gap += 4, value += 4) {
            std::uint64_t four = load<std::uint32_t>(gap);
            four = (four | four << 16) & 0x0000FFFF0000FFFF;
            four = ((four | four << 8) & 0x00FF00FF00FF00FF) + kOnes;
            const std::uint64_t behind = four * kOnes;
            const auto all = static_cast<std::ptrdiff_t>(behind >> 48);
            if ((four & kOnes << 8) != 0 || all > n - at) break;
            std::uint8_t* const o = out + at - 1;
            o[behind & 0xFFFF] = value[0];
            o[behind >> 16 & 0xFFFF] = value[1];
            o[behind >> 32 & 0xFFFF] = value[2];
            o[all] = value[3];
            at += all;
        }
        for (unsigned k = 0; k < 4 && gap < end; ++k) {
            const std::ptrdiff_t place = at + *gap;
            if (*gap == kLongGap) {
                at = place;
                ++gap;
                more = at < n;
                if (!more) break;
                continue;
            }
            more = place < n;
            if (!more) break;
            out[place] = *value++;
            at = place + 1;
            ++gap;
        }
    }
    s.gaps.at = gap;
    s.values.at = value;
    s.at = at;
    return more;
}

Status next_runs(State& s, std::size_t n) noexcept {
    std::memset(s.out, s.zero, n);
    for (bool more = true; more && !s.gaps.empty();) {
        if (s.gaps.at == s.gaps.end) {
            QC_TRY(s.gaps.fill());
            if (s.gaps.unread == 0 && s.gaps.end[-1] == kLongGap) {
                return corrupt("zero_run: no value after the last gap");
            }
        }
        if (s.values.at == s.values.end) {
            if (s.values.unread == 0) return corrupt("zero_run: more gaps than values");
            QC_TRY(s.values.fill());
            const auto fresh = static_cast<std::size_t>(s.values.end - s.values.at);
            if (std::memchr(s.values.at, s.zero, fresh) != nullptr) {
                return corrupt("zero_run: a value that is zero");
            }
        }
        more = put_values(s, static_cast<std::ptrdiff_t>(n));
    }
    s.at -= static_cast<std::ptrdiff_t>(n);
    if (s.done + n < s.count) return kOkStatus;
    if (!s.gaps.empty()) return corrupt("zero_run: gaps go on after the last symbol");
    if (!s.values.empty()) return corrupt("zero_run: more values than gaps");
    return kOkStatus;
}

void next_base3(State& s, std::size_t n) noexcept {
    const base3::DigitFn digit = base3::kernels().digit;
    for (std::size_t i = 0; i < n;) {
        const std::size_t k = (s.done + i) / s.part, first = (s.done + i) % s.part;
        const std::size_t m = std::min(n - i, s.part - first);
        digit(s.memory() + first, m, static_cast<unsigned>(k), s.out + i);
        i += m;
    }
}

Status next(void* state, std::size_t n, const std::uint8_t** symbols) noexcept {
    State& s = *static_cast<State*>(state);
    if (n > kBlock || n > s.count - s.done) return corrupt("zero_run: read past the last symbol");
    if (s.form == 0) {
        QC_TRY(next_runs(s, n));
    } else {
        next_base3(s, n);
    }
    s.done += n;
    *symbols = s.out;
    return kOkStatus;
}

Status skip(void* state, std::size_t n) noexcept {
    State& s = *static_cast<State*>(state);
    if (s.form == 1 && n <= s.count - s.done) {
        s.done += n;
        return kOkStatus;
    }
    const std::uint8_t* symbols = nullptr;
    return next(state, n, &symbols);
}

// The last block has checked that gaps and values are used up; `open`, all else of form 1.
Status finish(void* state) noexcept {
    State& s = *static_cast<State*>(state);
    if (s.form == 1 || s.values.end == nullptr) return kOkStatus;
    QC_TRY(s.gaps.reader.finish());
    return s.values.reader.finish();
}

// ---- encoding

#if QC_X86
constexpr Variants<SplitFn> split_symbols{split_portable, split_avx2, split_avx512};
#else
constexpr Variants<SplitFn> split_symbols{split_portable};
#endif

// The most frequent symbol, of all or of a sample; the lowest of several.
std::uint8_t choose_zero(std::span<const std::uint8_t> symbols) noexcept {
    constexpr std::size_t kPieces = 64, kPiece = 128;
    std::uint32_t counts[256] = {};
    const std::size_t n = symbols.size();
    if (n <= kPieces * kPiece) {
        for (const std::uint8_t s : symbols) ++counts[s];
    } else {
        for (std::size_t k = 0; k < kPieces; ++k) {
            for (const std::uint8_t s : symbols.subspan((n - kPiece) / (kPieces - 1) * k, kPiece)) {
                ++counts[s];
            }
        }
    }
    return static_cast<std::uint8_t>(std::max_element(counts, counts + 256) - counts);
}

// Form 0 into scratch; empty where it surely takes `limit` bytes or more.
std::span<const std::uint8_t> encode_runs(std::span<const std::uint8_t> symbols, unsigned bits,
                                          Then then, Workspace& workspace, std::size_t limit) {
    constexpr std::size_t kPiece = std::size_t{1} << 16;
    const std::size_t n = symbols.size();
    const std::uint8_t zero = choose_zero(symbols);
    std::uint8_t* const gaps = workspace.get(Workspace::kCoder, 2 * (n + kSlack));
    std::uint8_t* const values = gaps + n + kSlack;
    Split split;
    for (std::size_t i = 0; i < n; i += kPiece) {
        split_symbols.pick()(symbols.data() + i, std::min(kPiece, n - i), zero, gaps, values,
                             split);
        // Stored gaps alone are too long, unless all of them are equal.
        if (then == kBitpack && split.n_gaps > limit &&
            std::memcmp(gaps, gaps + 1, split.n_gaps - 1) != 0) {
            return {};
        }
    }
    std::uint8_t* const out = workspace.get(
        Workspace::kCoder3, 4 + 2 * kMaxVarint + split.n_gaps + split.n_values);
    std::size_t at = 0;
    out[at++] = 0;
    out[at++] = zero;
    at += put_varint(out + at, split.n_values);
    if (split.n_values == 0) return {out, at};
    at += put_varint(out + at, split.n_gaps);
    // All of the workspace's slots for coders are in use; the coder that follows has its own.
    thread_local Workspace nested;
    const CoderKernel& coder = coder_of(then);
    at += put_stream(gaps, split.n_gaps, 8, coder, nested, out + at);
    at += put_stream(values, split.n_values, bits, coder, nested, out + at);
    return {out, at};
}

template <Then kThen>
std::size_t encode(std::span<const std::uint8_t> symbols, unsigned bits, Workspace& workspace,
                   std::span<std::uint8_t> out) {
    if (symbols.size() > kMaxCount) return 0;
    std::size_t limit = out.size();
    std::span<const std::uint8_t> ternary;
    if (bits >= 2) ternary = base3::encode(symbols, workspace);
    const bool form_1 = !ternary.empty() && 1 + ternary.size() < limit;
    if (form_1) limit = 1 + ternary.size();
    const auto runs = encode_runs(symbols, bits, kThen, workspace, limit);
    if (!runs.empty() && runs.size() < limit) {
        std::memcpy(out.data(), runs.data(), runs.size());
        return runs.size();
    }
    if (!form_1) return 0;
    out[0] = 1;
    std::memcpy(out.data() + 1, ternary.data(), ternary.size());
    return limit;
}

template <Then kThen>
constexpr CoderKernel make_kernel(const char* name, std::uint8_t id) noexcept {
    return {name, id,   sizeof(State) + memory_bytes(kThen), encode<kThen>, open<kThen>,
            next, skip, finish};
}

constexpr CoderKernel kAlone = make_kernel<kBitpack>("zero_run", 4);
constexpr CoderKernel kThenHuffman = make_kernel<kHuffman>("zero_run(then='huffman')", 5);
constexpr CoderKernel kThenRans = make_kernel<kRans>("zero_run(then='rans')", 6);
const RegisterCoder registered[] = {RegisterCoder{kAlone}, RegisterCoder{kThenHuffman},
                                    RegisterCoder{kThenRans}};

}  // namespace
}  // namespace qc::zero_run
