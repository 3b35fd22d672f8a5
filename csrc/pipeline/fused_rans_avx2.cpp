// pipeline/fused_rans_avx2.cpp - AVX2: rANS symbols to elements without a byte of symbols in memory.
#include "entropy/rans_rounds_avx2.hpp"
#include "pipeline/fused.hpp"
#include "quantize/dequantize_sink_avx2.hpp"

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

template <DType kTo, bool kTable>
Status rans_to(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out) noexcept {
    rans::InOrder<DequantizeSink<kTo, kTable>> sink(runs, out);
    return rans::next_into(s, n, sink);
}

template <DType kTo>
Status rans_width(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out) noexcept {
    return runs.width <= 4 ? rans_to<kTo, true>(s, n, runs, out) : rans_to<kTo, false>(s, n, runs, out);
}

}  // namespace

Status fused_rans_avx2(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out, DType to) noexcept {
    if (to == DType::kF32) return rans_to<DType::kF32, false>(s, n, runs, out);
    return to == DType::kF16 ? rans_width<DType::kF16>(s, n, runs, out) : rans_width<DType::kBF16>(s, n, runs, out);
}

}  // namespace qc

QC_TARGET_END
#endif
