// quantize/uniform.cpp - the `uniform` quantizer on one chunk: FORMAT.md, "uniform".
#include "quantize/uniform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/bits.hpp"
#include "quantize/dequantize.hpp"
#include "quantize/floats.hpp"

namespace qc {
namespace {

constexpr std::uint8_t kScales16 = 1;
constexpr std::uint8_t kWideZeroPoints = 2;

// ---- encoding

// Symbols of one run. round(w / scale) is exact in double; ties go to even.
//   ensures  -reach <= q <= reach, then + zero, then 0..max_symbol
void quantize_run(const float* w, std::size_t n, float scale, std::int32_t zero, double reach,
                  std::int32_t max_symbol, std::int32_t* q) noexcept {
    if (scale == 0.0f) {
        std::fill_n(q, n, std::clamp(zero, 0, max_symbol));
        return;
    }
    const double step = scale;
    for (std::size_t i = 0; i < n; ++i) {
        const double x = std::clamp(static_cast<double>(w[i]) / step, -reach, reach);
        // 1.5 * 2^52 pushes the fraction out of the mantissa: rounds to nearest even without SSE4
        const double rounded = x + 6755399441055744.0 - 6755399441055744.0;
        q[i] = std::clamp(static_cast<std::int32_t>(rounded) + zero, 0, max_symbol);
    }
}

Status check_reach(const float* w, std::size_t n, float step, std::uint64_t first,
                   bool by_step) noexcept {
    const float reach = by_step ? static_cast<float>(kMaxEscape) * step
                                : std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < n; ++i) {
        if (!std::isfinite(w[i])) return {Code::kInput, first + i, "not a finite float32"};
        if (std::fabs(w[i]) > reach) return {Code::kInput, first + i, "more than 2^24 steps from zero"};
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
    if (reach <= 127) return static_cast<unsigned>(std::max(1, 1 + static_cast<int>(std::bit_width(reach))));
    return wide <= n / 32 ? 8 : 16;  // an escape costs 32 bits, a second plane 8 bits an element
}

Status quantize_chunk(const TensorSpec& t, ChunkRange range, const std::uint8_t* data,
                      const Params& params, std::int32_t* q, Workspace& workspace) {
    float* block = workspace.get_as<float>(Workspace::kConvert, 8192);
    const auto convert = to_f32.pick();
    const bool by_step = t.bits == 0;
    const std::int32_t max_symbol =
        by_step ? 2 * kMaxEscape : static_cast<std::int32_t>((std::int64_t{1} << t.bits) - 1);
    const double reach = by_step ? kMaxEscape + 1.0
                         : t.symmetric ? (1 << (t.bits - 1)) - (t.bits > 1 ? 1 : 0)
                                       : 2.0 * kMaxEscape;
    const std::size_t item = item_bytes(t.dtype);
    for (std::size_t at = 0; at < range.count; at += 8192) {
        const std::size_t n = std::min<std::size_t>(8192, range.count - at);
        convert(data + at * item, t.dtype, n, block);
        QC_TRY(check_reach(block, n, by_step ? params.scales[0] : 1.0f, range.first + at, by_step));
        std::uint64_t element = range.first + at;
        for (std::size_t i = 0; i < n;) {
            const std::uint64_t group = element / t.inner % t.dim;
            const auto m = static_cast<std::size_t>(
                std::min<std::uint64_t>(t.inner - element % t.inner, n - i));
            const float scale = params.scales[group];
            if (is_sign_grid(t)) {
                for (std::size_t k = i; k < i + m; ++k) q[at + k] = block[k] >= 0.0f;
            } else {
                const std::int32_t zero = by_step ? kMaxEscape
                                          : t.symmetric ? default_zero_point(t.bits)
                                                        : params.zero_points[group];
                quantize_run(block + i, m, scale, zero, reach, max_symbol, q + at + i);
            }
            i += m;
            element += m;
        }
        for (std::size_t k = at; by_step && k < at + n; ++k) q[k] -= kMaxEscape;
    }
    return kOkStatus;
}

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
    for (std::uint64_t e = 0; e < entries; ++e) {
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

Status forward(const TensorSpec& t, ChunkRange range, const std::uint8_t* data,
               const Params& params, Workspace& workspace, ChunkSymbols& out) {
    std::int32_t* q = workspace.get_as<std::int32_t>(Workspace::kEscapes, range.count);
    QC_TRY(quantize_chunk(t, range, data, params, q, workspace));
    const bool by_step = t.bits == 0;
    const unsigned width = by_step ? choose_width(q, range.count) : t.bits;
    const std::int32_t zero = by_step ? default_zero_point(width) : 0;
    const std::int32_t reach = by_step ? zero - 1 : std::numeric_limits<std::int32_t>::max();

    std::uint8_t* planes = workspace.get(Workspace::kSymbols, 2 * kChunk);
    std::uint8_t* low = width == 16 ? planes + kChunk : planes;
    std::size_t escapes = 0;
    for (std::size_t i = 0; i < range.count; ++i) {
        std::int32_t symbol = q[i] + zero;
        if (by_step && std::abs(q[i]) > reach) {
            q[escapes++] = q[i];  // in place: never ahead of the reader
            symbol = 0;
        }
        low[i] = static_cast<std::uint8_t>(symbol);
        if (width == 16) planes[i] = static_cast<std::uint8_t>(symbol >> 8);
    }

    const std::size_t most = 2 + kMaxVarint + 8 * range.entries(t) + 4 * escapes;
    std::uint8_t* const section = workspace.get(Workspace::kParams, most);
    std::uint8_t* p = section + 1;
    *p++ = static_cast<std::uint8_t>(width);
    if (by_step) p += put_varint(p, escapes);
    p = put_params(t, range, params, section, p);
    for (std::size_t k = 0; k < escapes; ++k, p += 4) store(p, q[k]);

    out.section = {section, static_cast<std::size_t>(p - section)};
    out.planes = width == 16 ? 2 : 1;
    out.bits[0] = out.bits[1] = width == 16 ? 8 : width;
    out.symbols[0] = planes;
    out.symbols[1] = low;
    return kOkStatus;
}

// ---- decoding

// 1 for a bit pattern that is neither +0 nor a positive normal float32.
constexpr std::uint32_t is_bad_scale(std::uint32_t bits) noexcept {
    return static_cast<std::uint32_t>(bits - 0x00800000u >= 0x7F000000u) & (bits != 0);
}

Status read_scales(std::span<const std::uint8_t> raw, bool scales16, std::uint64_t entries,
                   float* scales) noexcept {
    // Two plain loops: each vectorises.
    std::uint32_t bad = 0;
    if (scales16) {
        for (std::uint64_t e = 0; e < entries; ++e) {
            const std::uint32_t bits = static_cast<std::uint32_t>(load<std::uint16_t>(raw.data() + 2 * e))
                                       << 15;
            bad |= is_bad_scale(bits);
            scales[e] = std::bit_cast<float>(bits);
        }
    } else {
        for (std::uint64_t e = 0; e < entries; ++e) {
            const auto bits = load<std::uint32_t>(raw.data() + 4 * e);
            bad |= is_bad_scale(bits);
            scales[e] = std::bit_cast<float>(bits);
        }
    }
    return bad != 0 ? corrupt("uniform: a scale is neither zero nor positive and normal") : kOkStatus;
}

Status read_zero_points(std::span<const std::uint8_t> raw, bool wide, std::uint64_t entries,
                        std::int32_t* zero_points) noexcept {
    bool bad = false;
    for (std::uint64_t e = 0; e < entries; ++e) {
        const std::int32_t z = wide ? load<std::int32_t>(raw.data() + 4 * e) : raw[e];
        bad |= z < -kMaxZeroPoint || z > kMaxZeroPoint;
        zero_points[e] = z;
    }
    return bad ? corrupt("uniform: a zero point beyond 2^23") : kOkStatus;
}

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    std::uint8_t form = 0;
    std::uint8_t width = 0;
    std::uint64_t escapes = 0;
    QC_TRY(in.get(form, "uniform: section"));
    QC_TRY(in.get(width, "uniform: section"));
    if (form > 3 || (t.symmetric && form > 1)) return corrupt("uniform: unknown form", in.at() - 2);
    if ((width < 1 || width > 8) && width != 16) return corrupt("uniform: width", in.at() - 1);
    if (t.bits != 0 && width != t.bits) return corrupt("uniform: width is not bits", in.at() - 1);
    if (t.bits == 0) {
        QC_TRY(in.varint(escapes, "uniform: number of escapes"));
        if (escapes > range.count || (escapes > 0 && width < 8)) {
            return corrupt("uniform: too many escapes", in.at());
        }
    }
    const std::uint64_t entries = range.entries(t);
    const bool scales16 = (form & kScales16) != 0;
    const bool wide = (form & kWideZeroPoints) != 0;
    std::span<const std::uint8_t> raw;
    QC_TRY(in.take(entries * (scales16 ? 2 : 4), raw, "uniform: scales"));
    float* scales = workspace.get_as<float>(Workspace::kParams, entries);
    QC_TRY(read_scales(raw, scales16, entries, scales));
    state.zero_points = nullptr;
    state.zero_point = is_sign_grid(t) ? 1 : default_zero_point(width);
    if (!t.symmetric) {
        QC_TRY(in.take(entries * (wide ? 4 : 1), raw, "uniform: zero points"));
        auto* zero_points = workspace.get_as<std::int32_t>(Workspace::kParams2, entries);
        QC_TRY(read_zero_points(raw, wide, entries, zero_points));
        state.zero_points = zero_points;
    }
    QC_TRY(in.take(escapes * 4, state.escapes, "uniform: escaped values"));
    for (std::uint64_t k = 0; k < escapes; ++k) {
        const auto q = load<std::int32_t>(state.escapes.data() + 4 * k);
        if (q < -kMaxEscape || q > kMaxEscape) return corrupt("uniform: escaped value beyond 2^24");
    }
    state.scales = scales;
    state.entries = entries;
    state.width = width;
    state.planes = width == 16 ? 2 : 1;
    state.bits[0] = state.bits[1] = width == 16 ? 8 : width;
    state.escapes_used = 0;
    state.sequential = escapes > 0;
    return kOkStatus;
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

Status inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, std::uint8_t* out,
               DType out_dtype, Workspace&) noexcept {
    const std::uint8_t* high = state.width == 16 ? planes[0] : nullptr;
    const std::uint8_t* low = state.width == 16 ? planes[1] : planes[0];
    const std::uint64_t element = range.first + at;
    const Runs runs{state.scales,
                    state.zero_points,
                    state.zero_point,
                    is_sign_grid(t) ? 2 : 1,
                    state.width,
                    state.entries,
                    t.inner,
                    range.entry(t, element),
                    t.inner - element % t.inner};
    dequantize.pick()(high, low, n, runs, out, out_dtype);
    if (!state.escapes.empty()) return patch_escapes(state, high, low, n, out, out_dtype);
    return kOkStatus;
}

Status finish(const ChunkState& state) noexcept {
    return state.escapes_used * 4 == state.escapes.size()
               ? kOkStatus
               : corrupt("uniform: fewer escape symbols than values");
}

constexpr QuantizerKernel kUniform{"uniform", 2, forward, open, inverse, finish};
const RegisterQuantizer registered{kUniform};

}  // namespace
}  // namespace qc
