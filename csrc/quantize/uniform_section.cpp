#include "quantize/uniform_section.hpp"

#include <algorithm>
#include <bit>

#include "core/bits.hpp"
#include "quantize/scale_codes.hpp"
#include "quantize/scale_grid.hpp"
#include "quantize/uniform.hpp"

namespace qc {
namespace {

// 1 for a bit pattern that is neither +0 nor a positive normal float32.
constexpr std::uint32_t is_bad_scale(std::uint32_t bits) noexcept {
    return static_cast<std::uint32_t>(bits - 0x00800000u >= 0x7F000000u) & (bits != 0);
}

// Codes of scales: the least of them, and how far the others are above it.
Status read_codes(ByteReader& in, std::uint64_t entries, float* scales) noexcept {
    std::uint16_t base = 0;
    std::uint8_t width = 0;
    QC_TRY(in.get(base, "uniform: scale codes"));
    QC_TRY(in.get(width, "uniform: scale codes"));
    if (width > kMostCodeBits) return corrupt("uniform: width of scale codes", in.at() - 1);
    std::span<const std::uint8_t> raw;
    QC_TRY(in.take(bytes_for_bits(entries * width), raw, "uniform: scale codes"));
    std::uint32_t most = base;
    const std::uint64_t done = scale_codes.pick()({raw, base, width}, entries, scales, most);
    BitReader last(raw.subspan(done / 8 * width));
    for (std::uint64_t e = done; e < entries; ++e) {
        const std::uint32_t code = base + last.get(width);
        most = std::max(most, code);
        scales[e] = scale_of_code(std::min(code, kMaxScaleCode));
    }
    if (base < kMinScaleCode || most > kMaxScaleCode || !last.padding_is_zero()) {
        return corrupt("uniform: scale codes", in.at() - 1);
    }
    return kOkStatus;
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

// Shifted points need one plane and one scale, and a scale that is the step needs a step. Scales are stored in one way.
bool known_form(const TensorSpec& t, std::uint8_t form, unsigned width) noexcept {
    const bool shifted = (form & (kShifts | kSameShifts)) != 0;
    if (shifted && (t.bits != 0 || width > 8 || (form & kShifts && form & kSameShifts))) return false;
    const std::uint8_t scales = form & (kScales16 | kStepScale | kScaleCodes);
    if ((scales & (scales - 1)) != 0) return false;
    return !(form & kStepScale) || t.bits == 0;
}

}  // namespace

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
    return bad != 0 ? corrupt("a scale is neither zero nor positive and normal") : kOkStatus;
}

Status read_shifts(bool follow, bool as_before, ByteReader& in, ChunkState& state) noexcept {
    if (follow) {
        std::uint8_t shifts = 0;
        QC_TRY(in.get(shifts, "section: shifts"));
        if (shifts < 1 || shifts > kMostShifts) return corrupt("section: number of shifts", in.at() - 1);
        return in.take(shifts, state.shifts, "section: shifts");
    }
    if (!as_before) {
        state.shifts = {};
    } else if (state.shifts.empty()) {
        return corrupt("section: no shifts before these", in.at());
    }
    return kOkStatus;
}

Status open_uniform(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
                    ChunkState& state) {
    std::uint8_t form = 0;
    std::uint8_t width = 0;
    std::uint64_t escapes = 0;
    QC_TRY(in.get(form, "uniform: section"));
    QC_TRY(in.get(width, "uniform: section"));
    if (form > 63 || (t.symmetric && (form & kWideZeroPoints)) || !known_form(t, form, width)) {
        return corrupt("uniform: unknown form", in.at() - 2);
    }
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
    float* scales = workspace.get_as<float>(Workspace::kParams, entries);
    if (form & kStepScale) {
        scales[0] = t.step;
    } else if (form & kScaleCodes) {
        QC_TRY(read_codes(in, entries, scales));
    } else {
        QC_TRY(in.take(entries * (scales16 ? 2 : 4), raw, "uniform: scales"));
        QC_TRY(read_scales(raw, scales16, entries, scales));
    }
    state.zero_points = nullptr;
    state.zero_point = is_sign_grid(t) ? 1 : default_zero_point(width);
    if (!t.symmetric) {
        QC_TRY(in.take(entries * (wide ? 4 : 1), raw, "uniform: zero points"));
        auto* zero_points = workspace.get_as<std::int32_t>(Workspace::kParams2, entries);
        QC_TRY(read_zero_points(raw, wide, entries, zero_points));
        state.zero_points = zero_points;
    }
    QC_TRY(read_shifts((form & kShifts) != 0, (form & kSameShifts) != 0, in, state));
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
    state.pointwise = escapes == 0 && entries == 1;
    state.table = nullptr;
    return kOkStatus;
}

}  // namespace qc
