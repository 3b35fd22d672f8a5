// pipeline/fused_unpack_avx2.cpp - AVX2: packed symbols to elements, 64 a step.
#include "entropy/unpack_avx2.hpp"
#include "pipeline/fused.hpp"
#include "quantize/dequantize_sink_avx2.hpp"

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

template <unsigned kBits, DType kTo, bool kTable>
void unpack_to(const std::uint8_t* in, std::size_t n, const Runs& runs, std::uint8_t* out) noexcept {
    DequantizeSink<kTo, kTable> sink(runs, out);
    unpack_into<kBits>(in, n, kReadAhead, sink);
}

template <unsigned kBits, bool kTable = (kBits <= 4)>
void unpack_bits(const std::uint8_t* in, std::size_t n, const Runs& runs, std::uint8_t* out, DType to) noexcept {
    switch (to) {
        case DType::kF32: unpack_to<kBits, DType::kF32, false>(in, n, runs, out); break;
        case DType::kF16: unpack_to<kBits, DType::kF16, kTable>(in, n, runs, out); break;
        default: unpack_to<kBits, DType::kBF16, kTable>(in, n, runs, out); break;
    }
}

}  // namespace

void fused_unpack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, const Runs& runs, std::uint8_t* out,
                       DType to, const Aside&) {
    switch (bits) {
        case 1: unpack_bits<1>(in, n, runs, out, to); break;
        case 2: unpack_bits<2>(in, n, runs, out, to); break;
        case 3: unpack_bits<3>(in, n, runs, out, to); break;
        case 4: unpack_bits<4>(in, n, runs, out, to); break;
        case 5: unpack_bits<5>(in, n, runs, out, to); break;
        case 6: unpack_bits<6>(in, n, runs, out, to); break;
        case 7: unpack_bits<7>(in, n, runs, out, to); break;
        default: unpack_bits<8>(in, n, runs, out, to); break;
    }
}

}  // namespace qc

QC_TARGET_END
#endif
