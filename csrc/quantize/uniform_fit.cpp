// quantize/uniform_fit.cpp - one pass over the tensor for the extremes of each group.
//
// Floats are compared as integers: the order of the bit patterns, with negative ones mirrored, is the order
// of the numbers, the compiler vectorises it, and NaN and infinity lie outside all finite values.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>

#include "quantize/floats.hpp"
#include "quantize/scale_grid.hpp"
#include "quantize/uniform.hpp"

namespace qc {
namespace {

constexpr std::size_t kFitBlock = 8192;
constexpr std::int32_t kInfinity = 0x7F800000;

inline std::int32_t order_key(float f) noexcept {
    const auto bits = std::bit_cast<std::int32_t>(f);
    return bits ^ (bits >> 31 & 0x7FFFFFFF);
}
inline float from_key(std::int32_t key) noexcept {
    return std::bit_cast<float>(key ^ (key >> 31 & 0x7FFFFFFF));
}

struct Extremes {
    std::int32_t low = std::numeric_limits<std::int32_t>::max();
    std::int32_t high = std::numeric_limits<std::int32_t>::min();
    double sum = 0;  // of magnitudes; only where the grid is {-1, +1}
    std::uint64_t count = 0;

    bool finite() const noexcept { return low > ~kInfinity && high < kInfinity; }
};

void widen(Extremes& e, const float* w, std::size_t n) noexcept {
    std::int32_t low = e.low;
    std::int32_t high = e.high;
    for (std::size_t i = 0; i < n; ++i) {
        const std::int32_t key = order_key(w[i]);
        low = std::min(low, key);
        high = std::max(high, key);
    }
    e.low = low;
    e.high = high;
    e.count += n;
}

// The u16 form of a scale, rounded up, or the largest one below `bound` where that would leave it.
float scale16(double wanted, double bound) noexcept {
    if (!(wanted >= std::numeric_limits<float>::min())) return 0.0f;
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(wanted));
    std::uint32_t up = bits & ~0x7FFFu;
    if (static_cast<double>(std::bit_cast<float>(up)) < wanted) up += 0x8000;
    while (up >= 0x7F800000u || static_cast<double>(std::bit_cast<float>(up)) > bound) up -= 0x8000;
    return std::bit_cast<float>(up);
}

// The next smaller scale of 9 significant bits; 0 below the smallest normal.
float next_lower(float scale) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(scale) - 0x8000;
    return bits < 0x00800000u ? 0.0f : std::bit_cast<float>(bits);
}

// Short groups: there the bits of scales count, and a step wider by up to 1/32 octave does less harm.
bool uses_codes(const TensorSpec& t) noexcept { return t.dim >= 16 && t.inner <= 512; }

// The scale of the next code up, or the largest one within `bound`.
float coded_scale(double wanted, double bound) noexcept {
    if (!(wanted >= std::numeric_limits<float>::min())) return 0.0f;
    std::uint32_t code = code_of_scale(static_cast<float>(wanted));
    while (code > kMinScaleCode && static_cast<double>(scale_of_code(code)) > bound) --code;
    return scale_of_code(code);
}

float stored_scale(const TensorSpec& t, double wanted, double bound) noexcept {
    return uses_codes(t) ? coded_scale(wanted, bound) : scale16(wanted, bound);
}

// The next smaller one that a file can have as short; 0 below the smallest normal.
float next_lower(const TensorSpec& t, float scale) noexcept {
    if (!uses_codes(t)) return next_lower(scale);
    const std::uint32_t code = code_of_scale(scale);
    return code > kMinScaleCode ? scale_of_code(code - 1) : 0.0f;
}

constexpr double kLargest = std::numeric_limits<float>::max();

float symmetric_scale(const TensorSpec& t, const Extremes& e) noexcept {
    if (is_sign_grid(t)) return stored_scale(t, e.sum / static_cast<double>(e.count), kLargest);
    const double top = static_cast<double>((std::int64_t{1} << (t.bits - 1)) - 1);
    const double reach = std::max(std::fabs(static_cast<double>(from_key(e.low))),
                                  std::fabs(static_cast<double>(from_key(e.high))));
    return stored_scale(t, reach / top, kLargest / top);
}

void affine_grid(const TensorSpec& t, const Extremes& e, float& scale,
                 std::int32_t& zero_point) noexcept {
    const double levels = static_cast<double>((std::int64_t{1} << t.bits) - 1);
    const double low = from_key(e.low);
    const double high = from_key(e.high);
    const double reach = std::max(std::fabs(low), std::fabs(high));
    // The second bound keeps zero points within 2^23 where the range is tiny beside the values.
    const double wanted = std::max((high - low) / levels, reach / (kMaxZeroPoint - 65536));
    scale = stored_scale(t, wanted, kLargest);
    zero_point = 0;
    // Rounding can push an end of the grid past the largest float32: then a finer step, which clips by less
    // than 2^-7 of the range.
    for (; scale != 0.0f; scale = next_lower(t, scale)) {
        zero_point = static_cast<std::int32_t>(std::nearbyint(-low / scale));
        const double below = static_cast<double>(zero_point) * scale;
        if (below <= kLargest && levels * scale - below <= kLargest) return;
    }
}

}  // namespace

Status fit_uniform(const TensorSpec& t, const std::uint8_t* data, std::span<float> scales,
                   std::span<std::int32_t> zero_points) {
    const auto extremes = std::make_unique<Extremes[]>(t.dim);
    const auto block = std::make_unique<float[]>(kFitBlock);
    const std::size_t item = item_bytes(t.dtype);
    for (std::uint64_t at = 0; at < t.n; at += kFitBlock) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(kFitBlock, t.n - at));
        const float* w = f32_view(data + at * item, t.dtype, n, block.get());
        std::uint64_t entry = at / t.inner % t.dim;
        std::uint64_t left = t.inner - at % t.inner;
        for (std::size_t i = 0; i < n;) {
            const auto m = static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
            Extremes& e = extremes[entry];
            widen(e, w + i, m);
            if (is_sign_grid(t)) {
                for (std::size_t k = i; k < i + m; ++k) e.sum += std::fabs(w[k]);
            }
            if (!e.finite()) {
                while (std::isfinite(w[i])) ++i;
                return {Code::kInput, at + i, "not a finite float32"};
            }
            i += m;
            entry = entry + 1 == t.dim ? 0 : entry + 1;
            left = t.inner;
        }
    }
    for (std::uint64_t g = 0; g < t.dim; ++g) {
        if (extremes[g].count == 0) {  // a group without elements, in an empty tensor
            scales[g] = 0;
            if (!t.symmetric) zero_points[g] = 0;
        } else if (t.symmetric) {
            scales[g] = symmetric_scale(t, extremes[g]);
        } else {
            affine_grid(t, extremes[g], scales[g], zero_points[g]);
        }
    }
    return kOkStatus;
}

}  // namespace qc
