// pipeline/fused_table_unpack_avx2.cpp - AVX2: packed symbols to entries of a codebook, which lies in registers.
#include <algorithm>

#include "entropy/unpack_avx2.hpp"
#include "pipeline/fused.hpp"
#include "pipeline/fused_table.hpp"
#include "simd/byte_table_avx2.hpp"
#include "simd/vector_stream_avx2.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc {
namespace {

// kBytes = 2 or 4: of an element. kUpper: of elements whose lower half is zero. Symbols are below 2^kBits.
template <unsigned kBytes, bool kUpper, unsigned kBits>
class TableSink {
public:
    TableSink(const std::uint8_t* planes, std::uint8_t* out) noexcept
        : low0_(planes),
          low1_(planes + 256),
          high0_(planes + 256 * (kBytes - 2)),
          high1_(planes + 256 * (kBytes - 1)),
          out_(out),
          highest_(_mm256_setzero_si256()) {}

    [[gnu::always_inline]] void put(__m256i symbols) noexcept {
        highest_ = _mm256_max_epu8(highest_, symbols);
        __m256i vectors[kBytes];
        look_up(out_.place(symbols), vectors);
        out_.put_first(vectors[0]);
#pragma GCC unroll 3
        for (unsigned k = 1; k < kBytes; ++k) out_.put(vectors[k]);
    }

    // Only the first vector has elements of the array.
    void flush() noexcept {
        __m256i vectors[kBytes];
        look_up(out_.place(_mm256_setzero_si256()), vectors);
        out_.flush(vectors[0]);
    }

    bool all_below(unsigned size) const noexcept {
        alignas(32) std::uint8_t highest[32];
        _mm256_store_si256(reinterpret_cast<__m256i*>(highest), highest_);
        return *std::max_element(highest, highest + 32) < size;
    }

private:
    [[gnu::always_inline]] void look_up(__m256i symbols, __m256i* vectors) const noexcept {
        const __m256i b2 = high0_.at(symbols);
        const __m256i b3 = high1_.at(symbols);
        const __m256i high[2] = {_mm256_unpacklo_epi8(b2, b3), _mm256_unpackhi_epi8(b2, b3)};
        if constexpr (kBytes == 2) {
            vectors[0] = high[0];
            vectors[1] = high[1];
        } else {
            __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
            if constexpr (!kUpper) {
                const __m256i b0 = low0_.at(symbols);
                const __m256i b1 = low1_.at(symbols);
                low[0] = _mm256_unpacklo_epi8(b0, b1);
                low[1] = _mm256_unpackhi_epi8(b0, b1);
            }
#pragma GCC unroll 2
            for (unsigned k = 0; k < 2; ++k) {
                vectors[2 * k] = _mm256_unpacklo_epi16(low[k], high[k]);
                vectors[2 * k + 1] = _mm256_unpackhi_epi16(low[k], high[k]);
            }
        }
    }

    ByteTable<kBits> low0_, low1_, high0_, high1_;
    VectorStream<kBytes> out_;
    __m256i highest_;
};

template <unsigned kPacked, class Sink>
Status unpack_to(const std::uint8_t* in, std::size_t n, const PlaneTable& table, std::uint8_t* out) noexcept {
    Sink sink(table.planes, out);
    unpack_into<kPacked>(in, n, kReadAhead, sink);
    return sink.all_below(table.size) ? kOkStatus : corrupt("codebook: a symbol without an entry");
}

template <unsigned kPacked>
Status unpack_bits(const std::uint8_t* in, std::size_t n, const PlaneTable& table, std::uint8_t* out) noexcept {
    constexpr unsigned kBits = std::clamp(kPacked, 4u, 6u);
    if (table.item == 2) return unpack_to<kPacked, TableSink<2, false, kBits>>(in, n, table, out);
    return table.upper ? unpack_to<kPacked, TableSink<4, true, kBits>>(in, n, table, out)
                       : unpack_to<kPacked, TableSink<4, false, kBits>>(in, n, table, out);
}

}  // namespace

Status table_unpack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, const PlaneTable& table,
                         std::uint8_t* out, const Aside&) noexcept {
    switch (bits) {
        case 1: return unpack_bits<1>(in, n, table, out);
        case 2: return unpack_bits<2>(in, n, table, out);
        case 3: return unpack_bits<3>(in, n, table, out);
        case 4: return unpack_bits<4>(in, n, table, out);
        case 5: return unpack_bits<5>(in, n, table, out);
        case 6: return unpack_bits<6>(in, n, table, out);
        default: return unpack_bits<8>(in, n, table, out);  // symbols of fewer bits come in bytes as well
    }
}

}  // namespace qc

QC_TARGET_END
#endif
