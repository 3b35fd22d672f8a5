// simd/line_stream.hpp - AVX-512: whole cache lines to memory, around the caches.
//
// Elements reach a sink 64 at a time, but lines of an array that may begin anywhere hold other 64. A sink turns its 64
// round by `lead` places: then only the first of their lines is of two puts, and the old one's part of it is kept.
// Code here is compiled for AVX-512: include it only inside a region of that target, behind a run-time check.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq")

namespace qc {
namespace {

// Lines one after another, of which the first may begin before the array and the last end behind it. 64 elements make
// `item` lines.
class LineStream {
public:
    LineStream(std::uint8_t* out, std::size_t item) noexcept
        : inside_(64 - reinterpret_cast<std::uintptr_t>(out) % 64),
          line_(out + inside_ - 64),
          lead_(static_cast<unsigned>((64 - inside_) / item)) {}

    // Elements of a line that were kept from before.
    unsigned lead() const noexcept { return lead_; }
    bool first() const noexcept { return first_; }

    // The first of the lines that 64 elements complete; the others follow by put().
    [[gnu::always_inline]] void put_first(__m512i line) noexcept {
        if (first_) {
            _mm512_mask_storeu_epi8(line_, ~_bzhi_u64(~0ull, static_cast<unsigned>(64 - inside_)),
                                    line);
            line_ += 64;
            first_ = false;
        } else {
            put(line);
        }
    }
    [[gnu::always_inline]] void put(__m512i line) noexcept {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(line_), line);
        line_ += 64;
    }

    // The last line, of which only what is inside the array is written. Nothing may follow.
    void flush(__m512i line) noexcept {
        if (first_ || lead_ == 0) return;
        const std::uint64_t mask = _bzhi_u64(~0ull, static_cast<unsigned>(64 - inside_));
        _mm512_mask_storeu_epi8(line_, _cvtu64_mask64(mask), line);
    }

private:
    std::size_t inside_;  // bytes of the first line that are in the array: 1 .. 64
    std::uint8_t* line_;
    unsigned lead_;
    bool first_ = true;
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
