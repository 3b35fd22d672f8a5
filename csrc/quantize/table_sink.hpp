// quantize/table_sink.hpp - AVX-512: takes 64 symbols in a register, writes what a table has for them.
//
// For loops that fuse a coder with a codebook (pipeline/fused_table.hpp). Code here is compiled for
// AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include "simd/indices_avx512.hpp"
#include "simd/line_stream.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")

namespace qc {
namespace {

// One byte of the elements of up to 64 symbols a register: one, two or four.
template <unsigned kRegisters>
class BytePlane {
public:
    explicit BytePlane(const std::uint8_t* bytes) noexcept {
        for (unsigned k = 0; k < kRegisters; ++k) t_[k] = _mm512_loadu_si512(bytes + 64 * k);
    }

    [[gnu::always_inline]] __m512i at(__m512i symbols) const noexcept {
        if constexpr (kRegisters == 1) return _mm512_permutexvar_epi8(symbols, t_[0]);
        if constexpr (kRegisters >= 2) {
            const __m512i low = _mm512_permutex2var_epi8(t_[0], symbols, t_[1]);
            if constexpr (kRegisters == 2) return low;
            return _mm512_mask_blend_epi8(_mm512_movepi8_mask(symbols), low,
                                          _mm512_permutex2var_epi8(t_[kRegisters - 2], symbols, t_[kRegisters - 1]));
        }
    }

private:
    __m512i t_[kRegisters];
};

// Elements of kBytes of which all but the upper two are zero, from those two; in order where `unpacked<kBytes>` has put
// them before.
template <unsigned kBytes>
[[gnu::always_inline]] inline void upper_lines(__m512i low, __m512i high, __m512i* lines) noexcept {
    const __m512i front = _mm512_unpacklo_epi8(low, high);
    const __m512i back = _mm512_unpackhi_epi8(low, high);
    if constexpr (kBytes == 2) {
        lines[0] = front;
        lines[1] = back;
    } else {
        const __m512i zero = _mm512_setzero_si512();
        lines[0] = _mm512_unpacklo_epi16(zero, front);
        lines[1] = _mm512_unpackhi_epi16(zero, front);
        lines[2] = _mm512_unpacklo_epi16(zero, back);
        lines[3] = _mm512_unpackhi_epi16(zero, back);
    }
}

// 64 elements of a table, in kBytes registers. kBytes = 2 or 4: of an element. kUpper: of elements whose lower half is
// zero. `planes` has byte k of all 256 elements at 256 * k.
template <unsigned kBytes, unsigned kRegisters, bool kUpper>
class TableLines {
public:
    explicit TableLines(const std::uint8_t* planes) noexcept
        : low0_(planes), low1_(planes + 256), high0_(planes + 256 * (kBytes - 2)), high1_(planes + 256 * (kBytes - 1)) {}

    // Symbols stand where `unpacked<kBytes>` has put them.
    [[gnu::always_inline]] void get(__m512i symbols, __m512i* lines) const noexcept {
        const __m512i b2 = high0_.at(symbols);
        const __m512i b3 = high1_.at(symbols);
        if constexpr (kBytes == 2 || kUpper) {
            upper_lines<kBytes>(b2, b3, lines);
        } else {
            const __m512i b0 = low0_.at(symbols);
            const __m512i b1 = low1_.at(symbols);
            const __m512i low_front = _mm512_unpacklo_epi8(b0, b1);
            const __m512i low_back = _mm512_unpackhi_epi8(b0, b1);
            const __m512i high_front = _mm512_unpacklo_epi8(b2, b3);
            const __m512i high_back = _mm512_unpackhi_epi8(b2, b3);
            lines[0] = _mm512_unpacklo_epi16(low_front, high_front);
            lines[1] = _mm512_unpackhi_epi16(low_front, high_front);
            lines[2] = _mm512_unpacklo_epi16(low_back, high_back);
            lines[3] = _mm512_unpackhi_epi16(low_back, high_back);
        }
    }

private:
    BytePlane<kRegisters> low0_, low1_, high0_, high1_;
};

template <unsigned kBytes, unsigned kRegisters, bool kUpper>
class TableSink {
public:
    static constexpr bool kTakesTrellis = true;

    TableSink(const std::uint8_t* planes, std::uint8_t* out) noexcept
        : table_(planes),
          out_(out, kBytes),
          new_(~_bzhi_u64(~0ull, kBytes * out_.lead())),
          waiting_(_mm512_setzero_si512()),
          highest_(_mm512_setzero_si512()) {
        place_ = indices([lead = out_.lead()](unsigned k) { return unpacked<kBytes>(k) - lead; });
    }

    [[gnu::always_inline]] void put(__m512i symbols) noexcept {
        highest_ = _mm512_max_epu8(highest_, symbols);
        __m512i lines[kBytes];
        table_.get(_mm512_permutexvar_epi8(place_, symbols), lines);
        out_.put_first(_mm512_mask_blend_epi8(new_, waiting_, lines[0]));
#pragma GCC unroll 3
        for (unsigned k = 1; k < kBytes; ++k) out_.put(lines[k]);
        waiting_ = lines[0];
    }

    void flush() noexcept { out_.flush(waiting_); }

    bool all_below(unsigned size) const noexcept {
        return size > 255 || _mm512_cmpge_epu8_mask(
                                 highest_, _mm512_set1_epi8(static_cast<char>(size))) == 0;
    }

private:
    TableLines<kBytes, kRegisters, kUpper> table_;
    LineStream out_;
    __mmask64 new_;    // of a first line: bytes that were not kept from before
    __m512i waiting_;  // the first line of the 64 before
    __m512i place_;
    __m512i highest_;
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
