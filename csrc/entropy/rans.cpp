// entropy/rans.cpp - the coder `rans`: FORMAT.md, "rans". This file: the two forms and the state.
//
// Plain form: one stream. Masked form, for symbols of which most are equal: a plain stream of
// four-bit masks that say where the others are, and one of the others.
#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/coder.hpp"
#include "entropy/rans_decode.hpp"
#include "entropy/rans_encode.hpp"
#include "simd/isa.hpp"

namespace qc {
namespace {

using namespace rans;

struct State {
    Stream main;    // the symbols, or the masks
    Stream values;  // masked form only
    alignas(64) std::uint8_t out[kBlock + 64];
    std::uint8_t masks[kBlock / 4 + 64];
    std::uint8_t waiting[3 * kBlock + 128];  // values; bad masks may read on for a kBlock
    std::size_t count;
    std::size_t done;
    std::size_t first_waiting;
    std::size_t n_waiting;
    std::size_t values_left;  // not yet decoded
    bool masked;
    std::uint8_t zero;
    MergeFn merge;
};

#if QC_X86
constexpr Variants<MergeFn> kMerge{merge_portable, merge_avx2, merge_avx512};
#else
constexpr Variants<MergeFn> kMerge{merge_portable};
#endif

Status open_masked(State& s, std::span<const std::uint8_t> payload, std::size_t count,
                   unsigned bits) noexcept {
    ByteReader in(payload);
    std::uint8_t form = 0;
    std::uint64_t n_values = 0;
    std::uint64_t mask_bytes = 0;
    std::span<const std::uint8_t> masks;
    QC_TRY(in.get(form, "rans: header"));
    QC_TRY(in.get(s.zero, "rans: header"));
    if (s.zero >> bits != 0) return corrupt("rans: most frequent symbol out of range", 1);
    QC_TRY(in.varint(n_values, "rans: number of values"));
    if (n_values == 0 || n_values > count) return corrupt("rans: number of values", 2);
    QC_TRY(in.varint(mask_bytes, "rans: length of the masks"));
    QC_TRY(in.take(mask_bytes, masks, "rans: masks"));
    QC_TRY(open_plain(s.main, masks, (count + 3) / 4, 4, kPlainForm));
    s.values_left = static_cast<std::size_t>(n_values);
    QC_TRY(open_plain(s.values, payload.subspan(in.at()), s.values_left, bits, kPlainForm));
    s.first_waiting = s.n_waiting = 0;
    s.merge = kMerge.pick();
    return kOkStatus;
}

Status open_rans(void* state, std::span<const std::uint8_t> payload, std::size_t count,
                 unsigned bits) noexcept {
    State& s = *static_cast<State*>(state);
    if (payload.empty()) return truncated("rans: header");
    s.count = count;
    s.done = 0;
    s.masked = payload[0] == 1;
    return s.masked ? open_masked(s, payload, count, bits)
                    : open_plain(s.main, payload, count, bits, payload[0] == kTrellisForm ? kTrellisForm : kPlainForm);
}

Status next_masked(State& s, std::size_t n) noexcept {
    const std::size_t n_masks = (n + 3) / 4;
    QC_TRY(next_plain(s.main, n_masks, s.masks));
    if (n % 4 != 0 && s.masks[n_masks - 1] >> n % 4 != 0) {
        return corrupt("rans: mask goes on after the last symbol");
    }
    if (s.n_waiting < kBlock && s.values_left > 0) {
        std::memmove(s.waiting, s.waiting + s.first_waiting, s.n_waiting);
        s.first_waiting = 0;
        const std::size_t more = std::min(s.values_left, kBlock);
        QC_TRY(next_plain(s.values, more, s.waiting + s.n_waiting));
        s.n_waiting += more;
        s.values_left -= more;
    }
    const std::size_t used = s.merge(s.masks, n, s.waiting + s.first_waiting, s.zero, s.out);
    if (used > s.n_waiting) return corrupt("rans: masks ask for more values than there are");
    s.first_waiting += used;
    s.n_waiting -= used;
    return kOkStatus;
}

Status next_rans(void* state, std::size_t n, const std::uint8_t** symbols) noexcept {
    State& s = *static_cast<State*>(state);
    if (n > kBlock || n > s.count - s.done) return corrupt("rans: read past the last symbol");
    if (s.masked) {
        QC_TRY(next_masked(s, n));
    } else {
        QC_TRY(next_plain(s.main, n, s.out));
    }
    s.done += n;
    *symbols = s.out;
    return kOkStatus;
}

Status skip_rans(void* state, std::size_t n) noexcept {
    const std::uint8_t* symbols = nullptr;
    return next_rans(state, n, &symbols);
}

Status finish_rans(void* state) noexcept {
    const State& s = *static_cast<const State*>(state);
    QC_TRY(finish_plain(s.main));
    if (!s.masked) return kOkStatus;
    QC_TRY(finish_plain(s.values));
    if (s.values_left > 0 || s.n_waiting > 0) return corrupt("rans: values left");
    return kOkStatus;
}

}  // namespace

namespace rans {

Stream* wide_stream(void* state, bool or_trellis) noexcept {
    State& s = *static_cast<State*>(state);
    if (s.masked || s.main.lanes < 64 || (s.main.memory > 0 && !or_trellis)) return nullptr;
    return &s.main;
}

void advance(void* state, std::size_t n) noexcept { static_cast<State*>(state)->done += n; }

}  // namespace rans

namespace {

constexpr CoderKernel kKernel{"rans",   3,         sizeof(State), encode_stream,
                              open_rans, next_rans, skip_rans,     finish_rans};
const RegisterCoder kRegister{kKernel};

}  // namespace
}  // namespace qc
