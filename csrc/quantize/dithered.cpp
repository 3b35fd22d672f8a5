// quantize/dithered.cpp - uniform quantization with subtractive dither: FORMAT.md, "dithered".
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/bytes.hpp"
#include "quantize/dither.hpp"
#include "quantize/dithered.hpp"
#include "quantize/dithered_kernels.hpp"
#include "quantize/floats.hpp"
#include "quantize/quantizer.hpp"

namespace qc {
namespace {

using namespace dithered;

constexpr std::uint8_t kUniformId = 2;  // sections are those of `uniform` with a step

typedef std::uint32_t Words __attribute__((vector_size(kDitherClasses * 4), aligned(4)));
typedef std::int32_t Integers __attribute__((vector_size(kDitherClasses * 4), aligned(4)));
typedef float Floats __attribute__((vector_size(kDitherClasses * 4), aligned(4)));

constexpr Words kLanes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

[[gnu::always_inline]] inline void dithers(const Dither& dither, std::uint32_t element,
                                           Floats& out) noexcept {
    Words x = (element + kLanes) * kWeyl + dither.element_key();
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    x = (x ^ x >> 16) >> 13;
    const Words classes = (kLanes + dither.turn_of(element)) % kDitherClasses;
    const Integers odd = reinterpret_cast<Integers>((classes << 19 | x) * 2 + 1);
    out = __builtin_convertvector(odd - (1 << 23), Floats) * 0x1p-24f;
}

// A group at a time, in vectors as wide as the machine has them.
[[gnu::always_inline]] inline void subtract(const Run& run, const Symbols& symbols, float scale,
                                            float* out) noexcept {
    const auto [high, low, zero] = symbols;
    if (high == nullptr) {
        for (std::size_t i = 0; i < run.n; ++i) out[i] = static_cast<float>(low[i] - zero);
    } else {
        for (std::size_t i = 0; i < run.n; ++i) {
            out[i] = static_cast<float>((high[i] << 8 | low[i]) - zero);
        }
    }
    std::size_t at = 0;
    for (; at + kDitherClasses <= run.n; at += kDitherClasses) {
        Floats value;
        Floats u;
        std::memcpy(&value, out + at, sizeof value);
        dithers(run.dither, run.element + static_cast<std::uint32_t>(at), u);
        value = (value - u) * scale;
        std::memcpy(out + at, &value, sizeof value);
    }
    for (; at < run.n; ++at) {
        out[at] = (out[at] - run.dither.value(run.element + static_cast<std::uint32_t>(at))) * scale;
    }
}

}  // namespace

namespace dithered {

void turn_portable(const Run& run, const std::uint8_t* const* planes, std::uint8_t* out) {
    for (std::size_t i = 0; i < run.n; ++i) {
        const auto element = run.element + static_cast<std::uint32_t>(i);
        out[i] = planes[run.dither.class_of(element)][i / kDitherClasses];
    }
}

void every_portable(const Every& every, const std::uint8_t* symbols, std::int32_t zero, float scale, float* out) {
    for (std::size_t i = 0; i < every.n; ++i) {
        const std::uint32_t element = every.first + static_cast<std::uint32_t>(i) * every.stride;
        out[i] = (static_cast<float>(symbols[i] - zero) - every.dither.value(element)) * scale;
    }
}

void subtract_portable(const Run& run, const Symbols& symbols, float scale, bool, float* out) {
    subtract(run, symbols, scale, out);
}

}  // namespace dithered

namespace {

#if QC_X86
constinit const Variants<SubtractFn> subtract_dither{subtract_portable, subtract_avx2,
                                                     subtract_avx512};
constinit const Variants<EveryFn> subtract_from_every{every_portable, every_avx2, every_avx512};
constinit const Variants<TurnFn> turn_classes{turn_portable, turn_avx2, turn_avx512};
#else
constinit const Variants<SubtractFn> subtract_dither{subtract_portable};
constinit const Variants<EveryFn> subtract_from_every{every_portable};
constinit const Variants<TurnFn> turn_classes{turn_portable};
#endif

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    const std::size_t start = in.at();
    QC_TRY(find_quantizer(kUniformId)->open(t, range, in, workspace, state));
    state.pointwise = false;
    return state.shifts.empty() ? kOkStatus : corrupt("dithered: shifts", start);
}

// Symbol 0 stands for the next escaped value.
Status patch_escapes(const TensorSpec& t, ChunkRange range, ChunkState& state,
                     const std::uint8_t* high, const std::uint8_t* low, std::size_t at, std::size_t n,
                     float* values) noexcept {
    const std::size_t escapes = state.escapes.size() / 4;
    const std::uint8_t* const scan = high != nullptr ? high : low;
    for (std::size_t i = 0; i < n; ++i) {
        const void* const hit = std::memchr(scan + i, 0, n - i);
        if (hit == nullptr) break;
        i = static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - scan);
        if (low[i] != 0) continue;
        if (state.escapes_used == escapes) return corrupt("dithered: more escape symbols than values");
        const auto q = load<std::int32_t>(state.escapes.data() + 4 * state.escapes_used++);
        const std::uint64_t element = range.first + at + i;
        const auto low_half = static_cast<std::uint32_t>(element);
        values[i] = (static_cast<float>(q) - Dither(t.seed, element).value(low_half)) * state.scales[0];
    }
    return kOkStatus;
}

Status inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, std::uint8_t* out,
               DType out_dtype, Workspace& workspace) noexcept {
    const std::uint8_t* const high = state.width == 16 ? planes[0] : nullptr;
    const std::uint8_t* const low = planes[state.width == 16 ? 1 : 0];
    const bool direct = out_dtype == DType::kF32;
    float* const values = direct ? reinterpret_cast<float*>(out)
                                 : workspace.get_as<float>(Workspace::kConvert, n);
    const Symbols symbols{high, low, state.zero_point};
    for_runs(t.seed, range.first + at, n,
             [&](const Dither& d, std::uint32_t element, std::size_t from, std::size_t count) {
                 // What lies outside the blocks of a transform may begin inside a group.
                 const std::size_t head = std::min<std::size_t>(-element % kDitherClasses, count);
                 const Run run{d, element, count};
                 subtract_portable({d, element, head}, symbols.from(from), state.scales[0], false, values + from);
                 subtract_dither.pick()(run.from(head), symbols.from(from + head), state.scales[0],
                                        state.stream_stores, values + from + head);
             });
    if (!state.escapes.empty()) {
        QC_TRY(patch_escapes(t, range, state, high, low, at, n, values));
    }
    if (!direct) from_f32.pick()(values, n, out, out_dtype);
    return kOkStatus;
}

// A chunk does not lie across a multiple of 2^32.
void inverse_every(const TensorSpec& t, ChunkRange range, const ChunkState& state, const std::uint8_t* symbols,
                   std::size_t at, std::size_t stride, std::size_t n, float* out) noexcept {
    const Dither dither(t.seed, range.first + at);
    const Every every{dither, static_cast<std::uint32_t>(range.first + at), static_cast<std::uint32_t>(stride), n};
    subtract_from_every.pick()(every, symbols, state.zero_point, state.scales[0], out);
}

// Where the symbols of each class begin. Classes have a symbol of each whole group; in the last group, those that are
// met come once more.
template <class Byte>
void class_begins(const TensorSpec& t, ChunkRange range, Byte* plane, Byte** begins) noexcept {
    const std::size_t groups = range.count / kDitherClasses;
    std::size_t more[kDitherClasses + 1] = {};
    for (std::size_t i = groups * kDitherClasses; i < range.count; ++i) {
        const std::uint64_t element = range.first + i;
        ++more[Dither(t.seed, element).class_of(static_cast<std::uint32_t>(element)) + 1];
    }
    for (unsigned c = 0; c < kDitherClasses; ++c) {
        if (c > 0) more[c] += more[c - 1];
        begins[c] = plane + c * groups + more[c];
    }
}

// Runs of elements from number `at` of the chunk on, n of them: fn(run, offset, where their classes go on).
template <class Byte, class Fn>
void for_classes(const TensorSpec& t, ChunkRange range, Byte* plane, std::size_t at, std::size_t n, Fn fn) noexcept {
    Byte* begins[kDitherClasses];
    class_begins(t, range, plane, begins);
    for_runs(t.seed, range.first + at, n,
             [&](const Dither& d, std::uint32_t element, std::size_t done, std::size_t count) {
                 Byte* planes[kDitherClasses];
                 for (unsigned c = 0; c < kDitherClasses; ++c) planes[c] = begins[c] + (at + done) / kDitherClasses;
                 fn(Run{d, element, count}, done, planes);
             });
}

void gather(const TensorSpec& t, ChunkRange range, const std::uint8_t* plane, std::size_t at,
            std::size_t n, std::uint8_t* out) noexcept {
    for_classes(t, range, plane, at, n, [&](const Run& run, std::size_t done, const std::uint8_t* const* planes) {
        turn_classes.pick()(run, planes, out + done);
    });
}

void scatter(const TensorSpec& t, ChunkRange range, const std::uint8_t* symbols, std::uint8_t* plane) noexcept {
    for_classes(t, range, plane, 0, range.count, [&](const Run& run, std::size_t done, std::uint8_t* const* planes) {
        scatter_classes.pick()(run, symbols + done, planes);
    });
}

Status finish(const ChunkState& state) noexcept {
    return state.escapes_used * 4 == state.escapes.size()
               ? kOkStatus
               : corrupt("dithered: fewer escape symbols than values");
}

void classes(const TensorSpec& t, ChunkRange range, std::uint8_t* out) noexcept {
    for_runs(t.seed, range.first, range.count,
             [&](const Dither& d, std::uint32_t element, std::size_t at, std::size_t n) {
                 for (std::size_t i = 0; i < n; ++i) {
                     out[at + i] = static_cast<std::uint8_t>(
                         d.class_of(element + static_cast<std::uint32_t>(i)));
                 }
             });
}

#if QC_X86
bool streams(const TensorSpec&, const ChunkState&, DType to) noexcept {
    return to == DType::kF32 && subtract_dither.pick() == subtract_avx512;
}
#else
bool streams(const TensorSpec&, const ChunkState&, DType) noexcept { return false; }
#endif

constexpr QuantizerKernel kDithered{.name = "dithered",
                                    .id = 3,
                                    .open = open,
                                    .inverse = inverse,
                                    .inverse_every = inverse_every,
                                    .finish = finish,
                                    .classes = classes,
                                    .gather = gather,
                                    .scatter = scatter,
                                    .streams = streams};
const RegisterQuantizer registered{kDithered};

}  // namespace

void fill_dither(std::uint64_t seed, std::uint64_t first, std::size_t n, float* out) {
    for_runs(seed, first, n,
             [&](const Dither& d, std::uint32_t element, std::size_t at, std::size_t count) {
                 for (std::size_t i = 0; i < count; ++i) {
                     out[at + i] = d.value(element + static_cast<std::uint32_t>(i));
                 }
             });
}

}  // namespace qc
