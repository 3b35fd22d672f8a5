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
          low_(lower[0] - out_.lead()),
          place_(indices([lead = out_.lead()](unsigned k) { return 64 + unpacked<2>(k) - lead; })),
          unpacked_(indices(unpacked<2>)),
          waiting_(_mm512_setzero_si512()) {}

    [[gnu::always_inline]] void put(__m512i top) noexcept {
        const __m512i high = _mm512_permutex2var_epi8(waiting_, place_, top);
        const __m512i low = out_.first() ? load_inside() : _mm512_loadu_si512(low_);
        _mm_prefetch(low_ + kReadAhead, _MM_HINT_T0);
        low_ += 64;
        const __m512i placed = _mm512_permutexvar_epi8(unpacked_, low);
        out_.put_first(rotated(_mm512_unpacklo_epi8(placed, high)));
        out_.put(rotated(_mm512_unpackhi_epi8(placed, high)));
        waiting_ = top;
    }

    void flush() noexcept {
        const __m512i low = _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, out_.lead()), low_);
        const __m512i high = _mm512_permutex2var_epi8(waiting_, place_, waiting_);
        out_.flush(rotated(_mm512_unpacklo_epi8(_mm512_permutexvar_epi8(unpacked_, low), high)));
    }

private:
    static __m512i rotated(__m512i words) noexcept { return _mm512_shrdi_epi16(words, words, 1); }
    [[gnu::always_inline]] __m512i load_inside() const noexcept {
        return _mm512_maskz_loadu_epi8(~_bzhi_u64(~0ull, out_.lead()), low_);
    }

    LineStream out_;
    const std::uint8_t* low_;
    __m512i place_;
    __m512i unpacked_;
    __m512i waiting_;
};

class MergeSink4 {
public:
    static constexpr bool kTakesTrellis = false;

    MergeSink4(const std::uint8_t* const* lower, std::uint8_t* out) noexcept
        : out_(out, 4),
          lower_{lower[0], lower[1], lower[2]},
          at_(-static_cast<std::ptrdiff_t>(out_.lead())),
          place_(indices([lead = out_.lead()](unsigned k) { return 64 + unpacked<4>(k) - lead; })),
          unpacked_(indices(unpacked<4>)),
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
        __m512i lines[4];
        merge(_mm512_permutex2var_epi8(waiting_, place_, waiting_),
              _bzhi_u64(~0ull, out_.lead()), lines);
        out_.flush(lines[0]);
    }

private:
    [[gnu::always_inline]] void merge(__m512i b3, __mmask64 inside, __m512i* lines) const noexcept {
        const __m512i b2 = load(0, inside);
        const __m512i b1 = load(1, inside);
        const __m512i b0 = load(2, inside);
        const __m512i low_front = _mm512_unpacklo_epi8(b0, b1);
        const __m512i low_back = _mm512_unpackhi_epi8(b0, b1);
        const __m512i high_front = _mm512_unpacklo_epi8(b2, b3);
        const __m512i high_back = _mm512_unpackhi_epi8(b2, b3);
        lines[0] = _mm512_ror_epi32(_mm512_unpacklo_epi16(low_front, high_front), 1);
        lines[1] = _mm512_ror_epi32(_mm512_unpackhi_epi16(low_front, high_front), 1);
        lines[2] = _mm512_ror_epi32(_mm512_unpacklo_epi16(low_back, high_back), 1);
        lines[3] = _mm512_ror_epi32(_mm512_unpackhi_epi16(low_back, high_back), 1);
    }

    [[gnu::always_inline]] __m512i load(unsigned plane, __mmask64 inside) const noexcept {
        return _mm512_permutexvar_epi8(unpacked_, _mm512_maskz_loadu_epi8(inside, lower_[plane] + at_));
    }

    LineStream out_;
    const std::uint8_t* lower_[3];
    std::ptrdiff_t at_;
    __m512i place_;
    __m512i unpacked_;
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
