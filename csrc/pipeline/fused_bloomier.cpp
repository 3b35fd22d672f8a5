// pipeline/fused_bloomier.cpp - windows of `bloomier` to elements, one written while the next one is decoded.
#include <algorithm>

#include "entropy/bloomier_rounds_avx512.hpp"
#include "pipeline/dequantize_sinks.hpp"
#include "pipeline/fused.hpp"
#include "pipeline/table_sinks.hpp"

namespace qc {

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

template <unsigned kBits, class Sink>
Status windows_to(bloomier::State& s, std::size_t n, Sink& sink) noexcept {
    const auto put = [&](const std::uint8_t* symbols) __attribute__((always_inline)) {
        sink.put(_mm512_loadu_si512(symbols));
    };
    const std::uint8_t* ready = nullptr;
    for (std::size_t at = 0; at < n; at += kBlock) {
        const std::size_t m = std::min(kBlock, n - at);
        const std::size_t blocks = bloomier::blocks_of(m);
        std::uint8_t* const out = ready == s.out ? s.other : s.out;
        const std::uint16_t* const order = s.order[blocks == bloomier::kWindow ? 0 : 1];
        const std::size_t first = s.done / bloomier::kBlockSize;
        if (ready == nullptr) {
            bloomier::decode_window<kBits>(s, first, blocks, order, out, [](std::size_t) {});
        } else {
            bloomier::decode_window<kBits>(s, first, blocks, order, out,
                                           [&](std::size_t block) __attribute__((always_inline)) {
                                               put(ready + block * bloomier::kBlockSize);
                                           });
        }
        QC_TRY(bloomier::pass_exceptions(s, m, out));
        ready = out;
    }
    for (std::size_t i = 0; i < std::min(kBlock, n); i += 64) put(ready + i);
    sink.flush();
    return kOkStatus;
}

template <class Sink>
Status bloomier_to(bloomier::State& s, std::size_t n, Sink& sink) noexcept {
    if (n > s.count - s.done) return corrupt("bloomier: read past the last symbol");
    return bloomier::with_word_bits(s.r, [&]<unsigned kBits>() { return windows_to<kBits>(s, n, sink); });
}

Status fused_bloomier_avx512(bloomier::State& s, std::size_t n, const Runs& runs, std::uint8_t* out,
                             DType to) noexcept {
    return with_dequantize_sink(runs, to, [&]<class Sink>() {
        Sink sink(runs, out);
        return bloomier_to(s, n, sink);
    });
}

Status table_bloomier_avx512(bloomier::State& s, std::size_t n, const PlaneTable& table,
                             std::uint8_t* out) noexcept {
    return with_table_sink(table, [&]<class Sink>() {
        Sink sink(table.planes, out);
        QC_TRY(bloomier_to(s, n, sink));
        return check_symbols(sink, table);
    });
}

}  // namespace
QC_TARGET_END

constinit const Variants<FusedBloomierFn> fused_bloomier{nullptr, nullptr, fused_bloomier_avx512};
constinit const Variants<TableBloomierFn> table_bloomier{nullptr, nullptr, table_bloomier_avx512};
#else
constinit const Variants<FusedBloomierFn> fused_bloomier{nullptr};
constinit const Variants<TableBloomierFn> table_bloomier{nullptr};
#endif

}  // namespace qc
