// simd/line_stream.hpp - AVX-512: registers of bytes to memory, around the caches.
//
// Non-temporal stores want whole lines of 64 bytes. A line is put together from two neighbouring
// registers, so the caller's array may begin at any even address. Code here is compiled for AVX-512:
// include it only inside a region of that target, behind a run-time check.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq")

namespace qc {
namespace {

// Registers of consecutive bytes to consecutive memory, by non-temporal stores of whole lines.
class LineStream {
public:
    explicit LineStream(std::uint8_t* out) noexcept {
        const std::size_t head = -reinterpret_cast<std::uintptr_t>(out) % 64;
        line_ = out + head - 64;
        from_ = head;
        alignas(64) std::uint16_t index[32];
        for (unsigned k = 0; k < 32; ++k) index[k] = static_cast<std::uint16_t>(k + head / 2);
        index_ = _mm512_load_si512(index);
        waiting_ = _mm512_setzero_si512();
    }

    // The first call writes the bytes before the first whole line; each one leaves its last ones.
    [[gnu::always_inline]] void put(__m512i bytes) noexcept {
        if (first_) {
            _mm512_mask_storeu_epi8(line_ + 64 - from_, _cvtu64_mask64(_bzhi_u64(~0ull, static_cast<unsigned>(from_))), bytes);
            first_ = false;
        } else {
            _mm512_stream_si512(reinterpret_cast<__m512i*>(line_),
                                _mm512_permutex2var_epi16(waiting_, index_, bytes));
        }
        line_ += 64;
        waiting_ = bytes;
    }

    // Writes what waits. Nothing may follow.
    void flush() noexcept {
        if (first_) return;
        const __m512i rest = _mm512_permutexvar_epi16(index_, waiting_);
        const std::uint64_t mask = _bzhi_u64(~0ull, static_cast<unsigned>(64 - from_));
        _mm512_mask_storeu_epi8(line_, _cvtu64_mask64(mask), rest);
    }

private:
    std::uint8_t* line_;
    std::size_t from_;  // bytes of a register that go into the line before
    __m512i index_;
    __m512i waiting_;
    bool first_ = true;
};

}  // namespace
}  // namespace qc

#pragma GCC pop_options
#endif
