// pipeline/table_sinks.hpp - AVX-512: the sink that a table needs, for every loop that fuses one with a coder.
//
// Code here is compiled for AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "pipeline/fused_table.hpp"
#include "quantize/table_sink.hpp"

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace qc {
namespace {

// fn<Sink>() for a table of which a byte plane takes kLines.
template <unsigned kLines, class Fn>
Status with_sink_of(const PlaneTable& table, Fn fn) {
    if (table.item == 2) return fn.template operator()<TableSink<2, kLines, false>>();
    return table.upper ? fn.template operator()<TableSink<4, kLines, true>>()
                       : fn.template operator()<TableSink<4, kLines, false>>();
}

template <class Fn>
Status with_table_sink(const PlaneTable& table, Fn fn) {
    switch (table.lines) {
        case 1: return with_sink_of<1>(table, fn);
        case 2: return with_sink_of<2>(table, fn);
        default: return with_sink_of<4>(table, fn);
    }
}

// After the last symbol: all had entries.
template <class Sink>
Status check_symbols(const Sink& sink, const PlaneTable& table) noexcept {
    return sink.all_below(table.size) ? kOkStatus : corrupt("codebook: a symbol without an entry");
}

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
