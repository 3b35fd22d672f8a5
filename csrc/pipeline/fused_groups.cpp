#include "pipeline/fused_groups.hpp"

#include "entropy/rans_rounds_avx512.hpp"
#include "quantize/table_sink.hpp"

namespace qc {

bool can_look_up_groups(const PlaneReader& reader, const TensorSpec& t) noexcept {
    return group_rans.pick() != nullptr && rans_stream(reader, true) != nullptr && t.inner % 64 == 0;
}

Status groups_next(PlaneReader& reader, std::size_t n, const GroupRuns& runs, std::uint8_t* out) noexcept {
    QC_TRY(group_rans.pick()(*rans_stream(reader, true), n, runs, out));
    rans::advance(reader.state(), n);
    return kOkStatus;
}

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace {

// 64 symbols have one table. Lines may be of two of them, so bytes are looked up before they are placed.
template <unsigned kBytes, unsigned kLines>
class GroupSink {
public:
    static constexpr bool kTakesTrellis = true;

    GroupSink(const GroupRuns& runs, std::uint8_t* out) noexcept
        : planes_(runs.tables.planes),
          first_(runs.tables.tables),
          end_(first_ + runs.entries),
          at_(first_ + runs.entry),
          inner_(runs.inner / 64),
          left_(runs.left / 64),
          out_(out, kBytes),
          place_(indices([lead = out_.lead()](unsigned k) { return 64 + unpacked<kBytes>(k) - lead; })),
          low_(_mm512_setzero_si512()),
          high_(_mm512_setzero_si512()) {}

    [[gnu::always_inline]] void put(__m512i symbols) noexcept {
        const std::uint8_t* const table = planes_ + std::size_t{GroupTables::kBytes} * *at_;
        const __m512i low = BytePlane<kLines>(table).at(symbols);
        const __m512i high = BytePlane<kLines>(table + 256).at(symbols);
        if (--left_ == 0) {
            left_ = inner_;
            if (++at_ == end_) at_ = first_;
        }
        __m512i lines[kBytes];
        upper_lines<kBytes>(_mm512_permutex2var_epi8(low_, place_, low), _mm512_permutex2var_epi8(high_, place_, high), lines);
        out_.put_first(lines[0]);
#pragma GCC unroll 3
        for (unsigned k = 1; k < kBytes; ++k) out_.put(lines[k]);
        low_ = low;
        high_ = high;
    }

    void flush() noexcept {
        __m512i lines[kBytes];
        upper_lines<kBytes>(_mm512_permutex2var_epi8(low_, place_, low_), _mm512_permutex2var_epi8(high_, place_, high_), lines);
        out_.flush(lines[0]);
    }

private:
    const std::uint8_t* planes_;
    const std::uint8_t* first_;
    const std::uint8_t* end_;
    const std::uint8_t* at_;
    std::uint64_t inner_;  // in 64s
    std::uint64_t left_;
    LineStream out_;
    __m512i place_;
    __m512i low_;   // bytes of the 64 before
    __m512i high_;
};

template <unsigned kBytes, unsigned kLines>
Status groups_to(rans::Stream& s, std::size_t n, const GroupRuns& runs, std::uint8_t* out) noexcept {
    GroupSink<kBytes, kLines> sink(runs, out);
    return rans::next_into(s, n, sink);
}

template <unsigned kBytes>
Status groups_of(rans::Stream& s, std::size_t n, const GroupRuns& runs, std::uint8_t* out) noexcept {
    switch (runs.lines) {
        case 1: return groups_to<kBytes, 1>(s, n, runs, out);
        case 2: return groups_to<kBytes, 2>(s, n, runs, out);
        default: return groups_to<kBytes, 4>(s, n, runs, out);
    }
}

Status group_rans_avx512(rans::Stream& s, std::size_t n, const GroupRuns& runs, std::uint8_t* out) noexcept {
    return runs.item == 2 ? groups_of<2>(s, n, runs, out) : groups_of<4>(s, n, runs, out);
}

}  // namespace
QC_TARGET_END

constinit const Variants<GroupRansFn> group_rans{nullptr, nullptr, group_rans_avx512};
#else
constinit const Variants<GroupRansFn> group_rans{nullptr};
#endif

}  // namespace qc
