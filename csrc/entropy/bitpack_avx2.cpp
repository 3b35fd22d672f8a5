// entropy/bitpack_avx2.cpp - eight symbols a pdep or pext; 4 and 8 bits by shuffles.
#include "entropy/bitpack.hpp"

#if QC_X86
#include <immintrin.h>

#include <cstring>

QC_TARGET("avx2,bmi,bmi2")

namespace qc {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101u;

template <unsigned kBits>
std::size_t unpack_eights(const std::uint8_t* in, std::size_t n, std::uint8_t* out) {
    constexpr std::uint64_t mask = kOnes * ((1u << kBits) - 1);
    std::size_t i = 0;
    // Loads are 8 bytes, of which kBits are used: stop while a whole load still fits the input.
    const std::size_t bytes = packed_bytes(n, kBits);
    for (std::size_t at = 0; i + 8 <= n && at + 8 <= bytes; i += 8, at += kBits) {
        std::uint64_t word;
        std::memcpy(&word, in + at, 8);
        word = _pdep_u64(word, mask);
        std::memcpy(out + i, &word, 8);
    }
    return i;
}

std::size_t unpack_nibbles(const std::uint8_t* in, std::size_t n, std::uint8_t* out) {
    const __m256i low = _mm256_set1_epi8(15);
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i / 2));
        const __m256i even = _mm256_and_si256(v, low);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        const __m256i a = _mm256_unpacklo_epi8(even, odd);
        const __m256i b = _mm256_unpackhi_epi8(even, odd);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                            _mm256_permute2x128_si256(a, b, 0x20));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + 32),
                            _mm256_permute2x128_si256(a, b, 0x31));
    }
    return i;
}

template <unsigned kBits>
std::size_t pack_eights(const std::uint8_t* in, std::size_t n, std::uint8_t* out) {
    constexpr std::uint64_t mask = kOnes * ((1u << kBits) - 1);
    const std::size_t bytes = packed_bytes(n, kBits);
    std::size_t i = 0;
    // Stores are 8 bytes, of which kBits count: the next store mends the rest.
    for (std::size_t at = 0; i + 8 <= n && at + 8 <= bytes; i += 8, at += kBits) {
        std::uint64_t word;
        std::memcpy(&word, in + i, 8);
        word = _pext_u64(word, mask);
        std::memcpy(out + at, &word, 8);
    }
    return i;
}

}  // namespace

void unpack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out) {
    std::size_t done = 0;
    switch (bits) {
        case 1: done = unpack_eights<1>(in, n, out); break;
        case 2: done = unpack_eights<2>(in, n, out); break;
        case 3: done = unpack_eights<3>(in, n, out); break;
        case 4: done = unpack_nibbles(in, n, out); break;
        case 5: done = unpack_eights<5>(in, n, out); break;
        case 6: done = unpack_eights<6>(in, n, out); break;
        case 7: done = unpack_eights<7>(in, n, out); break;
        default: std::memcpy(out, in, n); return;
    }
    unpack_portable(in + done / 8 * bits, bits, n - done, out + done);
}

void pack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out) {
    std::size_t done = 0;
    switch (bits) {
        case 1: done = pack_eights<1>(in, n, out); break;
        case 2: done = pack_eights<2>(in, n, out); break;
        case 3: done = pack_eights<3>(in, n, out); break;
        case 4: done = pack_eights<4>(in, n, out); break;
        case 5: done = pack_eights<5>(in, n, out); break;
        case 6: done = pack_eights<6>(in, n, out); break;
        case 7: done = pack_eights<7>(in, n, out); break;
        default: std::memcpy(out, in, n); return;
    }
    pack_portable(in + done, bits, n - done, out + done / 8 * bits);
}

}  // namespace qc

QC_TARGET_END
#endif
