// pipeline/dequantize_sinks.hpp - AVX-512: the sink that runs and a dtype need, for every loop that fuses one with a coder.
//
// Code here is compiled for AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "quantize/dequantize_sink.hpp"

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace qc {
namespace {

// fn<Sink>() for elements of dtype `to`.
//   requires  fuses(to); with kTable, symbols below 16
template <bool kTable, class Fn>
auto with_dequantize_sink(DType to, Fn fn) {
    if (to == DType::kF32) return fn.template operator()<DequantizeSink<DType::kF32, kTable>>();
    if (to == DType::kF16) return fn.template operator()<DequantizeSink<DType::kF16, kTable>>();
    return has_bf16_conversion() ? fn.template operator()<DequantizeSink<DType::kBF16, kTable, Halves::kBf16Native>>()
                                 : fn.template operator()<DequantizeSink<DType::kBF16, kTable, Halves::kBf16>>();
}

template <class Fn>
auto with_dequantize_sink(const Runs& runs, DType to, Fn fn) {
    return runs.width <= 4 ? with_dequantize_sink<true>(to, fn) : with_dequantize_sink<false>(to, fn);
}

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
