// quantize/uniform.cpp - the `uniform` quantizer on one chunk: FORMAT.md, "uniform".
#include "quantize/uniform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/bits.hpp"
#include "quantize/dequantize.hpp"
#include "quantize/floats.hpp"
#include "quantize/lookup.hpp"
#include "quantize/quantize.hpp"
#include "quantize/scale_grid.hpp"
#include "quantize/uniform_section.hpp"

namespace qc {
namespace {

// ---- encoding

// All weights finite, and within 2^24 steps of zero. Where bits are given, the fit has looked.
Status check_reach(const float* w, std::size_t n, float step, std::uint64_t first) noexcept {
    const float reach = static_cast<float>(kMaxEscape) * step;
    // Magnitudes compare as integers, NaN and infinity above all finite ones, without branches.
    const std::uint32_t limit = std::min(std::bit_cast<std::uint32_t>(reach), 0x7F7FFFFFu);
    std::uint32_t most = 0;
    for (std::size_t i = 0; i < n; ++i) {
        most = std::max(most, std::bit_cast<std::uint32_t>(w[i]) & 0x7FFFFFFFu);
    }
    if (most <= limit) return kOkStatus;
    for (std::size_t i = 0; i < n; ++i) {
        if (!std::isfinite(w[i])) return {Code::kInput, first + i, "not a finite float32"};
        if (std::fabs(w[i]) > reach) {
            return {Code::kInput, first + i, "more than 2^24 steps from zero"};
        }
    }
    return kOkStatus;
}

// The narrowest width whose symmetric range holds all q, or 8 or 16 with the rest escaped.
unsigned choose_width(const std::int32_t* q, std::size_t n) noexcept {
    std::size_t wide = 0;
    std::uint32_t reach = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto magnitude = static_cast<std::uint32_t>(std::abs(q[i]));
        reach = std::max(reach, magnitude);
        wide += magnitude > 127;
    }
    if (reach <= 127) {
        return static_cast<unsigned>(std::max(1, 1 + static_cast<int>(std::bit_width(reach))));
    }
    return wide <= n / 32 ? 8 : 16;  // an escape costs 32 bits, a second plane 8 bits an element
}

Grid make_grid(const TensorSpec& t, const Params& params, std::uint64_t element) noexcept {
    Grid grid{params.scales.data(),
              t.symmetric ? nullptr : params.zero_points.data(),
              0,
              2.0 * kMaxEscape,
              0,
              t.dim,
              t.inner,
              element / t.inner % t.dim,
              t.inner - element % t.inner};
    if (t.bits == 0) {  // symbols are q + 2^24 until the width is known
        grid.zero_point = kMaxEscape;
        grid.max_symbol = 2 * kMaxEscape;
    } else {
        grid.max_symbol = static_cast<std::int32_t>((std::int64_t{1} << t.bits) - 1);
        if (t.symmetric) {
            grid.zero_point = default_zero_point(t.bits);
            grid.reach = grid.zero_point - 1;
        }
    }
    return grid;
}

// Block by block: symbols of [at, at + n) to sink(at, symbols, n).
template <class Sink>
Status quantize_blocks(const TensorSpec& t, ChunkRange range, const std::uint8_t* data,
                       const Params& params, Workspace& workspace, Sink sink) {
    constexpr std::size_t kStep = 8192;
    float* block = workspace.get_as<float>(Workspace::kConvert, kStep);
    std::int32_t* symbols = workspace.get_as<std::int32_t>(Workspace::kStaging, kStep);
    const auto kernel = quantize.pick();
    const std::size_t item = item_bytes(t.dtype);
    for (std::size_t at = 0; at < range.count; at += kStep) {
        const std::size_t n = std::min(kStep, range.count - at);
        const std::uint64_t element = range.first + at;
        const float* w = f32_view(data + at * item, t.dtype, n, block);
        if (t.bits == 0) QC_TRY(check_reach(w, n, params.scales[0], element));
        if (is_sign_grid(t)) {
            for (std::size_t k = 0; k < n; ++k) symbols[k] = w[k] >= 0.0f;
        } else {
            kernel(w, n, make_grid(t, params, element), symbols);
        }
        sink(at, symbols, n);
    }
    return kOkStatus;
}

void put_planes(const std::int32_t* symbols, std::size_t n, bool wide, std::uint8_t* high,
                std::uint8_t* low) noexcept {
    for (std::size_t i = 0; i < n; ++i) low[i] = static_cast<std::uint8_t>(symbols[i]);
    if (!wide) return;
    for (std::size_t i = 0; i < n; ++i) high[i] = static_cast<std::uint8_t>(symbols[i] >> 8);
}

// Whether scales lie on the grid of codes, and between which. A scale of zero has symbols of zero, so any
// other serves as well.
struct ScaleCodes {
    bool on_grid = true;
    std::uint32_t least = 0;
    std::uint32_t most = 0;

    void add(float scale) noexcept {
        if (scale == 0) return;
        const std::uint32_t code = code_of_scale(scale);
        on_grid &= scale_of_code(code) == scale;
        least = least == 0 ? code : std::min(least, code);
        most = std::max(most, code);
    }
    unsigned bits() const noexcept { return static_cast<unsigned>(std::bit_width(most - least)); }
};

std::uint8_t* put_params(const TensorSpec& t, ChunkRange range, const Params& params,
                         std::uint8_t* form, std::uint8_t* out) noexcept {
    const std::uint64_t entries = range.entries(t);
    const std::uint64_t from = range.first / t.inner;
    bool scales16 = true;
    bool wide = false;
    for (std::uint64_t e = 0; e < entries; ++e) {
        const std::uint64_t g = (from + e) % t.dim;
        scales16 &= (std::bit_cast<std::uint32_t>(params.scales[g]) & 0x7FFF) == 0;
        if (!t.symmetric) wide |= params.zero_points[g] < 0 || params.zero_points[g] > 255;
    }
    *form = static_cast<std::uint8_t>((scales16 ? kScales16 : 0) | (wide ? kWideZeroPoints : 0));
    ScaleCodes codes;
    for (std::uint64_t e = 0; e < entries && codes.on_grid; ++e) codes.add(params.scales[(from + e) % t.dim]);
    if (codes.on_grid && codes.least != 0 && 3 + codes.bits() * entries / 8 < 2 * entries) {
        *form = static_cast<std::uint8_t>(kScaleCodes | (wide ? kWideZeroPoints : 0));
        store(out, static_cast<std::uint16_t>(codes.least));
        out[2] = static_cast<std::uint8_t>(codes.bits());
        BitWriter writer(out + 3);
        for (std::uint64_t e = 0; e < entries; ++e) {
            const float scale = params.scales[(from + e) % t.dim];
            writer.put(scale == 0 ? 0 : code_of_scale(scale) - codes.least, codes.bits());
        }
        out += 3 + writer.finish();
    }
    for (std::uint64_t e = 0; e < entries && !(*form & kScaleCodes); ++e) {
        const auto bits = std::bit_cast<std::uint32_t>(params.scales[(from + e) % t.dim]);
        if (scales16) {
            store(out, static_cast<std::uint16_t>(bits >> 15));
            out += 2;
        } else {
            store(out, bits);
            out += 4;
        }
    }
    for (std::uint64_t e = 0; e < entries && !t.symmetric; ++e) {
        const std::int32_t zero = params.zero_points[(from + e) % t.dim];
        if (wide) {
            store(out, zero);
            out += 4;
        } else {
            *out++ = static_cast<std::uint8_t>(zero);
        }
    }
    return out;
}

// Integers to planes of symbols; what the width does not hold stays, in order, at the front of q.
std::size_t put_escaped(std::int32_t* q, std::size_t n, unsigned width,
                        std::uint8_t* planes) noexcept {
    const std::int32_t zero = default_zero_point(width);
    std::uint8_t* low = width == 16 ? planes + kChunk : planes;
    std::size_t escapes = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const bool escaped = std::abs(q[i]) >= zero && zero > 1;
        const std::int32_t symbol = escaped ? 0 : q[i] + zero;
        low[i] = static_cast<std::uint8_t>(symbol);
        if (width == 16) planes[i] = static_cast<std::uint8_t>(symbol >> 8);
        if (escaped) q[escapes++] = q[i];
    }
    return escapes;
}

Status forward(const TensorSpec& t, ChunkRange range, const std::uint8_t* data,
               const Params& params, Workspace& workspace, ChunkSymbols& out) {
    std::uint8_t* planes = workspace.get(Workspace::kSymbols, 2 * kChunk);
    unsigned width = t.bits;
    std::size_t escapes = 0;
    std::int32_t* q = nullptr;
    if (t.bits != 0) {
        QC_TRY(quantize_blocks(t, range, data, params, workspace,
                               [&](std::size_t at, const std::int32_t* symbols, std::size_t n) {
                                   const bool wide = width == 16;
                                   put_planes(symbols, n, wide, planes + at,
                                              planes + at + (wide ? kChunk : 0));
                               }));
    } else {
        q = workspace.get_as<std::int32_t>(Workspace::kEscapes, range.count);
        QC_TRY(quantize_blocks(t, range, data, params, workspace,
                               [&](std::size_t at, const std::int32_t* symbols, std::size_t n) {
                                   for (std::size_t k = 0; k < n; ++k) {
                                       q[at + k] = symbols[k] - kMaxEscape;
                                   }
                               }));
        width = choose_width(q, range.count);
        escapes = put_escaped(q, range.count, width, planes);
    }

    const std::size_t most = 2 + kMaxVarint + 8 * range.entries(t) + 4 * escapes;
    std::uint8_t* const section = workspace.get(Workspace::kParams, most);
    std::uint8_t* p = section + 1;
    *p++ = static_cast<std::uint8_t>(width);
    if (t.bits == 0) p += put_varint(p, escapes);
    p = put_params(t, range, params, section, p);
    for (std::size_t k = 0; k < escapes; ++k, p += 4) store(p, q[k]);

    out.section = {section, static_cast<std::size_t>(p - section)};
    out.planes = width == 16 ? 2 : 1;
    out.bits[0] = out.bits[1] = width == 16 ? 8 : width;
    out.symbols[0] = planes;
    out.symbols[1] = planes + kChunk;
    return kOkStatus;
}

// ---- decoding

// The elements of all symbols in the output's dtype, for grids whose points are shifted towards zero.
const std::uint8_t* shifted_table(ChunkState& state, DType to, Workspace& workspace) {
    if (state.table != nullptr && state.table_dtype == to) return state.table;
    float values[256];
    for (int s = 0; s < 256; ++s) {
        values[s] = shifted_level(s - state.zero_point, state.shifts) * state.scales[0];
    }
    std::uint8_t* const table = workspace.get(Workspace::kTable, kTableBytes);
    from_f32_portable(values, 256, table, to);
    state.table = table;
    state.table_dtype = to;
    return table;
}

// Symbol 0 stands for the next escaped value; the multiply by the one scale is redone for it.
Status patch_escapes(ChunkState& state, const std::uint8_t* high, const std::uint8_t* low,
                     std::size_t n, std::uint8_t* out, DType out_dtype) noexcept {
    const std::size_t item = item_bytes(out_dtype);
    const std::size_t escapes = state.escapes.size() / 4;
    const float scale = state.scales[0];
    const std::uint8_t* scan = high != nullptr ? high : low;
    for (std::size_t i = 0; i < n; ++i) {
        const void* hit = std::memchr(scan + i, 0, n - i);
        if (hit == nullptr) break;
        i = static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - scan);
        if (low[i] != 0) continue;
        if (state.escapes_used == escapes) return corrupt("uniform: more escape symbols than values");
        const auto q = load<std::int32_t>(state.escapes.data() + 4 * state.escapes_used++);
        const float value = static_cast<float>(q) * scale;
        from_f32_portable(&value, 1, out + i * item, out_dtype);
    }
    return kOkStatus;
}

Runs runs_at(const TensorSpec& t, ChunkRange range, const ChunkState& state,
             std::size_t at) noexcept {
    const std::uint64_t element = range.first + at;
    return {state.scales,
            state.zero_points,
            state.zero_point,
            is_sign_grid(t) ? 2 : 1,
            state.width,
            range.entry(t, element),
            state.entries,
            t.inner,
            t.inner - element % t.inner};
}

bool fused_runs(const TensorSpec& t, ChunkRange range, const ChunkState& state, std::size_t at,
                Runs& runs) noexcept {
    runs = runs_at(t, range, state, at);
    // One scale serves everything: its run need not end with the tensor, at an element that no loop likes.
    if (runs.entries == 1) runs.inner = runs.left = std::uint64_t{1} << 62;
    return state.width <= 8 && state.shifts.empty();
}

Status inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, std::uint8_t* out,
               DType out_dtype, Workspace& workspace) noexcept {
    const std::uint8_t* high = state.width == 16 ? planes[0] : nullptr;
    const std::uint8_t* low = state.width == 16 ? planes[1] : planes[0];
    if (state.shifts.empty()) {
        dequantize.pick()(high, low, n, runs_at(t, range, state, at), out, out_dtype);
    } else {
        lookup.pick()(low, state.width, n, shifted_table(state, out_dtype, workspace),
                      item_bytes(out_dtype), out);
    }
    if (!state.escapes.empty()) return patch_escapes(state, high, low, n, out, out_dtype);
    return kOkStatus;
}

Status finish(const ChunkState& state) noexcept {
    return state.escapes_used * 4 == state.escapes.size()
               ? kOkStatus
               : corrupt("uniform: fewer escape symbols than values");
}

bool point_table(ChunkState& state, DType to, Workspace& workspace, SymbolTable& table) noexcept {
    if (state.shifts.empty()) return false;
    table = {shifted_table(state, to, workspace), 1u << state.width};
    return true;
}

constexpr QuantizerKernel kUniform{.name = "uniform",
                                   .id = 2,
                                   .forward = forward,
                                   .open = open_uniform,
                                   .inverse = inverse,
                                   .finish = finish,
                                   .runs = fused_runs,
                                   .table = point_table};
const RegisterQuantizer registered{kUniform};

}  // namespace
}  // namespace qc
