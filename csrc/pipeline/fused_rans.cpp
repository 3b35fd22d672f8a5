// pipeline/fused_rans.cpp - rANS states to elements without a byte of symbols in memory.
#include "entropy/rans_rounds_avx512.hpp"
#include "pipeline/dequantize_sinks.hpp"
#include "pipeline/fused.hpp"

namespace qc {

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

Status fused_rans_avx512(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out,
                         DType to) noexcept {
    return with_dequantize_sink(runs, to, [&]<class Sink>() {
        Sink sink(runs, out);
        return rans::next_into(s, n, sink);
    });
}

}  // namespace
QC_TARGET_END

constinit const Variants<FusedRansFn> fused_rans{nullptr, fused_rans_avx2, fused_rans_avx512};
#else
constinit const Variants<FusedRansFn> fused_rans{nullptr};
#endif

}  // namespace qc
