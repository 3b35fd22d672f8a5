#include "core/xxh3_stripes.hpp"

#include "core/bytes.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {

void xxh3_stripes_portable(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                           std::uint64_t* acc) {
    const auto stripe = [acc](const std::uint8_t* p, const std::uint8_t* s) {
        for (std::size_t k = 0; k < 8; ++k) {
            const auto data = load<std::uint64_t>(p + 8 * k);
            const std::uint64_t key = data ^ load<std::uint64_t>(s + 8 * k);
            acc[k ^ 1] += data;
            acc[k] += (key & 0xFFFFFFFFu) * (key >> 32);
        }
    };
    const auto scramble = [acc](const std::uint8_t* s) {
        for (std::size_t k = 0; k < 8; ++k) {
            acc[k] = (acc[k] ^ acc[k] >> 47 ^ load<std::uint64_t>(s + 8 * k)) * 0x9E3779B1u;
        }
    };
    const std::uint8_t* const end = in + n;
    for (std::size_t blocks = (n - 1) / kXxh3Block; blocks > 0; --blocks, in += kXxh3Block) {
        for (std::size_t k = 0; k < 16; ++k) stripe(in + 64 * k, secret + 8 * k);
        scramble(secret + kXxh3SecretBytes - 64);
    }
    const auto rest = static_cast<std::size_t>(end - 1 - in) / 64;
    for (std::size_t k = 0; k < rest; ++k) stripe(in + 64 * k, secret + 8 * k);
    stripe(end - 64, secret + kXxh3SecretBytes - 64 - 7);
}

#if QC_X86
constinit const Variants<Xxh3StripesFn> xxh3_stripes{xxh3_stripes_portable, xxh3_stripes_avx2,
                                                     xxh3_stripes_avx512};

#pragma GCC push_options
#pragma GCC target("avx2")
static inline __m256i load256(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

void xxh3_stripes_avx2(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                       std::uint64_t* acc) {
    auto* lanes = reinterpret_cast<__m256i*>(acc);
    __m256i a[2] = {_mm256_load_si256(lanes), _mm256_load_si256(lanes + 1)};
    const __m256i prime = _mm256_set1_epi64x(0x9E3779B1);
    const auto stripe = [&](const std::uint8_t* p, const std::uint8_t* s) {
        for (int k = 0; k < 2; ++k) {
            const __m256i data = load256(p + 32 * k);
            const __m256i key = _mm256_xor_si256(data, load256(s + 32 * k));
            const __m256i product = _mm256_mul_epu32(key, _mm256_srli_epi64(key, 32));
            a[k] = _mm256_add_epi64(a[k],
                                    _mm256_add_epi64(product, _mm256_shuffle_epi32(data, 0x4E)));
        }
    };
    const auto scramble = [&](const std::uint8_t* s) {
        for (int k = 0; k < 2; ++k) {
            __m256i x = _mm256_xor_si256(a[k], _mm256_srli_epi64(a[k], 47));
            x = _mm256_xor_si256(x, load256(s + 32 * k));
            const __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), prime);
            a[k] = _mm256_add_epi64(_mm256_mul_epu32(x, prime), _mm256_slli_epi64(high, 32));
        }
    };
    const std::uint8_t* const end = in + n;
    for (std::size_t blocks = (n - 1) / kXxh3Block; blocks > 0; --blocks, in += kXxh3Block) {
        for (std::size_t k = 0; k < 16; ++k) stripe(in + 64 * k, secret + 8 * k);
        scramble(secret + kXxh3SecretBytes - 64);
    }
    const auto rest = static_cast<std::size_t>(end - 1 - in) / 64;
    for (std::size_t k = 0; k < rest; ++k) stripe(in + 64 * k, secret + 8 * k);
    stripe(end - 64, secret + kXxh3SecretBytes - 64 - 7);
    _mm256_store_si256(lanes, a[0]);
    _mm256_store_si256(lanes + 1, a[1]);
}
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512dq,avx512bw,avx512vl")
void xxh3_stripes_avx512(const std::uint8_t* in, std::size_t n, const std::uint8_t* secret,
                         std::uint64_t* acc) {
    __m512i a = _mm512_load_si512(acc);
    const __m512i prime = _mm512_set1_epi64(0x9E3779B1);
    const auto stripe = [&](const std::uint8_t* p, const std::uint8_t* s) {
        const __m512i data = _mm512_loadu_si512(p);
        const __m512i key = _mm512_xor_si512(data, _mm512_loadu_si512(s));
        const __m512i product = _mm512_mul_epu32(key, _mm512_srli_epi64(key, 32));
        const __m512i swapped = _mm512_shuffle_epi32(data, static_cast<_MM_PERM_ENUM>(0x4E));
        a = _mm512_add_epi64(a, _mm512_add_epi64(product, swapped));
    };
    const auto scramble = [&](const std::uint8_t* s) {
        __m512i x = _mm512_xor_si512(a, _mm512_srli_epi64(a, 47));
        x = _mm512_xor_si512(x, _mm512_loadu_si512(s));
        const __m512i high = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), prime);
        a = _mm512_add_epi64(_mm512_mul_epu32(x, prime), _mm512_slli_epi64(high, 32));
    };
    const std::uint8_t* const end = in + n;
    for (std::size_t blocks = (n - 1) / kXxh3Block; blocks > 0; --blocks, in += kXxh3Block) {
        for (std::size_t k = 0; k < 16; ++k) stripe(in + 64 * k, secret + 8 * k);
        scramble(secret + kXxh3SecretBytes - 64);
    }
    const auto rest = static_cast<std::size_t>(end - 1 - in) / 64;
    for (std::size_t k = 0; k < rest; ++k) stripe(in + 64 * k, secret + 8 * k);
    stripe(end - 64, secret + kXxh3SecretBytes - 64 - 7);
    _mm512_store_si512(acc, a);
}
#pragma GCC pop_options
#else
constinit const Variants<Xxh3StripesFn> xxh3_stripes{xxh3_stripes_portable};
#endif

}  // namespace qc
