// pipeline/fused_merge.cpp - exponents from rANS states, mantissas from memory, words around the caches.
#include "entropy/rans_rounds_avx512.hpp"
#include "pipeline/fused.hpp"
#include "simd/line_stream.hpp"

namespace qc {

#if QC_X86
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")
#pragma GCC target("avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

// index[k] = f(k), as a register.
template <class F>
inline __m512i indices(F f) noexcept {
    alignas(64) std::uint8_t index[64];
    for (unsigned k = 0; k < 64; ++k) index[k] = static_cast<std::uint8_t>(f(k));
    return _mm512_load_si512(index);
}

class MergeSink2 {
public:
    MergeSink2(const std::uint8_t* const* lower, std::uint8_t* out) noexcept
        : low_(lower[0]),
          out_(out),
          first_(indices([](unsigned k) { return k % 2 * 64 + k / 2; })),
          second_(indices([](unsigned k) { return k % 2 * 64 + k / 2 + 32; })) {}

    [[gnu::always_inline]] void put(__m512i high) noexcept {
        const __m512i low = _mm512_loadu_si512(low_);
        low_ += 64;
        const __m512i a = _mm512_permutex2var_epi8(low, first_, high);
        const __m512i b = _mm512_permutex2var_epi8(low, second_, high);
        out_.put(_mm512_shrdi_epi16(a, a, 1));
        out_.put(_mm512_shrdi_epi16(b, b, 1));
    }
    void flush() noexcept { out_.flush(); }

private:
    const std::uint8_t* low_;
    LineStream out_;
    __m512i first_;
    __m512i second_;
};

class MergeSink4 {
public:
    MergeSink4(const std::uint8_t* const* lower, std::uint8_t* out) noexcept
        : lower_{lower[0], lower[1], lower[2]}, out_(out) {}

    [[gnu::always_inline]] void put(__m512i b3) noexcept {
        const __m512i b2 = _mm512_loadu_si512(lower_[0] + at_);
        const __m512i b1 = _mm512_loadu_si512(lower_[1] + at_);
        const __m512i b0 = _mm512_loadu_si512(lower_[2] + at_);
        at_ += 64;
        // Within 128-bit lanes the unpacks give words in order; the lanes are put in order after.
        const __m512i low0 = _mm512_unpacklo_epi8(b0, b1), low1 = _mm512_unpackhi_epi8(b0, b1);
        const __m512i high0 = _mm512_unpacklo_epi8(b2, b3), high1 = _mm512_unpackhi_epi8(b2, b3);
        const __m512i w0 = _mm512_unpacklo_epi16(low0, high0);
        const __m512i w1 = _mm512_unpackhi_epi16(low0, high0);
        const __m512i w2 = _mm512_unpacklo_epi16(low1, high1);
        const __m512i w3 = _mm512_unpackhi_epi16(low1, high1);
        const __m512i a = _mm512_shuffle_i32x4(w0, w1, 0x44);
        const __m512i b = _mm512_shuffle_i32x4(w2, w3, 0x44);
        const __m512i c = _mm512_shuffle_i32x4(w0, w1, 0xEE);
        const __m512i d = _mm512_shuffle_i32x4(w2, w3, 0xEE);
        out_.put(_mm512_ror_epi32(_mm512_shuffle_i32x4(a, b, 0x88), 1));
        out_.put(_mm512_ror_epi32(_mm512_shuffle_i32x4(a, b, 0xDD), 1));
        out_.put(_mm512_ror_epi32(_mm512_shuffle_i32x4(c, d, 0x88), 1));
        out_.put(_mm512_ror_epi32(_mm512_shuffle_i32x4(c, d, 0xDD), 1));
    }
    void flush() noexcept { out_.flush(); }

private:
    const std::uint8_t* lower_[3];
    std::size_t at_ = 0;
    LineStream out_;
};

template <class Sink>
Status merge_to(rans::Stream& s, std::size_t n, const std::uint8_t* const* lower,
                std::uint8_t* out) noexcept {
    Sink sink(lower, out);
    return rans::next_into(s, n, sink);
}

Status fused_merge_avx512(rans::Stream& s, std::size_t n, const std::uint8_t* const* lower,
                          std::size_t bytes, std::uint8_t* out) noexcept {
    return bytes == 2 ? merge_to<MergeSink2>(s, n, lower, out)
                      : merge_to<MergeSink4>(s, n, lower, out);
}

}  // namespace
#pragma GCC pop_options

constinit const Variants<FusedMergeFn> fused_merge{nullptr, nullptr, fused_merge_avx512};
#else
constinit const Variants<FusedMergeFn> fused_merge{nullptr};
#endif

}  // namespace qc
