// entropy/rans_encode_avx2.cpp - the encoder's loops with AVX2: the steps of rans_encode_avx512.cpp
// on 32 lanes, with table look-ups by pshufb and compression by a table of shuffles, 8 bytes each.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/rans_encode.hpp"
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

QC_TARGET("avx2,bmi,bmi2,popcnt")

namespace qc::rans {
namespace {

constexpr std::size_t kVector = 32;

// Shuffles that move the bytes of a mask's ones together, at the top or at the bottom of 8 bytes.
constexpr std::array<std::uint64_t, 256> make_squeezes(bool top) {
    std::array<std::uint64_t, 256> table{};
    for (unsigned m = 0; m < 256; ++m) {
        unsigned at = top ? 8 - static_cast<unsigned>(std::popcount(m)) : 0;
        for (unsigned k = 0; k < 8; ++k) {
            if (m >> k & 1) table[m] |= std::uint64_t{k} << (8 * at++);
        }
    }
    return table;
}
constexpr std::array<std::uint64_t, 256> kToTop = make_squeezes(true);
constexpr std::array<std::uint64_t, 256> kToBottom = make_squeezes(false);

inline __m256i load_twice(const std::uint8_t* p) noexcept {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline __m256i load_256(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

inline void store_256(std::uint8_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}

inline __m128i squeeze(__m128i bytes, std::uint64_t shuffle) noexcept {
    return _mm_shuffle_epi8(bytes, _mm_cvtsi64_si128(static_cast<long long>(shuffle)));
}

// A table of 16 * kParts bytes by a vector of indices.
template <unsigned kParts>
inline __m256i look_up(const std::uint8_t* table, __m256i i) noexcept {
    const __m256i a = _mm256_shuffle_epi8(load_twice(table), i);
    if constexpr (kParts == 1) return a;
    const __m256i bit_4 = _mm256_slli_epi16(i, 3);
    const __m256i low =
        _mm256_blendv_epi8(a, _mm256_shuffle_epi8(load_twice(table + 16), i), bit_4);
    if constexpr (kParts == 4) {
        const __m256i high =
            _mm256_blendv_epi8(_mm256_shuffle_epi8(load_twice(table + 32), i),
                               _mm256_shuffle_epi8(load_twice(table + 48), i), bit_4);
        return _mm256_blendv_epi8(low, high, _mm256_slli_epi16(i, 2));
    }
    return low;
}

bool map_avx2(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* index_of,
              std::uint8_t* index) {
    __m256i seen = _mm256_setzero_si256();
    std::size_t i = 0;
    if (index == nullptr) {
        for (; i + kVector <= n; i += kVector) {
            seen = _mm256_or_si256(seen, look_up<2>(index_of, load_256(symbols + i)));
        }
    } else {
        // Only rows of 16 symbols that differ from what most have; pshufb gives 0 to all others.
        const __m256i most = _mm256_set1_epi8(static_cast<char>(index_of[255]));
        __m256i rows[16], first[16];
        unsigned n_rows = 0;
        for (unsigned s = 0; s < 256; s += 16) {
            const __m256i row = _mm256_xor_si256(load_twice(index_of + s), most);
            if (_mm256_testz_si256(row, row)) continue;
            rows[n_rows] = row;
            first[n_rows++] = _mm256_set1_epi8(static_cast<char>(s));
        }
        for (; i + kVector <= n; i += kVector) {
            const __m256i x = load_256(symbols + i);
            __m256i v = most;
            for (unsigned r = 0; r < n_rows; ++r) {
                const __m256i place = _mm256_adds_epu8(_mm256_xor_si256(x, first[r]),
                                                       _mm256_set1_epi8(0x70));
                v = _mm256_xor_si256(v, _mm256_shuffle_epi8(rows[r], place));
            }
            store_256(index + i, _mm256_and_si256(v, _mm256_set1_epi8(63)));
            seen = _mm256_or_si256(seen, v);
        }
        index += i;
    }
    const bool rest = kEncodePortable.map(symbols + i, n - i, index_of, index);
    return rest || _mm256_movemask_epi8(seen) != 0;
}

void count_avx2(const std::uint8_t* index, std::size_t n, unsigned width,
                std::uint16_t* counts) {
    if (width > 32 || n % kVector != 0 || n > 255 * kVector) {
        kEncodePortable.count(index, n, width, counts);
        return;
    }
    const __m256i zero = _mm256_setzero_si256();
    for (unsigned e = 0; e < width; e += 8) {
        __m256i found[8];
        for (__m256i& f : found) f = zero;
        for (std::size_t i = 0; i < n; i += kVector) {
            const __m256i x = load_256(index + i);
            for (unsigned k = 0; k < 8; ++k) {
                const __m256i symbol = _mm256_set1_epi8(static_cast<char>(e + k));
                found[k] = _mm256_sub_epi8(found[k], _mm256_cmpeq_epi8(x, symbol));
            }
        }
        for (unsigned k = 0; k < 8; ++k) {
            std::uint64_t part[4];
            const __m256i sums = _mm256_sad_epu8(found[k], zero);
            std::memcpy(part, &sums, sizeof part);
            counts[e + k] = static_cast<std::uint16_t>(part[0] + part[1] + part[2] + part[3]);
        }
    }
}

template <unsigned kParts>
void choose_tables(const std::uint8_t* index, std::size_t n, const Model& m,
                   std::uint8_t* choices) {
    const __m256i zero = _mm256_setzero_si256();
    for (std::size_t at = 0; at < n; at += m.tile) {
        const std::size_t end = std::min(at + m.tile, n);
        std::uint64_t least = ~std::uint64_t{0};
        unsigned best = 0;
        for (unsigned t = 0; t < m.n_tables; ++t) {
            __m256i sums = zero;
            std::size_t i = at;
            for (; i + kVector <= end; i += kVector) {
                const __m256i cost = look_up<kParts>(m.costs[t], load_256(index + i));
                sums = _mm256_add_epi64(sums, _mm256_sad_epu8(cost, zero));
            }
            std::uint64_t part[4];
            std::memcpy(part, &sums, sizeof part);
            std::uint64_t sum = part[0] + part[1] + part[2] + part[3];
            for (; i < end; ++i) sum += m.costs[t][index[i]];
            if (sum < least) {
                least = sum;
                best = t;
            }
        }
        *choices++ = static_cast<std::uint8_t>(best);
    }
}

template <unsigned kParts>
void run(EncodeJob& job, std::size_t rounds) {
    const Model& m = *job.model;
    const std::size_t lanes = job.lanes;
    const std::size_t tile_rounds = m.tile / lanes;
    const __m256i low_bytes = _mm256_set1_epi16(0xFF);
    const auto blend = [&](__m256i even, __m256i odd) {
        return _mm256_blendv_epi8(_mm256_slli_epi16(odd, 8), even, low_bytes);
    };
    std::uint8_t* body = job.body;
    for (std::size_t stop = rounds; stop > 0;) {
        const std::size_t tile = m.n_tables > 1 ? (stop - 1) / tile_rounds : 0;
        const std::size_t first = m.n_tables > 1 ? tile * tile_rounds : 0;
        const EncodeTable& t = m.encode_tables[m.n_tables > 1 ? job.choices[tile] : 0];
        for (std::size_t at = stop * lanes; at > first * lanes;) {
            at -= kVector;
            const std::size_t lane = at % lanes;
            const __m256i x = load_256(job.index + at);
            const __m256i freq = look_up<kParts>(t.freq, x);
            const __m256i inv_low = look_up<kParts>(t.inverse_low, x);
            const __m256i inv_high = look_up<kParts>(t.inverse_high, x);
            if (t.has_escapes) {
                auto escaped = static_cast<std::uint32_t>(
                    _mm256_movemask_epi8(look_up<kParts>(t.escaped, x)));
                while (__builtin_expect(escaped != 0, 0)) {
                    const auto k = static_cast<unsigned>(std::bit_width(escaped)) - 1;
                    *--job.escapes = static_cast<std::uint8_t>(job.symbols[at + k] >> m.raw_bits);
                    escaped ^= 1u << k;
                }
            }
            __m256i h = load_256(job.high + lane);
            __m256i l = load_256(job.low + lane);
            const __m256i full = _mm256_cmpeq_epi8(_mm256_max_epu8(h, freq), h);
            const auto mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(full));
            const __m128i l_top = _mm256_extracti128_si256(l, 1);
            const __m128i l_bottom = _mm256_castsi256_si128(l);
            const auto emit = [&](__m128i bytes, std::uint32_t which) {
                _mm_storel_epi64(reinterpret_cast<__m128i*>(body - 8),
                                 squeeze(bytes, kToTop[which]));
                body -= _mm_popcnt_u32(which);
            };
            emit(_mm_srli_si128(l_top, 8), mask >> 24);
            emit(l_top, mask >> 16 & 0xFF);
            emit(_mm_srli_si128(l_bottom, 8), mask >> 8 & 0xFF);
            emit(l_bottom, mask & 0xFF);
            l = _mm256_blendv_epi8(l, h, full);
            h = _mm256_andnot_si256(full, h);

            const __m256i even = blend(l, h);
            const __m256i odd = blend(_mm256_srli_epi16(l, 8), _mm256_srli_epi16(h, 8));
            const __m256i inv_even = blend(inv_low, inv_high);
            const __m256i inv_odd =
                blend(_mm256_srli_epi16(inv_low, 8), _mm256_srli_epi16(inv_high, 8));
            const __m256i f_even = _mm256_and_si256(freq, low_bytes);
            const __m256i f_odd = _mm256_srli_epi16(freq, 8);
            const __m256i q_even = _mm256_mulhi_epu16(even, inv_even);
            const __m256i q_odd = _mm256_mulhi_epu16(odd, inv_odd);
            const __m256i r_even = _mm256_sub_epi16(even, _mm256_mullo_epi16(q_even, f_even));
            const __m256i r_odd = _mm256_sub_epi16(odd, _mm256_mullo_epi16(q_odd, f_odd));
            const __m256i s_even = _mm256_min_epu16(r_even, _mm256_sub_epi16(r_even, f_even));
            const __m256i s_odd = _mm256_min_epu16(r_odd, _mm256_sub_epi16(r_odd, f_odd));
            const __m256i rest = blend(s_even, s_odd);
            const __m256i right = _mm256_cmpeq_epi8(rest, blend(r_even, r_odd));
            // Add one where the rest was not right: subtract -1 and add the comparison's -1.
            const __m256i one_more = _mm256_sub_epi8(blend(q_even, q_odd), _mm256_set1_epi8(-1));
            store_256(job.high + lane, _mm256_add_epi8(one_more, right));
            const __m256i lower = look_up<kParts>(t.lower, x);
            const __m256i upper = _mm256_cmpeq_epi8(_mm256_max_epu8(rest, lower), rest);
            const __m256i base = _mm256_blendv_epi8(look_up<kParts>(t.base[0], x),
                                                    look_up<kParts>(t.base[1], x), upper);
            store_256(job.low + lane, _mm256_add_epi8(rest, base));
        }
        stop = first;
    }
    job.body = body;
}

// Indices go up to the highest in use, or one more, the index of symbols without one.
unsigned parts(const Model& m) {
    const unsigned most = m.same_index ? (1u << m.symbol_bits) - 1
                                       : static_cast<unsigned>(std::bit_width(m.seen)) -
                                             (m.must_escape ? 0 : 1);
    return most < 16 ? 1 : most < 32 ? 2 : 4;
}

void choose_avx2(const std::uint8_t* index, std::size_t n, const Model& m, std::uint8_t* choices) {
    const unsigned p = parts(m);
    if (p == 1) {
        choose_tables<1>(index, n, m, choices);
    } else if (p == 2) {
        choose_tables<2>(index, n, m, choices);
    } else {
        choose_tables<4>(index, n, m, choices);
    }
}

void rounds_avx2(EncodeJob& job, std::size_t rounds) {
    const unsigned p = parts(*job.model);
    if (p == 1) {
        run<1>(job, rounds);
    } else if (p == 2) {
        run<2>(job, rounds);
    } else {
        run<4>(job, rounds);
    }
}

void pack_avx2(const std::uint8_t* symbols, std::size_t n, unsigned width, std::uint8_t* out) {
    const std::uint64_t bits = 0x0101010101010101 * ((1u << width) - 1);
    std::size_t i = 0;
    // A store writes 8 bytes; the excess is overwritten later by symbols that follow.
    for (; i + 72 <= n; i += 8, out += width) {
        store(out, _pext_u64(load<std::uint64_t>(symbols + i), bits));
    }
    kEncodePortable.pack(symbols + i, n - i, width, out);
}

std::size_t split_avx2(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                       std::uint8_t* nibbles, std::uint8_t* values) {
    const __m128i zeros = _mm_set1_epi8(static_cast<char>(zero));
    std::uint8_t* value = values;
    std::size_t i = 0;
    for (; i + 16 <= n; i += 8) {
        const __m128i s = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(symbols + i));
        const unsigned mask =
            ~static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(s, zeros))) & 0xFF;
        nibbles[i / 4] = static_cast<std::uint8_t>(mask & 15);
        nibbles[i / 4 + 1] = static_cast<std::uint8_t>(mask >> 4);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(value), squeeze(s, kToBottom[mask]));
        value += _mm_popcnt_u32(mask);
    }
    value += kEncodePortable.split(symbols + i, n - i, zero, nibbles + i / 4, value);
    return static_cast<std::size_t>(value - values);
}

}  // namespace

const EncodeKernel kEncodeAvx2{map_avx2,  count_avx2, choose_avx2, rounds_avx2,
                               pack_avx2, split_avx2, 32};

}  // namespace qc::rans

QC_TARGET_END
#endif
