#include "quantize/scale_codes.hpp"

#include "core/bytes.hpp"
#include "quantize/scale_grid.hpp"

namespace qc {
namespace {

std::uint64_t scale_codes_portable(const CodedScales& codes, std::uint64_t entries, float* scales,
                                   std::uint32_t& most) noexcept {
    const std::uint32_t* const mantissas = scale_mantissas();
    const std::uint32_t mask = (1u << codes.width) - 1;
    // Eight codes are as many bytes as a code has bits, and the last of them may begin a byte before their end.
    const std::uint64_t n = readable_codes(codes, entries, 8, codes.width + 8);
    std::uint32_t largest = most;
    for (std::uint64_t e = 0; e < n; ++e) {
        const std::uint64_t bit = e * codes.width;
        const auto word = static_cast<std::uint32_t>(load<std::uint64_t>(codes.above.data() + bit / 8) >> bit % 8);
        const std::uint32_t code = codes.base + (word & mask);
        largest = code > largest ? code : largest;
        scales[e] = scale_of_code(code < kMaxScaleCode ? code : kMaxScaleCode, mantissas);
    }
    most = largest;
    return n;
}

}  // namespace

#if QC_X86
constinit const Variants<ScaleCodesFn> scale_codes{scale_codes_portable, scale_codes_avx2, scale_codes_avx512};
#else
constinit const Variants<ScaleCodesFn> scale_codes{scale_codes_portable};
#endif

}  // namespace qc
