// entropy/base3_avx2.cpp - 32 bytes a step. Limits: about four additions a digit on the way out,
// one mispredicted branch a run on the way in.
#include "entropy/base3.hpp"

#if QC_X86
#include <immintrin.h>

#include <bit>

QC_TARGET("avx2,bmi")

namespace qc::base3 {
namespace {

__m256i load32(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
void store32(std::uint8_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
__m256i all(unsigned byte) noexcept { return _mm256_set1_epi8(static_cast<char>(byte)); }
__m256i triple(__m256i v) noexcept { return _mm256_add_epi8(_mm256_add_epi8(v, v), v); }
__m256i at_least(__m256i v, __m256i low) noexcept {
    return _mm256_cmpeq_epi8(_mm256_max_epu8(v, low), v);
}
std::uint32_t bits_of(__m256i v) noexcept {
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(v));
}

bool join_avx2(const std::uint8_t* symbols, std::size_t part, std::size_t n,
               std::uint8_t* bytes) noexcept {
    __m256i largest = _mm256_setzero_si256();
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i byte = _mm256_setzero_si256();
        for (std::size_t k = 0; k < 5; ++k) {
            const __m256i s = load32(symbols + k * part + i);
            largest = _mm256_max_epu8(largest, s);
            byte = _mm256_add_epi8(triple(byte), s);
        }
        store32(bytes + i, byte);
    }
    const bool rest = kPortable.join(symbols + i, part, n - i, bytes + i);
    return rest && bits_of(at_least(largest, all(3))) == 0;
}

std::size_t shorten_avx2(const std::uint8_t* bytes, std::size_t n, std::uint8_t* out) noexcept {
    const __m256i ones = all(kOnes);
    std::uint8_t* o = out;
    std::size_t i = 0;
    while (i + 32 <= n) {
        const __m256i v = load32(bytes + i);
        std::uint32_t runs = bits_of(_mm256_cmpeq_epi8(v, ones));
        store32(o, v);
        const auto literals = static_cast<std::size_t>(std::countr_zero(runs));
        o += literals;
        i += literals;
        if (literals == 32) continue;
        auto length = static_cast<std::size_t>(std::countr_one(runs >> literals));
        i += length;
        if (literals + length == 32) {
            for (unsigned more = 32; more == 32 && i + 32 <= n; i += more, length += more) {
                runs = bits_of(_mm256_cmpeq_epi8(load32(bytes + i), ones));
                more = static_cast<unsigned>(std::countr_one(runs));
            }
            for (; i < n && bytes[i] == kOnes; ++i) ++length;
        }
        o = put_run(length, o);
    }
    return static_cast<std::size_t>(o - out) + kPortable.shorten(bytes + i, n - i, o);
}

// ceil(256 a / 243) from x = 256 a + 242, a < 243, as (x * 8631) >> 21.
__m256i fraction(__m256i x) noexcept {
    return _mm256_srli_epi16(_mm256_mulhi_epu16(x, _mm256_set1_epi16(8631)), 5);
}

Status expand_avx2(std::span<const std::uint8_t> payload, std::size_t n,
                   std::uint8_t* fractions) noexcept {
    constexpr std::size_t kStep = 16;
    const std::uint8_t* const in = payload.data();
    std::uint8_t *out = fractions, *const end = fractions + n;
    std::size_t at = 0;
    while (payload.size() - at >= 32 && static_cast<std::size_t>(end - out) >= kStep * kMaxRun) {
        const __m256i v = load32(in + at);
        if (bits_of(at_least(v, all(kFirstRun))) == 0) {
            const __m256i low = fraction(_mm256_unpacklo_epi8(all(242), v));
            const __m256i high = fraction(_mm256_unpackhi_epi8(all(242), v));
            store32(out, _mm256_packus_epi16(low, high));
            at += 32;
            out += 32;
            continue;
        }
        for (std::size_t k = 0; k < kStep; ++k) out = expand_byte(in[at + k], out);
        at += kStep;
    }
    return expand_rest(payload, at, out, end);
}

template <unsigned kDigit>
void digit_of(const std::uint8_t* fractions, std::size_t n, std::uint8_t* symbols) noexcept {
    for (std::size_t i = 0; i < n; i += 32) {
        __m256i v = load32(fractions + i);
        for (unsigned k = 0; k < kDigit; ++k) v = triple(v);
        const __m256i minus = _mm256_add_epi8(at_least(v, all(86)), at_least(v, all(171)));
        store32(symbols + i, _mm256_sub_epi8(_mm256_setzero_si256(), minus));
    }
}

void digit_avx2(const std::uint8_t* fractions, std::size_t n, unsigned k,
                std::uint8_t* symbols) noexcept {
    switch (k) {
        case 0: return digit_of<0>(fractions, n, symbols);
        case 1: return digit_of<1>(fractions, n, symbols);
        case 2: return digit_of<2>(fractions, n, symbols);
        case 3: return digit_of<3>(fractions, n, symbols);
        default: return digit_of<4>(fractions, n, symbols);
    }
}

}  // namespace

constinit const Kernels kAvx2{join_avx2, shorten_avx2, expand_avx2, digit_avx2};

}  // namespace qc::base3

QC_TARGET_END
#endif
