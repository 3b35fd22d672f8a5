// pipeline/fused_table_avx2.cpp - AVX2: entries of rANS tables to elements, which stay in registers until then.
//
// A table of a tile says what element each of its entries stands for: a look-up of fewer bytes than one of symbols.
#include <bit>

#include "entropy/rans_rounds_avx2.hpp"
#include "pipeline/fused_table.hpp"
#include "pipeline/stream_copy.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

constexpr std::size_t kPiece = 2048;  // elements that wait in L1 for their copy
constexpr unsigned kVectors = 4;
constexpr unsigned kLeastLanes = kVectors * rans::kVector;

// kBytes = 2 or 4: of an element, of which only the upper two are not zero.
template <unsigned kBytes>
class ElementSink {
public:
    static constexpr bool kTakesTrellis = true;
    static constexpr std::size_t kItem = kBytes;

    template <unsigned kLevels>
    class Tile {
    public:
        Tile(const ElementSink& sink, const rans::SearchTable& table) noexcept
            : low_(ElementBytes(sink.low_, table, 1u << kLevels).bytes),
              high_(ElementBytes(sink.high_, table, 1u << kLevels).bytes) {}

        [[gnu::always_inline]] void put(ElementSink& sink, __m256i entries, __m256i symbols,
                                        std::uint32_t escaped) const noexcept {
            // So that what is unpacked within halves of registers lies in order.
            const __m256i order = kBytes == 2 ? _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7)
                                              : _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
            const __m256i at = _mm256_permutevar8x32_epi32(entries, order);
            const __m256i low = low_.at(at);
            const __m256i high = high_.at(at);
            const __m256i first = _mm256_unpacklo_epi8(low, high);
            const __m256i second = _mm256_unpackhi_epi8(low, high);
            if constexpr (kBytes == 2) {
                rans::store_256(sink.at, first);
                rans::store_256(sink.at + 32, second);
            } else {
                const __m256i zero = _mm256_setzero_si256();
                rans::store_256(sink.at, _mm256_unpacklo_epi16(zero, first));
                rans::store_256(sink.at + 32, _mm256_unpackhi_epi16(zero, first));
                rans::store_256(sink.at + 64, _mm256_unpacklo_epi16(zero, second));
                rans::store_256(sink.at + 96, _mm256_unpackhi_epi16(zero, second));
            }
            if (escaped != 0) sink.put_escaped(symbols, escaped);
        }

    private:
        ByteTable<kLevels> low_, high_;
    };

    ElementSink(const PlaneTable& table, std::uint8_t* staging, std::uint8_t* out) noexcept
        : at(staging),
          low_(table.planes + 256 * (kBytes - 2)),
          high_(table.planes + 256 * (kBytes - 1)),
          size_(table.size),
          staging_(staging),
          out_(out) {}

    void end_round() noexcept {
        if (at >= staging_ + kPiece * kBytes) flush();
    }

    void flush() noexcept {
        const auto n = static_cast<std::size_t>(at - staging_);
        stream_copy.pick()(out_, staging_, n);
        out_ += n;
        at = staging_;
    }

    bool all_below() const noexcept { return below_; }

    std::uint8_t* at;

private:
    struct ElementBytes {
        alignas(32) std::uint8_t bytes[rans::kFound];

        ElementBytes(const std::uint8_t* plane, const rans::SearchTable& table, unsigned n) noexcept {
            for (unsigned e = 0; e < n; ++e) bytes[e] = plane[table.symbol[e]];
        }
    };

    void put_escaped(__m256i symbols, std::uint32_t escaped) noexcept {
        alignas(32) std::uint8_t symbol[32];
        rans::store_256(symbol, symbols);
        for (; escaped != 0; escaped &= escaped - 1) {
            const auto k = static_cast<unsigned>(std::countr_zero(escaped));
            at[kBytes * k + kBytes - 2] = low_[symbol[k]];
            at[kBytes * k + kBytes - 1] = high_[symbol[k]];
            below_ = below_ && symbol[k] < size_;
        }
    }

    const std::uint8_t* low_;
    const std::uint8_t* high_;
    unsigned size_;
    std::uint8_t* staging_;
    std::uint8_t* out_;
    bool below_ = true;
};

template <unsigned kBytes>
Status rans_to(rans::Stream& s, std::size_t n, const PlaneTable& table, std::uint8_t* out) noexcept {
    using Sink = ElementSink<kBytes>;
    alignas(32) std::uint8_t staging[(kPiece + rans::kMaxLanes) * kBytes];
    Sink sink(table, staging, out);
    QC_TRY(rans::next_to_sink(
        s, n,
        [](rans::Stream& stream, void* to, std::size_t rounds) noexcept {
            return rans::run_vectors<kVectors>(stream, *static_cast<Sink*>(to), rounds);
        },
        &sink));
    sink.flush();
    return sink.all_below() ? kOkStatus : corrupt("codebook: a symbol without an entry");
}

}  // namespace

Status table_rans_avx2(rans::Stream& s, std::size_t n, const PlaneTable& table, std::uint8_t* out) noexcept {
    return table.item == 2 ? rans_to<2>(s, n, table, out) : rans_to<4>(s, n, table, out);
}

bool takes_avx2(const rans::Stream& s, const PlaneTable& table) noexcept {
    if (s.lanes < kLeastLanes || s.raw_bits > 0 || (table.item == 4 && !table.upper)) return false;
    for (unsigned t = 0; t < s.n_tables; ++t) {
        for (const std::uint8_t symbol : s.tables[t].symbol) {
            if (symbol >= table.size) return false;  // it may never come
        }
    }
    return true;
}

}  // namespace qc

QC_TARGET_END
#endif
