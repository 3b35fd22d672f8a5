// entropy/bitpack_avx512.cpp - 64 symbols a step: one vpermb brings each eight symbols' bytes into
// a quadword, one vpmultishiftqb cuts the symbols out. Limit: one load and one store a step.
#include "entropy/bitpack.hpp"

#if QC_X86
#include <immintrin.h>

#include <cstring>

QC_TARGET("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512vbmi")

namespace qc {
namespace {

template <unsigned kBits>
std::size_t unpack_64s(const std::uint8_t* in, std::size_t n, std::uint8_t* out) {
    alignas(64) std::uint8_t bytes[64];
    alignas(64) std::uint8_t shifts[64];
    for (unsigned q = 0; q < 8; ++q) {
        for (unsigned k = 0; k < 8; ++k) {
            bytes[8 * q + k] = static_cast<std::uint8_t>(q * kBits + (k < kBits ? k : 0));
            shifts[8 * q + k] = static_cast<std::uint8_t>(k * kBits);
        }
    }
    const __m512i gather = _mm512_load_si512(bytes);
    const __m512i shift = _mm512_load_si512(shifts);
    const __m512i mask = _mm512_set1_epi8(static_cast<char>((1u << kBits) - 1));
    constexpr __mmask64 used = kBits == 8 ? ~__mmask64{0} : (__mmask64{1} << (8 * kBits)) - 1;
    std::size_t i = 0;
    // The mask makes a load touch exactly the bytes of its 64 symbols.
    for (; i + 64 <= n; i += 64, in += 8 * kBits) {
        const __m512i v = _mm512_permutexvar_epi8(gather, _mm512_maskz_loadu_epi8(used, in));
        _mm512_storeu_si512(out + i,
                            _mm512_and_si512(_mm512_multishift_epi64_epi8(shift, v), mask));
    }
    return i;
}

}  // namespace

void unpack_avx512(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out) {
    std::size_t done = 0;
    switch (bits) {
        case 1: done = unpack_64s<1>(in, n, out); break;
        case 2: done = unpack_64s<2>(in, n, out); break;
        case 3: done = unpack_64s<3>(in, n, out); break;
        case 4: done = unpack_64s<4>(in, n, out); break;
        case 5: done = unpack_64s<5>(in, n, out); break;
        case 6: done = unpack_64s<6>(in, n, out); break;
        case 7: done = unpack_64s<7>(in, n, out); break;
        default: std::memcpy(out, in, n); return;
    }
    unpack_portable(in + done / 8 * bits, bits, n - done, out + done);
}

}  // namespace qc

QC_TARGET_END
#endif
