// entropy/rans_decode_avx512.cpp - the AVX-512 kernels that decode to bytes, and merge masks and values.
#include "entropy/rans_rounds_avx512.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,"
          "gfni,bmi,bmi2,popcnt,f16c,avx512bf16")  // as for rans_rounds_avx512.hpp
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own headers

namespace qc::rans {
namespace {

struct ByteSink {
    static constexpr bool kTakesTrellis = true;

    std::uint8_t* out;

    [[gnu::always_inline]] void put(__m512i symbols) noexcept {
        _mm512_storeu_si512(out, symbols);
        out += 64;
    }
};

std::size_t rounds_avx512(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    ByteSink sink{out};
    return run_lanes(s, sink, rounds);
}

template <unsigned kStreams>
std::size_t run_abreast(Stream* const* streams, std::uint8_t* const* out, std::size_t rounds) noexcept {
    ByteSink sinks[kStreams];
    for (unsigned k = 0; k < kStreams; ++k) sinks[k].out = out[k];
    return run_groups<kStreams, 1>(streams, sinks, rounds);
}

std::size_t abreast_avx512(Stream* const* streams, unsigned count, std::uint8_t* const* out,
                           std::size_t rounds) noexcept {
    static_assert(kMostAbreast == 4);
    if (count == 2) return run_abreast<2>(streams, out, rounds);
    if (count == 3) return run_abreast<3>(streams, out, rounds);
    return run_abreast<4>(streams, out, rounds);
}

}  // namespace

const DecodeKernel kDecodeAvx512{nullptr, rounds_avx512, 64, true, abreast_avx512};

std::size_t merge_avx512(const std::uint8_t* nibbles, std::size_t n, const std::uint8_t* values,
                         std::uint8_t zero, std::uint8_t* out) noexcept {
    const std::uint64_t nibble_bits = 0x0F0F0F0F0F0F0F0F;
    const __m512i zeros = _mm512_set1_epi8(static_cast<char>(zero));
    const std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const std::uint64_t mask =
            _pext_u64(load<std::uint64_t>(nibbles + i / 4), nibble_bits) |
            _pext_u64(load<std::uint64_t>(nibbles + i / 4 + 8), nibble_bits) << 32;
        _mm512_storeu_si512(out + i, _mm512_mask_expand_epi8(zeros, _cvtu64_mask64(mask),
                                                             load_512(value)));
        value += _mm_popcnt_u64(mask);
    }
    value += merge_portable(nibbles + i / 4, n - i, value, zero, out + i);
    return static_cast<std::size_t>(value - values);
}

}  // namespace qc::rans

#pragma GCC diagnostic pop
QC_TARGET_END
#endif
