// entropy/rans_decode_avx512.cpp - the AVX-512 kernels that decode to bytes, and merge masks and values.
#include <optional>

#include "entropy/rans_rounds_avx512.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,"
          "gfni,bmi,bmi2,popcnt,f16c,avx512bf16")  // as for rans_rounds_avx512.hpp
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own headers

namespace qc::rans {
namespace {

struct ByteSink {
    static constexpr bool kTakesTrellis = true;

    std::uint8_t* out;

    [[gnu::always_inline]] void put(__m512i symbols) noexcept {
        _mm512_storeu_si512(out, symbols);
        out += 64;
    }
};

std::size_t rounds_avx512(Stream& s, std::uint8_t* out, std::size_t rounds) noexcept {
    ByteSink sink{out};
    return run_lanes(s, sink, rounds);
}

// Tables come from L1 for every group: registers hold those of one stream.
template <unsigned kCount, bool kEscapes, bool kRaw>
std::size_t run_abreast(Stream* const* streams, std::uint8_t* const* out, std::size_t rounds) noexcept {
    const RoundRegisters constants(3);
    Inputs from[kCount];
    std::optional<RawRegisters> raw[kCount];
    const std::uint8_t* limit[kCount];
    __m512i high[kCount], low[kCount];
    __m512i no_walk = _mm512_setzero_si512();
    each<kCount>([&](auto k) __attribute__((always_inline)) {
        const Stream& s = *streams[k];
        from[k] = {s.in, s.escape, s.raw};
        limit[k] = s.limit;
        raw[k].emplace(s.raw_bits);
        high[k] = load_512(s.high);
        low[k] = load_512(s.low);
    });
    std::size_t r = 0;
    for (bool inside = true; inside && r < rounds;) {
        std::size_t end = rounds;
        const Table* table[kCount];
        each<kCount>([&](auto k) __attribute__((always_inline)) {
            if (streams[k]->tile_left == 0) enter_tile(*streams[k]);
            end = std::min(end, r + streams[k]->tile_left / 64);
            table[k] = streams[k]->table;
        });
        const std::size_t first = r;
        for (; r < end; ++r) {
            each<kCount>([&](auto k) __attribute__((always_inline)) { inside &= from[k].in <= limit[k]; });
            if (!inside) break;
            each<kCount>([&](auto k) __attribute__((always_inline)) {
                __m512i symbols = decode_group<kEscapes, false>(TableRegisters(*table[k]), constants, high[k], low[k],
                                                                no_walk, from[k]);
                if constexpr (kRaw) {
                    symbols = _mm512_or_si512(symbols, raw[k]->get(from[k].raw));
                    from[k].raw += std::size_t{8} * streams[k]->raw_bits;
                }
                _mm512_storeu_si512(out[k] + 64 * r, symbols);
            });
        }
        each<kCount>([&](auto k) __attribute__((always_inline)) { streams[k]->tile_left -= (r - first) * 64; });
    }
    each<kCount>([&](auto k) __attribute__((always_inline)) {
        Stream& s = *streams[k];
        _mm512_storeu_si512(s.high, high[k]);
        _mm512_storeu_si512(s.low, low[k]);
        s.in = from[k].in;
        s.escape = from[k].escape;
        s.raw = from[k].raw;
    });
    return r;
}

template <unsigned kCount>
std::size_t run_count(Stream* const* streams, std::uint8_t* const* out, std::size_t rounds) noexcept {
    const bool escapes = std::any_of(streams, streams + kCount, [](const Stream* s) { return s->has_escapes; });
    // Without raw bits, those that are read in vain are the states: as many bytes.
    if (std::any_of(streams, streams + kCount, [](const Stream* s) { return s->raw_bits > 0; })) {
        return escapes ? run_abreast<kCount, true, true>(streams, out, rounds)
                       : run_abreast<kCount, false, true>(streams, out, rounds);
    }
    return escapes ? run_abreast<kCount, true, false>(streams, out, rounds)
                   : run_abreast<kCount, false, false>(streams, out, rounds);
}

std::size_t abreast_avx512(Stream* const* streams, unsigned count, std::uint8_t* const* out,
                           std::size_t rounds) noexcept {
    static_assert(kMostAbreast == 4);
    if (count == 2) return run_count<2>(streams, out, rounds);
    if (count == 3) return run_count<3>(streams, out, rounds);
    return run_count<4>(streams, out, rounds);
}

}  // namespace

const DecodeKernel kDecodeAvx512{nullptr, rounds_avx512, 64, true, abreast_avx512};

std::size_t merge_avx512(const std::uint8_t* nibbles, std::size_t n, const std::uint8_t* values,
                         std::uint8_t zero, std::uint8_t* out) noexcept {
    const std::uint64_t nibble_bits = 0x0F0F0F0F0F0F0F0F;
    const __m512i zeros = _mm512_set1_epi8(static_cast<char>(zero));
    const std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const std::uint64_t mask =
            _pext_u64(load<std::uint64_t>(nibbles + i / 4), nibble_bits) |
            _pext_u64(load<std::uint64_t>(nibbles + i / 4 + 8), nibble_bits) << 32;
        _mm512_storeu_si512(out + i, _mm512_mask_expand_epi8(zeros, _cvtu64_mask64(mask),
                                                             load_512(value)));
        value += _mm_popcnt_u64(mask);
    }
    value += merge_portable(nibbles + i / 4, n - i, value, zero, out + i);
    return static_cast<std::size_t>(value - values);
}

}  // namespace qc::rans

#pragma GCC diagnostic pop
QC_TARGET_END
#endif
