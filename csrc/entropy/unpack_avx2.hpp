// entropy/unpack_avx2.hpp - AVX2: packed symbols to registers of 32.
//
// For loops that fuse. Code here is compiled for AVX2: include it only behind a run-time check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

inline __m256i load_pair(const std::uint8_t* low, const std::uint8_t* high) noexcept {
    return _mm256_set_m128i(_mm_loadu_si128(reinterpret_cast<const __m128i*>(high)),
                            _mm_loadu_si128(reinterpret_cast<const __m128i*>(low)));
}

// A symbol lies in two bytes of a word, which a multiplication moves to the top.
template <unsigned kBits>
class Unpacker {
public:
    Unpacker() noexcept {
        alignas(16) std::uint8_t bytes[2][16];
        alignas(16) std::uint16_t factors[8];
        for (unsigned k = 0; k < 8; ++k) {
            const unsigned bit = k * kBits;
            for (unsigned b = 0; b < 2; ++b) {
                bytes[0][2 * k + b] = static_cast<std::uint8_t>(bit / 8 + b);
                bytes[1][2 * k + b] = static_cast<std::uint8_t>(kBits + bit / 8 + b);
            }
            factors[k] = static_cast<std::uint16_t>(1u << (16 - kBits - bit % 8));
        }
        first_ = load_pair(bytes[0], bytes[0]);
        second_ = load_pair(bytes[1], bytes[1]);
        const auto* const f = reinterpret_cast<const std::uint8_t*>(factors);
        factors_ = load_pair(f, f);
    }

    // 64 symbols. Reads up to 14 bytes more.
    [[gnu::always_inline]] void get(const std::uint8_t* p, __m256i* symbols) const noexcept {
#pragma GCC unroll 2
        for (unsigned k = 0; k < 2; ++k, p += 4 * kBits) {
            const __m256i v = load_pair(p, p + 2 * kBits);
            symbols[k] = _mm256_packus_epi16(from_top(v, first_), from_top(v, second_));
        }
    }

private:
    [[gnu::always_inline]] __m256i from_top(__m256i v, __m256i bytes) const noexcept {
        return _mm256_srli_epi16(_mm256_mullo_epi16(_mm256_shuffle_epi8(v, bytes), factors_), 16 - kBits);
    }

    __m256i first_;
    __m256i second_;
    __m256i factors_;
};

template <>
class Unpacker<4> {
public:
    [[gnu::always_inline]] void get(const std::uint8_t* p, __m256i* symbols) const noexcept {
        const __m256i low = _mm256_set1_epi8(15);
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        const __m256i even = _mm256_and_si256(v, low);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        const __m256i a = _mm256_unpacklo_epi8(even, odd);
        const __m256i b = _mm256_unpackhi_epi8(even, odd);
        symbols[0] = _mm256_permute2x128_si256(a, b, 0x20);
        symbols[1] = _mm256_permute2x128_si256(a, b, 0x31);
    }
};

template <>
class Unpacker<8> {
public:
    [[gnu::always_inline]] void get(const std::uint8_t* p, __m256i* symbols) const noexcept {
        symbols[0] = load_pair(p, p + 16);
        symbols[1] = load_pair(p + 32, p + 48);
    }
};

// n symbols at `in`, which is readable for n * kBits / 8 bytes, to put() of a sink.
//   requires  n a multiple of 64, at least 128
template <unsigned kBits, class Sink>
[[gnu::always_inline]] inline void unpack_into(const std::uint8_t* in, std::size_t n, std::size_t ahead,
                                               Sink& sink) noexcept {
    constexpr std::size_t kLast = 128;  // whose loads would leave the input: from a copy
    const Unpacker<kBits> unpacker;
    const auto put = [&](const std::uint8_t* p, std::size_t m) __attribute__((always_inline)) {
        for (std::size_t i = 0; i < m; i += 64, p += 8 * kBits) {
            _mm_prefetch(p + ahead * kBits / 8, _MM_HINT_T0);
            __m256i symbols[2];
            unpacker.get(p, symbols);
            sink.put(symbols[0]);
            sink.put(symbols[1]);
        }
    };
    put(in, n - kLast);
    std::uint8_t last[kLast * kBits / 8 + 16] = {};
    std::memcpy(last, in + (n - kLast) * kBits / 8, kLast * kBits / 8);
    put(last, kLast);
    sink.flush();
}

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
