// quantize/dithered.cpp - uniform quantization with subtractive dither: FORMAT.md, "dithered".
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/bytes.hpp"
#include "quantize/dither.hpp"
#include "quantize/dithered.hpp"
#include "quantize/floats.hpp"
#include "quantize/quantizer.hpp"

namespace qc {
namespace {

constexpr std::uint8_t kUniformId = 2;  // sections are those of `uniform` with a step

// Calls f(dither, lower half of the element's number, offset, n) for runs of equal upper halves.
template <class F>
void for_runs(std::uint64_t seed, std::uint64_t first, std::size_t count, F f) {
    for (std::size_t at = 0; at < count;) {
        const std::uint64_t left = (std::uint64_t{1} << 32) - ((first + at) & 0xFFFFFFFFu);
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, count - at));
        f(Dither(seed, first + at), static_cast<std::uint32_t>(first + at), at, n);
        at += n;
    }
}

[[gnu::always_inline]] inline void subtract(const Dither& dither, std::uint32_t element, float scale,
                                            std::size_t n, float* values) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        values[i] = (values[i] - dither.value(element + static_cast<std::uint32_t>(i))) * scale;
    }
}

using SubtractFn = void (*)(const Dither&, std::uint32_t element, float scale, std::size_t n,
                            float* values);

void subtract_portable(const Dither& d, std::uint32_t element, float scale, std::size_t n,
                       float* values) {
    subtract(d, element, scale, n, values);
}
#if QC_X86
#pragma GCC push_options
#pragma GCC target("avx2")
void subtract_avx2(const Dither& d, std::uint32_t element, float scale, std::size_t n, float* values) {
    subtract(d, element, scale, n, values);
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
void subtract_avx512(const Dither& d, std::uint32_t element, float scale, std::size_t n,
                     float* values) {
    subtract(d, element, scale, n, values);
}
#pragma GCC pop_options
constinit const Variants<SubtractFn> subtract_dither{subtract_portable, subtract_avx2,
                                                     subtract_avx512};
#else
constinit const Variants<SubtractFn> subtract_dither{subtract_portable};
#endif

Status forward(const TensorSpec&, ChunkRange range, const std::uint8_t*, const Params&, Workspace&,
               ChunkSymbols&) {
    return {Code::kInput, range.first, "dithered symbols are chosen by the caller"};
}

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    const std::size_t start = in.at();
    QC_TRY(find_quantizer(kUniformId)->open(t, range, in, workspace, state));
    return state.shifts.empty() ? kOkStatus : corrupt("dithered: shifts", start);
}

// Integers of the symbols, escapes put back.
Status integers(ChunkState& state, const std::uint8_t* const* planes, std::size_t n, float* out) noexcept {
    const std::size_t escapes = state.escapes.size() / 4;
    const bool wide = state.width == 16;
    for (std::size_t i = 0; i < n; ++i) {
        const int symbol = wide ? planes[0][i] << 8 | planes[1][i] : planes[0][i];
        out[i] = static_cast<float>(symbol - state.zero_point);
    }
    if (escapes == 0) return kOkStatus;
    for (std::size_t i = 0; i < n; ++i) {
        if (planes[0][i] != 0 || (wide && planes[1][i] != 0)) continue;
        if (state.escapes_used == escapes) return corrupt("dithered: more escape symbols than values");
        const auto q = load<std::int32_t>(state.escapes.data() + 4 * state.escapes_used++);
        out[i] = static_cast<float>(q);
    }
    return kOkStatus;
}

Status inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, std::uint8_t* out,
               DType out_dtype, Workspace& workspace) noexcept {
    float* const values = workspace.get_as<float>(Workspace::kConvert, n);
    QC_TRY(integers(state, planes, n, values));
    for_runs(t.seed, range.first + at, n,
             [&](const Dither& d, std::uint32_t element, std::size_t from, std::size_t count) {
                 subtract_dither.pick()(d, element, state.scales[0], count, values + from);
             });
    from_f32.pick()(values, n, out, out_dtype);
    return kOkStatus;
}

Status finish(const ChunkState& state) noexcept {
    return state.escapes_used * 4 == state.escapes.size()
               ? kOkStatus
               : corrupt("dithered: fewer escape symbols than values");
}

bool never_rotated(const TensorSpec&) noexcept { return false; }

void classes(const TensorSpec& t, ChunkRange range, std::uint8_t* out) noexcept {
    for_runs(t.seed, range.first, range.count,
             [&](const Dither& d, std::uint32_t element, std::size_t at, std::size_t n) {
                 for (std::size_t i = 0; i < n; ++i) {
                     out[at + i] = static_cast<std::uint8_t>(
                         d.class_of(element + static_cast<std::uint32_t>(i)));
                 }
             });
}

constexpr QuantizerKernel kDithered{"dithered",    3,       forward, open, inverse, finish,
                                    never_rotated, nullptr, classes};
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
