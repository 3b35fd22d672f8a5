// pipeline/fused_unpack.cpp - packed symbols to elements, 64 a step.
#include "entropy/bitpack.hpp"
#include "pipeline/fused.hpp"
#include "quantize/dequantize_sink.hpp"

namespace qc {

#if QC_X86
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512bf16")

namespace {

template <unsigned kBits>
struct Unpacker {
    __m512i gather;
    __m512i shift;

    Unpacker() noexcept {
        alignas(64) std::uint8_t bytes[64];
        alignas(64) std::uint8_t shifts[64];
        for (unsigned k = 0; k < 64; ++k) {
            const unsigned byte = k % 8 < kBits ? k % 8 : 0;
            bytes[k] = static_cast<std::uint8_t>(k / 8 * kBits + byte);
            shifts[k] = static_cast<std::uint8_t>(k % 8 * kBits);
        }
        gather = _mm512_load_si512(bytes);
        shift = _mm512_load_si512(shifts);
    }

    // Reads exactly the bytes of 64 symbols.
    __m512i get(const std::uint8_t* p) const noexcept {
        constexpr __mmask64 used = kBits == 8 ? ~__mmask64{0} : (__mmask64{1} << (8 * kBits)) - 1;
        const __m512i v = _mm512_maskz_loadu_epi8(used, p);
        if constexpr (kBits == 8) return v;
        return _mm512_and_si512(
            _mm512_multishift_epi64_epi8(shift, _mm512_permutexvar_epi8(gather, v)),
            _mm512_set1_epi8(static_cast<char>((1u << kBits) - 1)));
    }
};

template <unsigned kBits, DType kTo, Halves kHow>
void unpack_to(const std::uint8_t* in, std::size_t n, const Runs& runs, std::uint8_t* out) {
    DequantizeSink<kTo, (kBits <= 4), kHow> sink(runs, out);
    const Unpacker<kBits> unpacker;
    for (std::size_t i = 0; i < n; i += 64, in += 8 * kBits) {
        _mm_prefetch(in + kReadAhead * kBits / 8, _MM_HINT_T0);
        sink.put(unpacker.get(in));
    }
    sink.flush();
}

template <unsigned kBits>
void unpack_bits(const std::uint8_t* in, std::size_t n, const Runs& runs, std::uint8_t* out,
                 DType to) {
    if (to == DType::kF32) {
        unpack_to<kBits, DType::kF32, Halves::kF16>(in, n, runs, out);
    } else if (to == DType::kF16) {
        unpack_to<kBits, DType::kF16, Halves::kF16>(in, n, runs, out);
    } else if (has_bf16_conversion()) {
        unpack_to<kBits, DType::kBF16, Halves::kBf16Native>(in, n, runs, out);
    } else {
        unpack_to<kBits, DType::kBF16, Halves::kBf16>(in, n, runs, out);
    }
}

void fused_unpack_avx512(const std::uint8_t* in, unsigned bits, std::size_t n, const Runs& runs,
                         std::uint8_t* out, DType to) {
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

}  // namespace
#pragma GCC pop_options

constinit const Variants<FusedUnpackFn> fused_unpack{nullptr, nullptr, fused_unpack_avx512};
#else
constinit const Variants<FusedUnpackFn> fused_unpack{nullptr};
#endif

}  // namespace qc
