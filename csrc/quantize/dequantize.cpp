#include "quantize/dequantize.hpp"

#include <algorithm>

namespace qc {

void dequantize_portable(const std::uint8_t* high, const std::uint8_t* low, std::size_t n,
                         const Runs& runs, float* out) {
    std::uint64_t entry = runs.entry;
    std::uint64_t left = runs.left;
    for (std::size_t i = 0; i < n;) {
        const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        const float scale = runs.scales[entry];
        const std::int32_t zero = runs.zero(entry);
        if (high == nullptr) {
            for (; i < end; ++i) {
                out[i] = static_cast<float>(runs.factor * low[i] - zero) * scale;
            }
        } else {
            for (; i < end; ++i) {
                out[i] = static_cast<float>((high[i] << 8 | low[i]) - zero) * scale;
            }
        }
        entry = entry + 1 == runs.entries ? 0 : entry + 1;
        left = runs.inner;
    }
}

#if QC_X86
constinit const Variants<DequantizeFn> dequantize{dequantize_portable, dequantize_avx2,
                                                  dequantize_avx512};
#else
constinit const Variants<DequantizeFn> dequantize{dequantize_portable};
#endif

}  // namespace qc
