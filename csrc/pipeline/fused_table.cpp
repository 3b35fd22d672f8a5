#include "pipeline/fused_table.hpp"

#include <algorithm>

#include "entropy/rans_rounds_avx512.hpp"
#include "entropy/unpack_avx512.hpp"
#include "pipeline/table_sinks.hpp"
#include "quantize/lookup.hpp"

namespace qc {

void PlaneTable::fill(const SymbolTable& table, unsigned bits, unsigned bytes) noexcept {
    item = bytes;
    size = table.size;
    lines = lines_of(bits);
    upper = split_bytes(table.elements, bytes, planes);
}

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

template <class Sink>
Status rans_to(rans::Stream& s, std::size_t n, const PlaneTable& table, std::uint8_t* out) noexcept {
    Sink sink(table.planes, out);
    QC_TRY(rans::next_into(s, n, sink));
    return check_symbols(sink, table);
}

Status table_rans_avx512(rans::Stream& s, std::size_t n, const PlaneTable& table,
                         std::uint8_t* out) noexcept {
    return with_table_sink(table, [&]<class Sink>() { return rans_to<Sink>(s, n, table, out); });
}

template <unsigned kBits, class Sink>
Status unpack_to(const std::uint8_t* in, std::size_t n, const PlaneTable& table,
                 std::uint8_t* out, const Aside& aside) noexcept {
    Sink sink(table.planes, out);
    const Unpacker<kBits> unpacker;
    std::size_t i = 0;
    const auto unpack = [&](std::size_t end) __attribute__((always_inline)) {
        for (; i < end; i += 64, in += 8 * kBits) sink.put(unpacker.get(in));
    };
    if constexpr (kBits == 8) {
        for (; aside && i < n; aside()) unpack(std::min(i + Aside::kSymbols, n));
    }
    unpack(n);
    sink.flush();
    return check_symbols(sink, table);
}

template <unsigned kBits>
Status unpack_bits(const std::uint8_t* in, std::size_t n, const PlaneTable& table,
                   std::uint8_t* out, const Aside& aside) noexcept {
    const auto unpack = [&]<class Sink>() { return unpack_to<kBits, Sink>(in, n, table, out, aside); };
    if constexpr (kBits == 8) {  // in which symbols of fewer come as well
        if (table.lines == 1) return with_sink_of<1>(table, unpack);
    }
    return with_sink_of<lines_of(kBits)>(table, unpack);
}

Status table_unpack_avx512(const std::uint8_t* in, unsigned bits, std::size_t n,
                           const PlaneTable& table, std::uint8_t* out, const Aside& aside) noexcept {
    switch (bits) {
        case 1: return unpack_bits<1>(in, n, table, out, aside);
        case 2: return unpack_bits<2>(in, n, table, out, aside);
        case 3: return unpack_bits<3>(in, n, table, out, aside);
        case 4: return unpack_bits<4>(in, n, table, out, aside);
        case 5: return unpack_bits<5>(in, n, table, out, aside);
        case 6: return unpack_bits<6>(in, n, table, out, aside);
        case 7: return unpack_bits<7>(in, n, table, out, aside);
        default: return unpack_bits<8>(in, n, table, out, aside);
    }
}

}  // namespace
QC_TARGET_END

constinit const Variants<TableRansFn> table_rans{nullptr, table_rans_avx2, table_rans_avx512};
constinit const Variants<TableUnpackFn> table_unpack{nullptr, table_unpack_avx2, table_unpack_avx512};
#else
constinit const Variants<TableRansFn> table_rans{nullptr};
constinit const Variants<TableUnpackFn> table_unpack{nullptr};
#endif

}  // namespace qc
