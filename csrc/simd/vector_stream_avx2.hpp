// simd/vector_stream_avx2.hpp - AVX2: whole vectors to memory, around the caches.
//
// Symbols reach a sink 32 at a time, but vectors of an array that may begin anywhere hold other elements: the
// last symbols wait until the rest of their vector comes. Code here is compiled for AVX2: include it only behind
// a run-time check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2")

namespace qc {
namespace {

// Vectors one after another, of which the first begins before the array and the last ends behind it, or beside it
// where the array begins a vector. 32 elements of kItem = 2 or 4 bytes make kItem vectors.
template <unsigned kItem>
class VectorStream {
public:
    explicit VectorStream(std::uint8_t* out) noexcept
        : inside_(-reinterpret_cast<std::uintptr_t>(out) % 32),
          vector_(out + inside_ - 32),
          lead_(static_cast<unsigned>((32 - inside_) / kItem)),
          waiting_(_mm256_setzero_si256()) {
        alignas(16) std::uint8_t old[16], now[16];
        for (unsigned k = 0; k < 16; ++k) {
            old[k] = static_cast<std::uint8_t>(k < lead_ ? 16 + k - lead_ : 0x80);
            now[k] = static_cast<std::uint8_t>(k < lead_ ? 0x80 : k - lead_);
        }
        from_before_ = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(old)));
        from_here_ = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(now)));
    }

    // Elements of the first vector that belong to symbols which waited: at least one.
    unsigned lead() const noexcept { return lead_; }

    // Symbols of the next kItem vectors, in such an order that what is unpacked within lanes lies in theirs.
    [[gnu::always_inline]] __m256i place(__m256i symbols) noexcept {
        const __m256i before = _mm256_permute2x128_si256(waiting_, symbols, 0x21);
        waiting_ = symbols;
        return in_order(_mm256_or_si256(_mm256_shuffle_epi8(before, from_before_),
                                        _mm256_shuffle_epi8(symbols, from_here_)));
    }
    static __m256i in_order(__m256i symbols) noexcept {
        return _mm256_permutevar8x32_epi32(symbols, kItem == 2 ? _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7)
                                                               : _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    }

    // The first of the vectors that 32 symbols complete; the others follow by put().
    [[gnu::always_inline]] void put_first(__m256i elements) noexcept {
        if (first_) {
            alignas(32) std::uint8_t bytes[32];
            _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), elements);
            std::memcpy(vector_ + 32 - inside_, bytes + 32 - inside_, inside_);
            vector_ += 32;
            first_ = false;
        } else {
            put(elements);
        }
    }
    [[gnu::always_inline]] void put(__m256i elements) noexcept {
        _mm256_stream_si256(reinterpret_cast<__m256i*>(vector_), elements);
        vector_ += 32;
    }

    // The last vector, of which only what is inside the array is written. Nothing may follow.
    void flush(__m256i elements) noexcept {
        alignas(32) std::uint8_t bytes[32];
        _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), elements);
        std::memcpy(vector_, bytes, 32 - inside_);
    }

private:
    std::size_t inside_;  // bytes of the first vector that are in the array
    std::uint8_t* vector_;
    unsigned lead_;
    __m256i waiting_;
    __m256i from_before_;
    __m256i from_here_;
    bool first_ = true;
};

}  // namespace
}  // namespace qc

QC_TARGET_END
#endif
