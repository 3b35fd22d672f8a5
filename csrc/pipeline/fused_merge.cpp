// pipeline/fused_merge.cpp - exponents from rANS states, mantissas from memory, words around the caches.
#include "entropy/rans_rounds_avx512.hpp"
#include "pipeline/fused.hpp"
#include "simd/indices_avx512.hpp"
#include "simd/line_stream.hpp"

namespace qc {

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

// Of both sinks: the top bytes of 64 words are moved to where lines begin, the other planes are read there.
class MergeSink2 {
public:
    static constexpr bool kTakesTrellis = false;

    MergeSink2(const std::uint8_t* const* lower, std::uint8_t* out) noexcept
        : out_(out, 2),
          low_(lower[0] + out_.head() - 32),
          place_(indices([lead = out_.lead()](unsigned k) { return 64 + k - lead; })),
          first_(indices([](unsigned k) { return k % 2 * 64 + k / 2; })),
          second_(indices([](unsigned k) { return k % 2 * 64 + k / 2 + 32; })),
          waiting_(_mm512_setzero_si512()) {}

    [[gnu::always_inline]] void put(__m512i top) noexcept {
        const __m512i high = _mm512_permutex2var_epi8(waiting_, place_, top);
        const __m512i low = out_.first() ? load_inside() : _mm512_loadu_si512(low_);
        _mm_prefetch(low_ + kReadAhead, _MM_HINT_T0);
        low_ += 64;
        out_.put_first(word(low, first_, high));
        out_.put(word(low, second_, high));
        waiting_ = top;
    }

    void flush() noexcept {
        if (out_.first()) return;
        const __m512i low = _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, out_.lead()), low_);
        const __m512i high = _mm512_permutex2var_epi8(waiting_, place_, waiting_);
        out_.flush(word(low, first_, high));
    }

private:
    [[gnu::always_inline]] static __m512i word(__m512i low, __m512i index, __m512i high) noexcept {
        const __m512i rotated = _mm512_permutex2var_epi8(low, index, high);
        return _mm512_shrdi_epi16(rotated, rotated, 1);
    }
    [[gnu::always_inline]] __m512i load_inside() const noexcept {
        return _mm512_maskz_loadu_epi8(~_bzhi_u64(~0ull, out_.lead()), low_);
    }

    LineStream out_;
    const std::uint8_t* low_;
    __m512i place_;
    __m512i first_;
    __m512i second_;
    __m512i waiting_;
};

class MergeSink4 {
public:
    static constexpr bool kTakesTrellis = false;

    MergeSink4(const std::uint8_t* const* lower, std::uint8_t* out) noexcept
        : out_(out, 4),
          lower_{lower[0], lower[1], lower[2]},
          at_(static_cast<std::ptrdiff_t>(out_.head()) - 16),
          place_(indices([lead = out_.lead()](unsigned k) { return 64 + k - lead; })),
          front_(indices(pair_byte)),
          back_(indices([](unsigned k) { return pair_byte(k) + 32; })),
          waiting_(_mm512_setzero_si512()) {}

    [[gnu::always_inline]] void put(__m512i top) noexcept {
        const __mmask64 inside = out_.first() ? ~_bzhi_u64(~0ull, out_.lead()) : ~0ull;
        __m512i lines[4];
        merge(_mm512_permutex2var_epi8(waiting_, place_, top), inside, lines);
        _mm_prefetch(lower_[2] + at_ + kReadAhead, _MM_HINT_T0);
        at_ += 64;
        out_.put_first(lines[0]);
        out_.put(lines[1]);
        out_.put(lines[2]);
        out_.put(lines[3]);
        waiting_ = top;
    }

    void flush() noexcept {
        if (out_.first()) return;
        __m512i lines[4];
        merge(_mm512_permutex2var_epi8(waiting_, place_, waiting_),
              _bzhi_u64(~0ull, out_.lead()), lines);
        out_.flush(lines[0]);
    }

private:
    [[gnu::always_inline]] void merge(__m512i b3, __mmask64 inside, __m512i* lines) const noexcept {
        const __m512i b2 = _mm512_maskz_loadu_epi8(inside, lower_[0] + at_);
        const __m512i b1 = _mm512_maskz_loadu_epi8(inside, lower_[1] + at_);
        const __m512i b0 = _mm512_maskz_loadu_epi8(inside, lower_[2] + at_);
        const __m512i low01 = _mm512_permutex2var_epi8(b0, front_, b1);
        const __m512i low23 = _mm512_permutex2var_epi8(b0, back_, b1);
        const __m512i high01 = _mm512_permutex2var_epi8(b2, front_, b3);
        const __m512i high23 = _mm512_permutex2var_epi8(b2, back_, b3);
        lines[0] = _mm512_ror_epi32(_mm512_unpacklo_epi16(low01, high01), 1);
        lines[1] = _mm512_ror_epi32(_mm512_unpackhi_epi16(low01, high01), 1);
        lines[2] = _mm512_ror_epi32(_mm512_unpacklo_epi16(low23, high23), 1);
        lines[3] = _mm512_ror_epi32(_mm512_unpackhi_epi16(low23, high23), 1);
    }

    // Byte k of pairs of bytes of 32 words: unpacks take the first half of each 128-bit lane to
    // one line, the second to the next.
    static constexpr unsigned pair_byte(unsigned k) noexcept {
        return k % 2 * 64 + k / 8 % 2 * 16 + k / 16 * 4 + k / 2 % 4;
    }

    LineStream out_;
    const std::uint8_t* lower_[3];
    std::ptrdiff_t at_;
    __m512i place_;
    __m512i front_;
    __m512i back_;
    __m512i waiting_;
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
QC_TARGET_END

constinit const Variants<FusedMergeFn> fused_merge{nullptr, fused_merge_avx2, fused_merge_avx512};
#else
constinit const Variants<FusedMergeFn> fused_merge{nullptr};
#endif

}  // namespace qc
