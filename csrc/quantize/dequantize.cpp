#include "quantize/dequantize.hpp"

#include <algorithm>

#include "core/bytes.hpp"
#include "quantize/floats.hpp"

namespace qc {
namespace {

template <DType kTo>
void put(std::uint8_t* out, std::size_t i, float value) noexcept {
    if constexpr (kTo == DType::kF32) store(out + 4 * i, value);
    if constexpr (kTo == DType::kBF16) store(out + 2 * i, bf16_from_f32(value));
    if constexpr (kTo == DType::kF16) store(out + 2 * i, f16_from_f32(value));
    if constexpr (kTo == DType::kF64) store(out + 8 * i, static_cast<double>(value));
}

template <DType kTo>
void dequantize_runs(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                     const Runs& runs, std::uint8_t* out) noexcept {
    std::uint64_t entry = runs.entry;
    std::uint64_t left = runs.left;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const float scale = runs.scales[entry];
        const std::int32_t zero = runs.zero(entry);
        if (high == nullptr) {
            for (; i < end; ++i) {
                put<kTo>(out, i, static_cast<float>(runs.factor * low[i] - zero) * scale);
            }
        } else {
            for (; i < end; ++i) {
                put<kTo>(out, i, static_cast<float>((high[i] << 8 | low[i]) - zero) * scale);
            }
        }
        entry = entry + 1 == runs.entries ? 0 : entry + 1;
        left = runs.inner;
    }
}

}  // namespace

void dequantize_portable(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                         const Runs& runs, std::uint8_t* out, DType to) {
    switch (to) {
        case DType::kF32: dequantize_runs<DType::kF32>(high, low, n, runs, out); break;
        case DType::kBF16: dequantize_runs<DType::kBF16>(high, low, n, runs, out); break;
        case DType::kF16: dequantize_runs<DType::kF16>(high, low, n, runs, out); break;
        default: dequantize_runs<DType::kF64>(high, low, n, runs, out); break;
    }
}

#if QC_X86
constinit const Variants<DequantizeFn> dequantize{dequantize_portable, dequantize_avx2,
                                                  dequantize_avx512};
#else
constinit const Variants<DequantizeFn> dequantize{dequantize_portable};
#endif

}  // namespace qc
