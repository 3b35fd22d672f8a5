// pipeline/fused_rans.cpp - rANS states to elements without a byte of symbols in memory.
#include "entropy/rans_rounds_avx512.hpp"
#include "pipeline/fused.hpp"
#include "quantize/dequantize_sink.hpp"

namespace qc {

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

template <DType kTo, bool kTable, Halves kHow>
Status rans_to(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out) noexcept {
    DequantizeSink<kTo, kTable, kHow> sink(runs, out);
    return rans::next_into(s, n, sink);
}

template <DType kTo, Halves kHow>
Status rans_width(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out) noexcept {
    return runs.width <= 4 ? rans_to<kTo, true, kHow>(s, n, runs, out)
                           : rans_to<kTo, false, kHow>(s, n, runs, out);
}

Status fused_rans_avx512(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out,
                         DType to) noexcept {
    if (to == DType::kF32) return rans_width<DType::kF32, Halves::kF16>(s, n, runs, out);
    if (to == DType::kF16) return rans_width<DType::kF16, Halves::kF16>(s, n, runs, out);
    return has_bf16_conversion() ? rans_width<DType::kBF16, Halves::kBf16Native>(s, n, runs, out)
                                 : rans_width<DType::kBF16, Halves::kBf16>(s, n, runs, out);
}

}  // namespace
QC_TARGET_END

constinit const Variants<FusedRansFn> fused_rans{nullptr, fused_rans_avx2, fused_rans_avx512};
#else
constinit const Variants<FusedRansFn> fused_rans{nullptr};
#endif

}  // namespace qc
