// entropy/zero_run_split.cpp - symbols to gaps and values: portable, AVX2, AVX-512.
#include "entropy/zero_run.hpp"

#include <bit>

#include "core/bytes.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc::zero_run {

void split_portable(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                    std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept {
    constexpr std::size_t kStep = 8;
    Split s = split;
    const std::uint64_t zeros = zero * std::uint64_t{0x0101010101010101};
    std::size_t i = 0;
    while (i < n) {
        const std::size_t m = n - i < kStep ? n - i : kStep;
        if (m == kStep && load<std::uint64_t>(symbols + i) == zeros) {
            s.zeros += kStep;
        } else if (s.zeros + kStep < kLongGap) {
            for (std::size_t k = 0; k < m; ++k) {
                const std::uint8_t symbol = symbols[i + k];
                const std::size_t is_value = symbol != zero;
                gaps[s.n_gaps] = static_cast<std::uint8_t>(s.zeros);
                values[s.n_values] = symbol;
                s.n_gaps += is_value;
                s.n_values += is_value;
                s.zeros = is_value != 0 ? 0 : s.zeros + 1;
            }
        } else {
            for (std::size_t k = 0; k < m; ++k) {
                if (symbols[i + k] == zero) {
                    ++s.zeros;
                    continue;
                }
                const std::uint8_t gap = put_long_gaps(s.zeros, gaps, s.n_gaps);
                gaps[s.n_gaps++] = gap;
                values[s.n_values++] = symbols[i + k];
                s.zeros = 0;
            }
        }
        i += m;
    }
    split = s;
}

#if QC_X86

QC_TARGET("avx2,bmi,bmi2,popcnt,lzcnt")

// Eight symbols at a time: places and values come together by pext, gaps are differences of places.
void split_avx2(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept {
    Split s = split;
    const __m256i all_zero = _mm256_set1_epi8(static_cast<char>(zero));
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols + i));
        const __m256i same = _mm256_cmpeq_epi8(v, all_zero);
        if (_mm256_movemask_epi8(same) == -1) {
            s.zeros += 32;
            continue;
        }
        alignas(32) std::uint64_t quarters[4];
        _mm256_store_si256(reinterpret_cast<__m256i*>(quarters), same);
        for (std::size_t k = 0; k < 4; ++k) {
            const std::uint64_t found = ~quarters[k];
            const std::uint64_t places = _pext_u64(0x0706050403020100, found);
            if (s.zeros + 8 > kLongGap) {
                if (found == 0) {
                    s.zeros += 8;
                    continue;
                }
                const std::uint8_t first =
                    put_long_gaps(s.zeros + (places & 0xFF), gaps, s.n_gaps);
                store(gaps + s.n_gaps, places - (places << 8) - 0x0101010101010100);
                gaps[s.n_gaps] = first;
            } else {
                store(gaps + s.n_gaps, places - (places << 8) - 0x0101010101010100 + s.zeros);
            }
            store(values + s.n_values, _pext_u64(load<std::uint64_t>(symbols + i + 8 * k), found));
            const auto n_found = static_cast<std::size_t>(std::popcount(found)) / 8;
            s.n_gaps += n_found;
            s.n_values += n_found;
            // Without a branch: it would often be mispredicted.
            s.zeros = (s.zeros & ~(std::size_t{0} - (n_found != 0))) +
                      static_cast<std::size_t>(std::countl_zero(found)) / 8;
        }
    }
    split = s;
    split_portable(symbols + i, n - i, zero, gaps, values, split);
}

QC_TARGET_END
QC_TARGET("avx2,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")

// The places of values, compressed, less the places before them.
void split_avx512(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                  std::uint8_t* gaps, std::uint8_t* values, Split& split) noexcept {
    alignas(64) std::uint8_t places[64];
    alignas(64) std::uint8_t before[64];
    for (unsigned k = 0; k < 64; ++k) {
        places[k] = static_cast<std::uint8_t>(k);
        before[k] = static_cast<std::uint8_t>(k == 0 ? 0 : k - 1);
    }
    const __m512i place = _mm512_load_si512(places), one_before = _mm512_load_si512(before);
    const __m512i all_zero = _mm512_set1_epi8(static_cast<char>(zero));
    Split s = split;
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i v = _mm512_loadu_si512(symbols + i);
        const std::uint64_t found = _mm512_cmpneq_epi8_mask(v, all_zero);
        if (found == 0) {
            s.zeros += 64;
            continue;
        }
        const std::uint8_t first = put_long_gaps(
            s.zeros + static_cast<std::size_t>(std::countr_zero(found)), gaps, s.n_gaps);
        const __m512i at = _mm512_maskz_compress_epi8(found, place);
        const __m512i next_to_last =
            _mm512_add_epi8(_mm512_permutexvar_epi8(one_before, at), _mm512_set1_epi8(1));
        const __m512i gap = _mm512_mask_mov_epi8(_mm512_sub_epi8(at, next_to_last), 1,
                                                 _mm512_set1_epi8(static_cast<char>(first)));
        _mm512_storeu_si512(gaps + s.n_gaps, gap);
        _mm512_storeu_si512(values + s.n_values, _mm512_maskz_compress_epi8(found, v));
        const auto n_found = static_cast<std::size_t>(std::popcount(found));
        s.n_gaps += n_found;
        s.n_values += n_found;
        s.zeros = static_cast<std::size_t>(std::countl_zero(found));
    }
    split = s;
    split_portable(symbols + i, n - i, zero, gaps, values, split);
}

QC_TARGET_END
#endif

}  // namespace qc::zero_run
