// quantize/table_sink.hpp - AVX-512: takes 64 symbols in a register, writes what a table has for them.
//
// For loops that fuse a coder with a codebook (pipeline/fused_table.hpp). Code here is compiled for
// AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "simd/line_stream.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")

namespace qc {
namespace {

// One byte of the elements of up to 256 symbols: four registers, or one where symbols are below 64.
template <bool kWide>
class BytePlane {
public:
    explicit BytePlane(const std::uint8_t* bytes) noexcept {
        for (unsigned k = 0; k < (kWide ? 4 : 1); ++k) t_[k] = _mm512_loadu_si512(bytes + 64 * k);
    }

    [[gnu::always_inline]] __m512i at(__m512i symbols) const noexcept {
        if constexpr (!kWide) return _mm512_permutexvar_epi8(symbols, t_[0]);
        return _mm512_mask_blend_epi8(_mm512_movepi8_mask(symbols),
                                      _mm512_permutex2var_epi8(t_[0], symbols, t_[1]),
                                      _mm512_permutex2var_epi8(t_[2], symbols, t_[3]));
    }

private:
    __m512i t_[kWide ? 4 : 1];
};

// Byte k of the result is byte k / 4 + 16 * quarter of `a` where k % 4 is `first`, of `b` where it is
// the next one; kBytes = 2 likewise.
template <unsigned kBytes>
inline __m512i interleave_index(unsigned part) noexcept {
    alignas(64) std::uint8_t index[64];
    for (unsigned k = 0; k < 64; ++k) {
        index[k] = static_cast<std::uint8_t>(k % 2 * 64 + k / kBytes + part * (64 / kBytes));
    }
    return _mm512_load_si512(index);
}

// kBytes = 2 or 4: of an element. kUpper: of elements whose lower half is zero.
// `planes` has byte k of all 256 elements at 256 * k.
template <unsigned kBytes, bool kWide, bool kUpper>
class TableSink {
public:
    static constexpr bool kTakesTrellis = true;

    TableSink(const std::uint8_t* planes, std::uint8_t* out) noexcept
        : low0_(planes),
          low1_(planes + 256),
          high0_(planes + 256 * (kBytes - 2)),
          high1_(planes + 256 * (kBytes - 1)),
          out_(out, kBytes),
          waiting_(_mm512_setzero_si512()),
          highest_(_mm512_setzero_si512()) {
        alignas(64) std::uint8_t place[64];
        for (unsigned k = 0; k < 64; ++k) place[k] = static_cast<std::uint8_t>(64 + k - out_.lead());
        place_ = _mm512_load_si512(place);
        for (unsigned k = 0; k < kBytes; ++k) index_[k] = interleave_index<kBytes>(k);
    }

    [[gnu::always_inline]] void put(__m512i symbols) noexcept {
        highest_ = _mm512_max_epu8(highest_, symbols);
        __m512i lines[kBytes];
        look_up(symbols, lines);
        out_.put_first(lines[0]);
#pragma GCC unroll 3
        for (unsigned k = 1; k < kBytes; ++k) out_.put(lines[k]);
        waiting_ = symbols;
    }

    // Only the first line has elements of the array.
    void flush() noexcept {
        __m512i lines[kBytes];
        look_up(waiting_, lines);
        out_.flush(lines[0]);
    }

    bool all_below(unsigned size) const noexcept {
        return size > 255 || _mm512_cmpge_epu8_mask(
                                 highest_, _mm512_set1_epi8(static_cast<char>(size))) == 0;
    }

private:
    // Elements of the symbols that wait and of the new ones that share lines with them.
    [[gnu::always_inline]] void look_up(__m512i newer, __m512i* lines) const noexcept {
        const __m512i symbols = _mm512_permutex2var_epi8(waiting_, place_, newer);
        const __m512i b2 = high0_.at(symbols);
        const __m512i b3 = high1_.at(symbols);
        if constexpr (kBytes == 2) {
            lines[0] = _mm512_permutex2var_epi8(b2, index_[0], b3);
            lines[1] = _mm512_permutex2var_epi8(b2, index_[1], b3);
        } else {
            constexpr __mmask64 kHigh = 0xCCCCCCCCCCCCCCCC;
            __m512i b0 = _mm512_setzero_si512(), b1 = _mm512_setzero_si512();
            if constexpr (!kUpper) b0 = low0_.at(symbols), b1 = low1_.at(symbols);
#pragma GCC unroll 4
            for (unsigned k = 0; k < 4; ++k) {
                __m512i v = _mm512_maskz_permutex2var_epi8(kHigh, b2, index_[k], b3);
                if constexpr (!kUpper) {
                    v = _mm512_or_si512(
                        v, _mm512_maskz_permutex2var_epi8(~kHigh, b0, index_[k], b1));
                }
                lines[k] = v;
            }
        }
    }

    BytePlane<kWide> low0_, low1_, high0_, high1_;
    LineStream out_;
    __m512i waiting_;  // the symbols before, of which the last share a line with the next ones
    __m512i place_;
    __m512i highest_;
    __m512i index_[kBytes];
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
