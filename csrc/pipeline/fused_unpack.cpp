// pipeline/fused_unpack.cpp - packed symbols to elements, 64 a step.
#include <algorithm>

#include "entropy/unpack_avx512.hpp"
#include "pipeline/dequantize_sinks.hpp"
#include "pipeline/fused.hpp"

namespace qc {

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

template <unsigned kBits, bool kFew = (kBits <= 4)>
void unpack_bits(const std::uint8_t* in, std::size_t n, const Runs& runs, std::uint8_t* out,
                 DType to, const Aside& aside) {
    with_dequantize_sink<kFew>(to, [&]<class Sink>() {
        Sink sink(runs, out);
        const Unpacker<kBits> unpacker;
        std::size_t i = 0;
        const auto unpack = [&](std::size_t end) __attribute__((always_inline)) {
            for (; i < end; i += 64, in += 8 * kBits) {
                _mm_prefetch(in + kReadAhead * kBits / 8, _MM_HINT_T0);
                sink.put(unpacker.get(in));
            }
        };
        // In a loop of its own: around a call registers go to memory.
        if constexpr (kBits == 8) {
            for (; aside && i < n; aside()) unpack(std::min(i + Aside::kSymbols, n));
        }
        unpack(n);
        sink.flush();
    });
}

void fused_unpack_avx512(const std::uint8_t* in, unsigned bits, std::size_t n, const Runs& runs,
                         std::uint8_t* out, DType to, const Aside& aside) {
    switch (bits) {
        case 1: unpack_bits<1>(in, n, runs, out, to, aside); break;
        case 2: unpack_bits<2>(in, n, runs, out, to, aside); break;
        case 3: unpack_bits<3>(in, n, runs, out, to, aside); break;
        case 4: unpack_bits<4>(in, n, runs, out, to, aside); break;
        case 5: unpack_bits<5>(in, n, runs, out, to, aside); break;
        case 6: unpack_bits<6>(in, n, runs, out, to, aside); break;
        case 7: unpack_bits<7>(in, n, runs, out, to, aside); break;
        default:
            // Symbols of fewer bits come in bytes as well.
            if (runs.width <= 4) {
                unpack_bits<8, true>(in, n, runs, out, to, aside);
            } else {
                unpack_bits<8>(in, n, runs, out, to, aside);
            }
            break;
    }
}

}  // namespace
QC_TARGET_END

constinit const Variants<FusedUnpackFn> fused_unpack{nullptr, fused_unpack_avx2, fused_unpack_avx512};
#else
constinit const Variants<FusedUnpackFn> fused_unpack{nullptr};
#endif

}  // namespace qc
