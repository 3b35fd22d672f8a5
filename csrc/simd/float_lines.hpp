// simd/float_lines.hpp - AVX-512: floats in order, 16 at a time, to whole cache lines of an array that may begin
// anywhere in one.
//
// Code here is compiled for AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,avx512f")

namespace qc {
namespace {

// kStream: around the caches.
template <bool kStream>
class FloatLines {
public:
    explicit FloatLines(float* out) noexcept
        : lead_(static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(out) / sizeof(float) % 16)),
          line_(out - lead_),
          place_(_mm512_add_epi32(_mm512_setr_epi32(16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31),
                                  _mm512_set1_epi32(-static_cast<int>(lead_)))),
          waiting_(_mm512_setzero_ps()) {}

    [[gnu::always_inline]] void put(__m512 values) noexcept {
        const __m512 line = _mm512_permutex2var_ps(waiting_, place_, values);
        if (first_) {
            _mm512_mask_storeu_ps(line_, static_cast<__mmask16>(0xFFFFu << lead_), line);
            first_ = false;
        } else if constexpr (kStream) {
            _mm512_stream_ps(line_, line);
        } else {
            _mm512_store_ps(line_, line);
        }
        line_ += 16;
        waiting_ = values;
    }

    // The last n < 16 floats; nothing may follow.
    void put_last(__m512 values, unsigned n) noexcept {
        alignas(64) float both[32];
        _mm512_store_ps(both, waiting_);
        _mm512_store_ps(both + 16, values);
        const unsigned before = first_ ? 0 : lead_;
        float* const to = first_ ? line_ + lead_ : line_;
        const float* const from = both + 16 - before;
        for (unsigned k = 0; k < before + n; ++k) to[k] = from[k];
    }
    void flush() noexcept { put_last(waiting_, 0); }

private:
    unsigned lead_;  // floats of a line that were kept from before
    float* line_;
    __m512i place_;
    __m512 waiting_;
    bool first_ = true;
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
