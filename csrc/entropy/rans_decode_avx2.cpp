// entropy/rans_decode_avx2.cpp - the AVX2 kernels that decode to bytes, and merge masks and values.
#include "entropy/rans_rounds_avx2.hpp"

#include <bit>

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt,f16c")

namespace qc::rans {
namespace {

// Entries of symbols of which those bits that are in `mask` are `bits`, then the escape, at [at, end).
void place_entries(const Table& table, unsigned mask, unsigned bits, unsigned at, unsigned end,
                   SearchTable& to) noexcept {
    unsigned first = 0;
    for (unsigned e = 0; e < kEntries; ++e) {
        if (table.freq[e] == 0 || (e != kEscape && (table.symbol[e] & mask) != bits)) continue;
        to.first[at] = static_cast<std::uint8_t>(first);
        to.freq[at] = table.freq[e];
        to.base[0][at] = table.base[0][e];
        to.base[1][at] = table.base[1][e];
        to.symbol[at++] = table.symbol[e];
        first += table.freq[e];
    }
    for (; at < end; ++at) {
        to.first[at] = to.first[at - 1];
        to.freq[at] = to.freq[at - 1];
        to.base[0][at] = to.base[0][at - 1];
        to.base[1][at] = to.base[1][at - 1];
        to.symbol[at] = to.symbol[at - 1];
    }
}

// Entries of the larger context, with the escape.
unsigned most_entries(const Table& table, unsigned mask) noexcept {
    unsigned entries[2] = {0, 0};
    for (unsigned e = 0; e < kEscape; ++e) entries[table.symbol[e] & mask] += table.freq[e] != 0;
    return std::max(entries[0], entries[1]) + (table.freq[kEscape] != 0);
}

void prepare_avx2(Stream& s) noexcept {
    const unsigned contexts = s.memory > 0 ? 2 : 1;
    const unsigned mask = contexts - 1;
    unsigned most = 16 / contexts;
    for (unsigned t = 0; t < s.n_tables; ++t) most = std::max(most, most_entries(s.tables[t], mask));
    const unsigned each = std::bit_ceil(most);
    s.kernel_levels = static_cast<unsigned>(std::countr_zero(contexts * each));
    for (unsigned t = 0; t < s.n_tables; ++t) {
        SearchTable& to = *reinterpret_cast<SearchTable*>(s.kernel_tables[t]);
        for (unsigned c = 0; c < contexts; ++c) {
            place_entries(s.tables[t], mask, c, c * each, (c + 1) * each, to);
        }
        to.has_escape = s.tables[t].freq[kEscape] != 0;
        for (unsigned level = contexts - 1; level < s.kernel_levels; ++level) {
            const unsigned step = contexts * each >> level;
            // Compared as signed bytes, and exceeded from the first u on: that of a second entry, so not 0.
            for (unsigned k = 0; k < 1u << level; ++k) {
                to.levels[level][k] = static_cast<std::uint8_t>(to.first[k * step + step / 2] - 1 - 128);
            }
        }
    }
}

struct ByteSink {
    static constexpr bool kTakesTrellis = true;
    static constexpr std::size_t kItem = 1;

    template <unsigned kLevels>
    struct Tile {
        Tile(const ByteSink&, const SearchTable&) noexcept {}

        [[gnu::always_inline]] void put(ByteSink& sink, __m256i, __m256i symbols, std::uint32_t) const noexcept {
            store_256(sink.at, symbols);
        }
    };

    std::uint8_t* at;

    void end_round() noexcept {}
};

std::size_t rounds_avx2(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    ByteSink sink{out};
    return s.lanes < 4 * kVector ? run_vectors<1>(s, sink, rounds) : run_vectors<4>(s, sink, rounds);
}

}  // namespace

const DecodeKernel kDecodeAvx2{prepare_avx2, rounds_avx2, 32, true, nullptr};

std::size_t merge_avx2(const std::uint8_t* nibbles, std::size_t n, const std::uint8_t* values,
                       std::uint8_t zero, std::uint8_t* out) noexcept {
    const __m128i zeros = _mm_set1_epi8(static_cast<char>(zero));
    const std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const unsigned mask = nibbles[i / 4] | static_cast<unsigned>(nibbles[i / 4 + 1]) << 4;
        const __m128i shuffle =
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&kSpreads[mask]));
        const __m128i kept =
            _mm_shuffle_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(value)), shuffle);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i),
                         _mm_blendv_epi8(kept, zeros, shuffle));
        value += _mm_popcnt_u32(mask);
    }
    value += merge_portable(nibbles + i / 4, n - i, value, zero, out + i);
    return static_cast<std::size_t>(value - values);
}

}  // namespace qc::rans

QC_TARGET_END
#endif
