// quantize/dequantize_sink_avx2.hpp - AVX2: takes 32 symbols in a register, writes 32 elements.
//
// For loops that fuse a coder with `uniform` (pipeline/fused.hpp). Code here is compiled for AVX2 and
// F16C: include it only behind a run-time check.
#pragma once

#include <type_traits>

#include "quantize/dequantize.hpp"
#include "simd/vector_stream_avx2.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

// bfloat16 of floats that are not NaN, in the low halves of dwords.
inline __m256i bf16_bits(__m256 f) noexcept {
    const __m256i bits = _mm256_castps_si256(f);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
}

// Halves of 16 floats, of which `a` has those at 0-3 and 8-11, and `b` the others.
template <DType kTo>
inline __m256i halves_of(__m256 a, __m256 b) noexcept {
    if constexpr (kTo == DType::kBF16) return _mm256_packus_epi32(bf16_bits(a), bf16_bits(b));
    const __m128i low = _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT);
    const __m128i high = _mm256_cvtps_ph(b, _MM_FROUND_TO_NEAREST_INT);
    return _mm256_permute4x64_epi64(_mm256_set_m128i(high, low), 0xD8);
}

// Symbols to elements of one dtype. kTable: of two bytes, by a table of the run's products, for symbols below 16;
// else each is computed.
//   requires  runs.inner and runs.left are multiples of 32, runs.width <= 8
template <DType kTo, bool kTable>
class DequantizeSink {
    static constexpr unsigned kItem = kTo == DType::kF32 ? 4 : 2;
    static_assert(!kTable || kItem == 2);
    // 2^23 with a symbol in its lowest bits is their sum, from which 2^23 + zero point is taken:
    // exactly, since magnitudes are at most 2^24.
    static constexpr int kInMantissa = 1 << 23;

public:
    DequantizeSink(const Runs& runs, std::uint8_t* out) noexcept
        : runs_(&runs), out_(out), entry_(runs.entry), left_(runs.left), to_q_(_mm_cvtsi32_si128(runs.factor - 1)) {
        alignas(32) std::uint8_t kept[32];
        for (unsigned k = 0; k < 32; ++k) kept[k] = k < out_.lead() ? 0xFF : 0;
        kept_ = out_.in_order(_mm256_load_si256(reinterpret_cast<const __m256i*>(kept)));
        load_zeros();
        load_run();
    }

    [[gnu::always_inline]] void put(__m256i symbols) noexcept {
        const __m256i placed = out_.place(symbols);
        const Run before = run_;
        const bool begins = left_ == 0;
        if (begins) {
            entry_ = entry_ + 1 == runs_->entries ? 0 : entry_ + 1;
            left_ = runs_->inner;
            load_run();
        }
        left_ -= 32;
        __m256i vectors[kItem];
        if constexpr (kTable) {
            __m256i low = _mm256_shuffle_epi8(run_.low, placed);
            __m256i high = _mm256_shuffle_epi8(run_.high, placed);
            if (begins) {
                low = _mm256_blendv_epi8(low, _mm256_shuffle_epi8(before.low, placed), kept_);
                high = _mm256_blendv_epi8(high, _mm256_shuffle_epi8(before.high, placed), kept_);
            }
            vectors[0] = _mm256_unpacklo_epi8(low, high);
            vectors[1] = _mm256_unpackhi_epi8(low, high);
        } else {
            const __m256i zero = _mm256_setzero_si256();
            const __m256i q = _mm256_sll_epi16(placed, to_q_);
            const __m256i low = _mm256_unpacklo_epi8(q, zero);
            const __m256i high = _mm256_unpackhi_epi8(q, zero);
            __m256 first[2] = {product<0>(low, run_), product<1>(low, run_)};
            if (begins) {
                const __m256i kept = _mm256_unpacklo_epi8(kept_, kept_);
                first[0] = _mm256_blendv_ps(first[0], product<0>(low, before),
                                            _mm256_castsi256_ps(_mm256_unpacklo_epi16(kept, kept)));
                if constexpr (kItem == 2) {
                    first[1] = _mm256_blendv_ps(first[1], product<1>(low, before),
                                                _mm256_castsi256_ps(_mm256_unpackhi_epi16(kept, kept)));
                }
            }
            const __m256 second[2] = {product<0>(high, run_), product<1>(high, run_)};
            if constexpr (kItem == 4) {
                vectors[0] = _mm256_castps_si256(first[0]);
                vectors[1] = _mm256_castps_si256(first[1]);
                vectors[2] = _mm256_castps_si256(second[0]);
                vectors[3] = _mm256_castps_si256(second[1]);
            } else {
                vectors[0] = halves_of<kTo>(first[0], first[1]);
                vectors[1] = halves_of<kTo>(second[0], second[1]);
            }
        }
        out_.put_first(vectors[0]);
#pragma GCC unroll 3
        for (unsigned k = 1; k < kItem; ++k) out_.put(vectors[k]);
    }

    void flush() noexcept {
        const __m256i placed = out_.place(_mm256_setzero_si256());
        if constexpr (kTable) {
            out_.flush(_mm256_unpacklo_epi8(_mm256_shuffle_epi8(run_.low, placed),
                                            _mm256_shuffle_epi8(run_.high, placed)));
        } else {
            const __m256i q = _mm256_unpacklo_epi8(_mm256_sll_epi16(placed, to_q_), _mm256_setzero_si256());
            const __m256 a = product<0>(q, run_);
            if constexpr (kItem == 4) {
                out_.flush(_mm256_castps_si256(a));
            } else {
                out_.flush(halves_of<kTo>(a, product<1>(q, run_)));
            }
        }
    }

private:
    struct Products {
        __m256 zeros, scales;
    };
    struct Table {
        __m256i low, high;  // bytes of its elements
    };
    using Run = std::conditional_t<kTable, Table, Products>;

    // Of the lower or upper half of each lane's words.
    template <unsigned kHalf>
    [[gnu::always_inline]] static __m256 product(__m256i q, const Products& run) noexcept {
        const __m256i exponent = _mm256_set1_epi16(0x4B00);
        const __m256i sum = kHalf == 0 ? _mm256_unpacklo_epi16(q, exponent) : _mm256_unpackhi_epi16(q, exponent);
        return _mm256_mul_ps(_mm256_sub_ps(_mm256_castsi256_ps(sum), run.zeros), run.scales);
    }

    [[gnu::always_inline]] void load_zeros() noexcept {
        const std::int32_t zero = runs_->zero(entry_);
        if constexpr (kTable) {
            const __m256i zeros = _mm256_set1_epi32(zero);
            const __m256i a = _mm256_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11);
            const __m256i b = _mm256_setr_epi32(4, 5, 6, 7, 12, 13, 14, 15);
            levels_[0] = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_sll_epi32(a, to_q_), zeros));
            levels_[1] = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_sll_epi32(b, to_q_), zeros));
        } else {
            run_.zeros = _mm256_set1_ps(static_cast<float>(kInMantissa + zero));
        }
    }

    [[gnu::always_inline]] void load_run() noexcept {
        if (runs_->zero_points != nullptr) load_zeros();
        const __m256 scales = _mm256_set1_ps(runs_->scales[entry_]);
        if constexpr (kTable) {
            const __m256i halves =
                halves_of<kTo>(_mm256_mul_ps(levels_[0], scales), _mm256_mul_ps(levels_[1], scales));
            const __m256i split = _mm256_shuffle_epi8(
                halves, _mm256_broadcastsi128_si256(
                            _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)));
            run_.low = _mm256_permute4x64_epi64(split, 0x88);
            run_.high = _mm256_permute4x64_epi64(split, 0xDD);
        } else {
            run_.scales = scales;
        }
    }

    const Runs* runs_;
    VectorStream<kItem> out_;
    std::uint64_t entry_;
    std::uint64_t left_;
    __m128i to_q_;    // a shift: the factor
    __m256i kept_;    // mask, in order, of elements of a first vector that belong to the run before
    __m256 levels_[2];
    Run run_;
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
