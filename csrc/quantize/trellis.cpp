// quantize/trellis.cpp - levels that follow a trellis, to the points that they stand for: FORMAT.md, "trellis".
//
// The trellis is the coder's matter: to a reader of symbols every level is a point of one grid.
#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "quantize/floats.hpp"
#include "quantize/lookup.hpp"
#include "quantize/quantizer.hpp"
#include "quantize/trellis_points.hpp"
#include "quantize/uniform.hpp"
#include "quantize/uniform_section.hpp"

namespace qc {
namespace {

constexpr std::uint8_t kScaleIsStep = 1;
constexpr std::uint8_t kShiftsFollow = 2;
constexpr std::uint8_t kShiftsAsBefore = 4;

Status read_patches(ChunkRange range, ByteReader& in, ChunkState& state) noexcept {
    std::uint64_t n = 0;
    QC_TRY(in.varint(n, "trellis: number of patches"));
    if (n > range.count) return corrupt("trellis: more patches than elements", in.at());
    QC_TRY(in.take(4 * n, state.patched, "trellis: patched elements"));
    std::uint64_t least = 0;
    for (std::uint64_t k = 0; k < n; ++k) {
        const auto at = load<std::uint32_t>(state.patched.data() + 4 * k);
        if (at < least || at >= range.count) return corrupt("trellis: patched element", in.at());
        least = std::uint64_t{at} + 1;
    }
    QC_TRY(in.take(4 * n, state.patches, "trellis: patched values"));
    for (std::uint64_t k = 0; k < n; ++k) {
        const auto q = load<std::int32_t>(state.patches.data() + 4 * k);
        if (q < -kMaxEscape || q > kMaxEscape) return corrupt("trellis: patched value beyond 2^24");
    }
    return kOkStatus;
}

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace, ChunkState& state) {
    std::uint8_t form = 0;
    std::uint8_t width = 0;
    QC_TRY(in.get(form, "trellis: section"));
    QC_TRY(in.get(width, "trellis: section"));
    const bool two_shifts = (form & kShiftsFollow) != 0 && (form & kShiftsAsBefore) != 0;
    if (form > 7 || two_shifts || ((form & kScaleIsStep) != 0 && t.step == 0)) {
        return corrupt("trellis: unknown form", in.at() - 2);
    }
    if (width < 3 || width > 8) return corrupt("trellis: width", in.at() - 1);
    float* const scale = workspace.get_as<float>(Workspace::kParams, 1);
    if ((form & kScaleIsStep) != 0) {
        *scale = t.step;
    } else {
        std::span<const std::uint8_t> raw;
        QC_TRY(in.take(4, raw, "trellis: scale"));
        QC_TRY(read_scales(raw, false, 1, scale));
        if (*scale == 0) return corrupt("trellis: scale", in.at() - 4);
    }
    QC_TRY(read_shifts((form & kShiftsFollow) != 0, (form & kShiftsAsBefore) != 0, in, state));
    QC_TRY(read_patches(range, in, state));
    state.scales = scale;
    state.entries = 1;
    state.width = width;
    state.zero_point = 1 << (width - 1);
    state.planes = 1;
    state.bits[0] = width;
    state.pointwise = state.patched.empty();
    state.table = nullptr;
    return kOkStatus;
}

const std::uint8_t* table_of(ChunkState& state, DType to, Workspace& workspace) {
    if (state.table != nullptr && state.table_dtype == to) return state.table;
    float values[256] = {};
    for (int s = 0; s < 2 * state.zero_point; ++s) {
        values[s] = trellis::point(s - state.zero_point, state.shifts, state.scales[0]);
    }
    std::uint8_t* const table = workspace.get(Workspace::kTable, kTableBytes);
    from_f32_portable(values, 256, table, to);
    state.table = table;
    state.table_dtype = to;
    return table;
}

void patch(const ChunkState& state, std::size_t at, std::size_t n, std::uint8_t* out, DType out_dtype) noexcept {
    const std::size_t patches = state.patched.size() / 4;
    const auto element = [&](std::size_t k) { return load<std::uint32_t>(state.patched.data() + 4 * k); };
    std::size_t k = 0;
    for (std::size_t step = std::size_t{1} << 20; step > 0; step /= 2) {
        if (k + step <= patches && element(k + step - 1) < at) k += step;
    }
    for (; k < patches && element(k) < at + n; ++k) {
        const float value = static_cast<float>(load<std::int32_t>(state.patches.data() + 4 * k)) * state.scales[0];
        from_f32_portable(&value, 1, out + (element(k) - at) * item_bytes(out_dtype), out_dtype);
    }
}

Status inverse(const TensorSpec&, ChunkRange, ChunkState& state, const std::uint8_t* const* planes, std::size_t at,
               std::size_t n, std::uint8_t* out, DType out_dtype, Workspace& workspace) noexcept {
    lookup.pick()(planes[0], state.width, n, table_of(state, out_dtype, workspace), item_bytes(out_dtype), out);
    if (!state.patched.empty()) patch(state, at, n, out, out_dtype);
    return kOkStatus;
}

bool point_table(ChunkState& state, DType to, Workspace& workspace, SymbolTable& table) noexcept {
    table = {table_of(state, to, workspace), 2u * static_cast<unsigned>(state.zero_point)};
    return true;
}

constexpr QuantizerKernel kTrellis{.name = "trellis",
                                   .id = 9,
                                   .open = open,
                                   .inverse = inverse,
                                   .table = point_table,
                                   .patch = patch};
const RegisterQuantizer registered{kTrellis};

}  // namespace
}  // namespace qc
