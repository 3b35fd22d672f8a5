// quantize/dequantize_sink.hpp - AVX-512: takes 64 symbols in a register, writes 64 elements.
//
// For loops that fuse a coder with `uniform` (pipeline/fused.hpp). Code here is compiled for
// AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "quantize/dequantize.hpp"
#include "simd/indices_avx512.hpp"
#include "simd/line_stream.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512bf16")

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
//
// One permutation turns 64 symbols round (simd/line_stream.hpp) and puts them where they are wanted: byte i of an index
// of a look-up belongs to line i, as look-ups ignore the bits above their index, and byte i of a dword is an integer of
// set i of 16.
//   requires  runs.inner and runs.left are multiples of 64, runs.width <= 8
template <DType kTo, bool kTable, Halves kHow = Halves::kF16>
class DequantizeSink {
    static constexpr std::size_t kItem = kTo == DType::kF32 ? 4 : 2;
    // 2^23 with a symbol in its lowest bits is their sum, from which 2^23 + zero point is taken:
    // exactly, since magnitudes are at most 2^24.
    static constexpr int kInMantissa = 1 << 23;
    static constexpr int kAAndBOrC = 0xEA;

public:
    static constexpr bool kTakesTrellis = false;

    DequantizeSink(const Runs& runs, std::uint8_t* out) noexcept
        : runs_(&runs), out_(out, kItem), entry_(runs.entry), left_(runs.left) {
        constexpr unsigned kParts = kTable ? kItem : 4;
        const unsigned lead = out_.lead();
        place_ = indices([=](unsigned k) { return k % kParts * (64 / kParts) + k / kParts - lead; });
        new_ = ~std::uint32_t{0} << lead;
        waiting_ = _mm512_setzero_si512();
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
        const __m512i placed = _mm512_permutexvar_epi8(place_, symbols);
        const __m512i first = line<0>(placed);
        out_.put_first(kTo == DType::kF32
                           ? _mm512_mask_blend_epi32(static_cast<__mmask16>(new_), waiting_, first)
                           : _mm512_mask_blend_epi16(new_, waiting_, first));
        out_.put(line<1>(placed));
        if constexpr (kTo == DType::kF32) {
            out_.put(line<2>(placed));
            out_.put(line<3>(placed));
        }
        waiting_ = first;
    }

    void flush() noexcept { out_.flush(waiting_); }

private:
    [[gnu::always_inline]] void load_zeros() noexcept {
        if constexpr (kTable) {
            const __m512i zeros = _mm512_set1_epi32(runs_->zero(entry_));
            levels_ = _mm512_cvtepi32_ps(_mm512_sub_epi32(scaled_, zeros));
        } else {
            zeros_ = _mm512_set1_ps(static_cast<float>(kInMantissa + runs_->zero(entry_)));
        }
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

    template <unsigned kLine>
    [[gnu::always_inline]] __m512i line(__m512i placed) const noexcept {
        if constexpr (!kTable) {
            return products<kLine>(placed);
        } else if constexpr (kTo == DType::kF32) {
            return _mm512_permutexvar_epi32(_mm512_srli_epi32(placed, 8 * kLine), table_);
        } else {
            return _mm512_permutexvar_epi16(_mm512_srli_epi16(placed, 8 * kLine), table_);
        }
    }

    template <unsigned kLine>
    [[gnu::always_inline]] __m512i products(__m512i placed) const noexcept {
        if constexpr (kTo == DType::kF32) {
            return _mm512_castps_si512(product<kLine>(placed));
        } else if constexpr (kHow == Halves::kBf16Native) {
            return (__m512i)_mm512_cvtne2ps_pbh(product<2 * kLine + 1>(placed),
                                                product<2 * kLine>(placed));
        } else {
            const __m256i low = halves_of<kHow>(product<2 * kLine>(placed));
            const __m256i high = halves_of<kHow>(product<2 * kLine + 1>(placed));
            return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        }
    }

    // Only symbols of one bit have a factor, and those take the table.
    template <unsigned kSet>
    [[gnu::always_inline]] __m512 product(__m512i placed) const noexcept {
        const __m512i symbols = _mm512_srli_epi32(placed, 8 * kSet);
        const __m512 biased = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
            symbols, _mm512_set1_epi32(0xFF), _mm512_castps_si512(_mm512_set1_ps(kInMantissa)),
            kAAndBOrC));
        return _mm512_mul_ps(_mm512_sub_ps(biased, zeros_), scales_);
    }

    const Runs* runs_;
    LineStream out_;
    std::uint64_t entry_;
    std::uint64_t left_;
    __m512i place_;
    __m512i waiting_;    // the first line of the 64 before
    std::uint32_t new_;  // mask of a first line: elements that were not kept from before
    __m512i scaled_;
    __m512 zeros_;
    __m512i table_;
    __m512 levels_;
    __m512 scales_;
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
