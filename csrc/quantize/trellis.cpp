// quantize/trellis.cpp - levels that follow a trellis, to the points that they stand for: FORMAT.md, "trellis".
//
// The trellis is the coder's matter: to a reader of symbols every level is a point of one grid.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>

#include "core/bits.hpp"
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
constexpr std::uint8_t kCodesFollow = 8;
constexpr unsigned kMostCodes = 64;
constexpr std::size_t kShortRun = 32;  // below, setting a table up takes longer than the look-ups

// Where groups have scales of their own.
struct Groups {
    const TensorSpec* tensor;
    ChunkRange range;
    std::uint64_t met;                     // codes, a bit each
    std::uint64_t filled;                  // tables of kTable that are there, in the state's table_dtype
    alignas(64) float scales[kMostCodes];  // of codes
    std::uint8_t* codes;                   // of groups met in the chunk

    // The group of an element of the chunk, and how many of its elements follow one another from there.
    std::uint64_t at(std::size_t element) const noexcept { return range.entry(*tensor, range.first + element); }
    std::uint64_t left(std::size_t element) const noexcept {
        return tensor->inner - (range.first + element) % tensor->inner;
    }
    float scale_at(std::size_t element) const noexcept { return scales[codes[at(element)]]; }
};

// Null where one scale serves all.
Groups* groups_of(const ChunkState& state) noexcept { return static_cast<Groups*>(state.own); }

// FORMAT.md, "trellis": the f32 nearest to 2^((code mod 4) / 4), times 2^(code div 4).
float factor(unsigned code) noexcept {
    constexpr float kQuarters[] = {1.0f, 0x1.306fe0p+0f, 0x1.6a09e6p+0f, 0x1.ae89fap+0f};
    return kQuarters[code % 4] * static_cast<float>(std::uint32_t{1} << code / 4);
}

Status read_codes(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace, ChunkState& state) {
    std::uint8_t width = 0;
    QC_TRY(in.get(width, "trellis: codes of groups"));
    if (width > 6) return corrupt("trellis: width of codes", in.at() - 1);
    const std::uint64_t entries = range.entries(t);
    std::span<const std::uint8_t> raw;
    QC_TRY(in.take(bytes_for_bits(entries * width), raw, "trellis: codes of groups"));
    std::uint8_t* const room = workspace.get(Workspace::kParams2, sizeof(Groups) + entries);
    auto* const groups = new (room) Groups{&t, range, 0, 0, {}, room + sizeof(Groups)};
    BitReader codes(raw);
    for (std::uint64_t k = 0; k < entries; ++k) {
        groups->codes[k] = static_cast<std::uint8_t>(codes.get(width));
        groups->met |= std::uint64_t{1} << groups->codes[k];
    }
    if (!codes.padding_is_zero()) return corrupt("trellis: padding after codes", in.at() - 1);
    for (unsigned code = 0; code < kMostCodes; ++code) groups->scales[code] = state.scales[0] * factor(code);
    const auto most = static_cast<unsigned>(std::bit_width(groups->met)) - 1;
    if (!std::isfinite(groups->scales[most])) return corrupt("trellis: the scale of a group is not finite", in.at());
    state.own = groups;
    return kOkStatus;
}

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
    const bool coded = (form & kCodesFollow) != 0;
    if (form > 15 || two_shifts || coded != (t.dim > 1) || ((form & kScaleIsStep) != 0 && t.step == 0)) {
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
    state.scales = scale;
    state.own = nullptr;
    if (coded) QC_TRY(read_codes(t, range, in, workspace, state));
    QC_TRY(read_shifts((form & kShiftsFollow) != 0, (form & kShiftsAsBefore) != 0, in, state));
    QC_TRY(read_patches(range, in, state));
    state.entries = 1;
    state.width = width;
    state.zero_point = 1 << (width - 1);
    state.planes = 1;
    state.bits[0] = width;
    state.pointwise = state.patched.empty() && state.own == nullptr;
    state.table = nullptr;
    return kOkStatus;
}

void fill_table(const ChunkState& state, float scale, DType to, std::uint8_t* table) noexcept {
    float values[256] = {};
    for (int s = 0; s < 2 * state.zero_point; ++s) values[s] = trellis::point(s - state.zero_point, state.shifts, scale);
    from_f32_portable(values, 256, table, to);
}

// Of a chunk with one scale.
const std::uint8_t* table_of(ChunkState& state, DType to, Workspace& workspace) {
    if (state.table != nullptr && state.table_dtype == to) return state.table;
    std::uint8_t* const table = workspace.get(Workspace::kTable, kTableBytes);
    fill_table(state, state.scales[0], to, table);
    state.table = table;
    state.table_dtype = to;
    return table;
}

void patch(const ChunkState& state, std::size_t at, std::size_t n, std::uint8_t* out, DType out_dtype) noexcept {
    const Groups* const groups = groups_of(state);
    state.for_patched(at, at + n, [&](std::size_t k, std::size_t element) {
        const float scale = groups != nullptr ? groups->scale_at(element) : state.scales[0];
        const float value = static_cast<float>(load<std::int32_t>(state.patches.data() + 4 * k)) * scale;
        from_f32_portable(&value, 1, out + (element - at) * item_bytes(out_dtype), out_dtype);
    });
}

// Of all codes, whole and by bytes.
std::uint8_t* tables_in(Workspace& workspace) {
    return workspace.get(Workspace::kTable, kMostCodes * (kTableBytes + GroupTables::kBytes));
}

// Run by run of elements of one group.
void look_up_groups(Groups& groups, ChunkState& state, const std::uint8_t* symbols, std::size_t at, std::size_t n,
                    std::uint8_t* out, DType to, Workspace& workspace) {
    std::uint8_t* const tables = tables_in(workspace);
    if (state.table == nullptr || state.table_dtype != to) groups.filled = 0;
    state.table = tables;
    state.table_dtype = to;
    const std::size_t item = item_bytes(to);
    std::uint64_t group = groups.at(at);
    std::uint64_t left = groups.left(at);
    for (std::size_t i = 0, m = 0; i < n; i += m, left = groups.tensor->inner) {
        m = std::min<std::uint64_t>(left, n - i);
        const unsigned code = groups.codes[group];
        std::uint8_t* const table = tables + code * kTableBytes;
        if ((groups.filled >> code & 1) == 0) fill_table(state, groups.scales[code], to, table);
        groups.filled |= std::uint64_t{1} << code;
        if (m < kShortRun) {
            lookup_rest(symbols + i, 0, m, table, item, out + i * item);
        } else {
            lookup.pick()(symbols + i, state.width, m, table, item, out + i * item);
        }
        if (++group == groups.tensor->dim) group = 0;
    }
}

Status inverse(const TensorSpec&, ChunkRange, ChunkState& state, const std::uint8_t* const* planes, std::size_t at,
               std::size_t n, std::uint8_t* out, DType out_dtype, Workspace& workspace) noexcept {
    if (Groups* const groups = groups_of(state); groups != nullptr) {
        look_up_groups(*groups, state, planes[0], at, n, out, out_dtype, workspace);
    } else {
        lookup.pick()(planes[0], state.width, n, table_of(state, out_dtype, workspace), item_bytes(out_dtype), out);
    }
    if (!state.patched.empty()) patch(state, at, n, out, out_dtype);
    return kOkStatus;
}

bool point_table(ChunkState& state, DType to, Workspace& workspace, SymbolTable& table) noexcept {
    if (groups_of(state) != nullptr) return false;
    table = {table_of(state, to, workspace), 2u * static_cast<unsigned>(state.zero_point)};
    return true;
}

bool group_tables(ChunkState& state, DType to, Workspace& workspace, GroupTables& tables) noexcept {
    const Groups* const groups = groups_of(state);
    if (groups == nullptr) return false;
    std::uint8_t* const planes = tables_in(workspace) + kMostCodes * kTableBytes;
    for (unsigned code = 0; code < kMostCodes; ++code) {
        if ((groups->met >> code & 1) == 0) continue;
        alignas(64) std::uint8_t table[kTableBytes];
        alignas(64) std::uint8_t bytes[4 * 256];
        fill_table(state, groups->scales[code], to, table);
        split_bytes(table, item_bytes(to), bytes);
        std::memcpy(planes + code * GroupTables::kBytes, bytes + (to == DType::kF32 ? 512 : 0), GroupTables::kBytes);
    }
    tables = {planes, groups->codes};
    return true;
}

constexpr QuantizerKernel kTrellis{.name = "trellis",
                                   .id = 9,
                                   .open = open,
                                   .inverse = inverse,
                                   .table = point_table,
                                   .group_tables = group_tables,
                                   .patch = patch};
const RegisterQuantizer registered{kTrellis};

}  // namespace
}  // namespace qc
