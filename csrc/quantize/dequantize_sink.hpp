// quantize/dequantize_sink.hpp - AVX-512: takes 64 symbols in a register, writes 64 elements.
//
// For loops that fuse a coder with `uniform` (pipeline/fused.hpp). Code here is compiled for
// AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "quantize/dequantize.hpp"
#include "simd/line_stream.hpp"

#if QC_X86
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

namespace qc {
namespace {

// bfloat16 of finite floats, in the low halves of dwords.
inline __m512i bf16_bits(__m512 f) noexcept {
    const __m512i bits = _mm512_castps_si512(f);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_srli_epi32(
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
}

// How floats become halves. kBf16Native needs AVX512_BF16, whose conversion flushes subnormals: q *
// scale is none, since a scale is zero or normal and q an integer.
enum class Halves { kF16, kBf16, kBf16Native };

template <Halves kHow>
inline __m256i halves_of(__m512 f) noexcept {
    if constexpr (kHow == Halves::kF16) return _mm512_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT);
    if constexpr (kHow == Halves::kBf16) return _mm512_cvtepi32_epi16(bf16_bits(f));
    return (__m256i)_mm512_cvtneps_pbh(f);
}

// Symbols to elements of one dtype. kTable: symbols are below 16, and a run's products fit a
// register; else each is computed.
//   requires  runs.inner and runs.left are multiples of 64, runs.width <= 8
template <DType kTo, bool kTable, Halves kHow = Halves::kF16>
class DequantizeSink {
public:
    DequantizeSink(const Runs& runs, std::uint8_t* out) noexcept
        : runs_(&runs), out_(out), entry_(runs.entry), left_(runs.left) {
        const __m512i iota =
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        scaled_ = _mm512_mullo_epi32(iota, _mm512_set1_epi32(runs.factor));
        load_zeros();
        load_run();
    }

    [[gnu::always_inline]] void put(__m512i symbols) noexcept {
        if (left_ == 0) {
            entry_ = entry_ + 1 == runs_->entries ? 0 : entry_ + 1;
            left_ = runs_->inner;
            load_run();
        }
        left_ -= 64;
        if constexpr (kTo == DType::kF32) {
            put_f32(_mm512_castsi512_si128(symbols));
            put_f32(_mm512_extracti32x4_epi32(symbols, 1));
            put_f32(_mm512_extracti32x4_epi32(symbols, 2));
            put_f32(_mm512_extracti32x4_epi32(symbols, 3));
        } else {
            put_halves(_mm512_castsi512_si256(symbols));
            put_halves(_mm512_extracti64x4_epi64(symbols, 1));
        }
    }

    void flush() noexcept { out_.flush(); }

private:
    [[gnu::always_inline]] void load_zeros() noexcept {
        zeros_ = _mm512_set1_epi32(runs_->zero(entry_));
        if constexpr (kTable) levels_ = _mm512_cvtepi32_ps(_mm512_sub_epi32(scaled_, zeros_));
    }

    [[gnu::always_inline]] void load_run() noexcept {
        if (runs_->zero_points != nullptr) load_zeros();
        scales_ = _mm512_set1_ps(runs_->scales[entry_]);
        if constexpr (kTable) {
            const __m512 products = _mm512_mul_ps(levels_, scales_);
            if constexpr (kTo == DType::kF32) {
                table_ = _mm512_castps_si512(products);
            } else {
                table_ = _mm512_castsi256_si512(halves_of<kHow>(products));
            }
        }
    }

    // Only symbols of one bit have a factor, and those take the table.
    __m512 product(__m128i symbols) const noexcept {
        const __m512i q = _mm512_sub_epi32(_mm512_cvtepu8_epi32(symbols), zeros_);
        return _mm512_mul_ps(_mm512_cvtepi32_ps(q), scales_);
    }

    [[gnu::always_inline]] void put_f32(__m128i symbols) noexcept {
        if constexpr (kTable) {
            out_.put(_mm512_permutexvar_epi32(_mm512_cvtepu8_epi32(symbols), table_));
        } else {
            out_.put(_mm512_castps_si512(product(symbols)));
        }
    }

    [[gnu::always_inline]] void put_halves(__m256i symbols) noexcept {
        if constexpr (kTable) {
            out_.put(_mm512_permutexvar_epi16(_mm512_cvtepu8_epi16(symbols), table_));
        } else {
            const __m256i low = halves_of<kHow>(product(_mm256_castsi256_si128(symbols)));
            const __m256i high = halves_of<kHow>(product(_mm256_extracti128_si256(symbols, 1)));
            out_.put(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
        }
    }

    const Runs* runs_;
    LineStream out_;
    std::uint64_t entry_;
    std::uint64_t left_;
    __m512i scaled_;
    __m512i zeros_;
    __m512i table_;
    __m512 levels_;
    __m512 scales_;
};

}  // namespace
}  // namespace qc

#pragma GCC pop_options
#endif
