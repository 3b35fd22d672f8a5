#include "core/xxh3_stripes.hpp"

#include "core/bytes.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {

void xxh3_stripe(const std::uint8_t* in, const std::uint8_t* secret,
                 std::uint64_t* lanes) noexcept {
    for (std::size_t k = 0; k < 8; ++k) {
        const auto data = load<std::uint64_t>(in + 8 * k);
        const std::uint64_t key = data ^ load<std::uint64_t>(secret + 8 * k);
        lanes[k ^ 1] += data;
        lanes[k] += (key & 0xFFFFFFFFu) * (key >> 32);
    }
}

namespace {

constexpr std::size_t kStripes = kXxh3Block / 64;
constexpr std::size_t kScrambleSecret = kXxh3SecretBytes - 64;

void blocks_portable(const std::uint8_t* in, std::size_t blocks, const std::uint8_t* secret,
                     std::uint64_t* lanes) noexcept {
    for (; blocks > 0; --blocks, in += kXxh3Block) {
        for (std::size_t k = 0; k < kStripes; ++k) xxh3_stripe(in + 64 * k, secret + 8 * k, lanes);
        for (std::size_t k = 0; k < 8; ++k) {
            const auto key = load<std::uint64_t>(secret + kScrambleSecret + 8 * k);
            lanes[k] = (lanes[k] ^ lanes[k] >> 47 ^ key) * 0x9E3779B1u;
        }
    }
}

#if QC_X86
// Both take the stripes of a block apart from what was before, which first has to be scrambled.

QC_TARGET("avx2")
inline __m256i load256(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

void blocks_avx2(const std::uint8_t* in, std::size_t blocks, const std::uint8_t* secret,
                 std::uint64_t* lanes) noexcept {
    auto* const out = reinterpret_cast<__m256i*>(lanes);
    __m256i a[2] = {_mm256_load_si256(out), _mm256_load_si256(out + 1)};
    const __m256i prime = _mm256_set1_epi64x(0x9E3779B1);
    for (; blocks > 0; --blocks, in += kXxh3Block) {
        __m256i sum[2] = {};
        for (std::size_t s = 0; s < kStripes; ++s) {
            for (std::size_t k = 0; k < 2; ++k) {
                const __m256i data = load256(in + 64 * s + 32 * k);
                const __m256i key = _mm256_xor_si256(data, load256(secret + 8 * s + 32 * k));
                const __m256i product = _mm256_mul_epu32(key, _mm256_srli_epi64(key, 32));
                const __m256i swapped = _mm256_shuffle_epi32(data, 0x4E);
                sum[k] = _mm256_add_epi64(sum[k], _mm256_add_epi64(product, swapped));
            }
        }
        for (std::size_t k = 0; k < 2; ++k) {
            a[k] = _mm256_add_epi64(a[k], sum[k]);
            __m256i x = _mm256_xor_si256(a[k], _mm256_srli_epi64(a[k], 47));
            x = _mm256_xor_si256(x, load256(secret + kScrambleSecret + 32 * k));
            const __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), prime);
            a[k] = _mm256_add_epi64(_mm256_mul_epu32(x, prime), _mm256_slli_epi64(high, 32));
        }
    }
    _mm256_store_si256(out, a[0]);
    _mm256_store_si256(out + 1, a[1]);
}
QC_TARGET_END

QC_TARGET("avx2,avx512f,avx512dq,avx512bw,avx512vl")
// The keys of all stripes stay in registers: in memory most of them lie across two cache lines.
void blocks_avx512(const std::uint8_t* in, std::size_t blocks, const std::uint8_t* secret,
                   std::uint64_t* lanes) noexcept {
    __m512i a = _mm512_load_si512(lanes);
    __m512i keys[kStripes];
#pragma GCC unroll 16
    for (std::size_t s = 0; s < kStripes; ++s) keys[s] = _mm512_loadu_si512(secret + 8 * s);
    const __m512i last_key = _mm512_loadu_si512(secret + kScrambleSecret);
    const __m512i prime = _mm512_set1_epi64(0x9E3779B1);
    for (; blocks > 0; --blocks, in += kXxh3Block) {
        __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 16
        for (std::size_t s = 0; s < kStripes; ++s) {
            __m512i data = _mm512_loadu_si512(in + 64 * s);
#ifndef __clang__  // which knows "v" only where the whole build is for AVX-512
            // One load for both uses, and stripes in order: keys stay in registers then.
            asm volatile("" : "+v"(data), "+v"(sum));
#endif
            const __m512i key = _mm512_xor_si512(data, keys[s]);
            const __m512i product = _mm512_mul_epu32(key, _mm512_srli_epi64(key, 32));
            const __m512i swapped = _mm512_shuffle_epi32(data, static_cast<_MM_PERM_ENUM>(0x4E));
            sum = _mm512_add_epi64(sum, _mm512_add_epi64(product, swapped));
        }
        a = _mm512_add_epi64(a, sum);
        __m512i x = _mm512_xor_si512(a, _mm512_srli_epi64(a, 47));
        x = _mm512_xor_si512(x, last_key);
        const __m512i high = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), prime);
        a = _mm512_add_epi64(_mm512_mul_epu32(x, prime), _mm512_slli_epi64(high, 32));
    }
    _mm512_store_si512(lanes, a);
}
QC_TARGET_END
#endif

}  // namespace

#if QC_X86
constinit const Variants<Xxh3BlocksFn> xxh3_blocks{blocks_portable, blocks_avx2, blocks_avx512};
#else
constinit const Variants<Xxh3BlocksFn> xxh3_blocks{blocks_portable};
#endif

}  // namespace qc
