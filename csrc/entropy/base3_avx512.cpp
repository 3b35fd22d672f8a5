// entropy/base3_avx512.cpp - 64 bytes a step. Runs are coded without a loop over them: their first
// and last places, compressed, differ by their lengths, which are expanded back to the last places.
#include "entropy/base3.hpp"

#if QC_X86
#include <immintrin.h>

#include <bit>

QC_TARGET("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")

namespace qc::base3 {
namespace {

__m512i all(unsigned byte) noexcept { return _mm512_set1_epi8(static_cast<char>(byte)); }
__m512i triple(__m512i v) noexcept { return _mm512_add_epi8(_mm512_add_epi8(v, v), v); }

bool join_avx512(const std::uint8_t* symbols, std::size_t part, std::size_t n,
                 std::uint8_t* bytes) noexcept {
    __m512i largest = _mm512_setzero_si512();
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i byte = _mm512_setzero_si512();
        for (std::size_t k = 0; k < 5; ++k) {
            const __m512i s = _mm512_loadu_si512(symbols + k * part + i);
            largest = _mm512_max_epu8(largest, s);
            byte = _mm512_add_epi8(triple(byte), s);
        }
        _mm512_storeu_si512(bytes + i, byte);
    }
    const bool rest = kPortable.join(symbols + i, part, n - i, bytes + i);
    return rest && _mm512_cmpge_epu8_mask(largest, all(3)) == 0;
}

std::size_t count_ones(const std::uint8_t* bytes, std::size_t n) noexcept {
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __mmask64 same = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(bytes + i), all(kOnes));
        if (~same != 0) return i + static_cast<std::size_t>(std::countr_one(same));
    }
    while (i < n && bytes[i] == kOnes) ++i;
    return i;
}

std::size_t shorten_avx512(const std::uint8_t* bytes, std::size_t n, std::uint8_t* out) noexcept {
    constexpr int kFew = 10;  // bytes of 64 that are quicker taken one by one
    alignas(64) std::uint8_t places[64];
    for (unsigned k = 0; k < 64; ++k) places[k] = static_cast<std::uint8_t>(k);
    const __m512i place = _mm512_load_si512(places);
    std::uint8_t* o = out;
    std::size_t i = 0;
    while (i + 64 <= n) {
        const __m512i v = _mm512_loadu_si512(bytes + i);
        std::uint64_t runs = _mm512_cmpeq_epi8_mask(v, all(kOnes));
        if (runs == 0) {
            _mm512_storeu_si512(o, v);
            o += 64;
            i += 64;
            continue;
        }
        if (std::popcount(~runs) <= kFew) {
            std::size_t begin = i;
            for (std::uint64_t left = ~runs; left != 0; left &= left - 1) {
                const std::size_t at = i + static_cast<std::size_t>(std::countr_zero(left));
                if (at > begin) o = put_run(at - begin, o);
                *o++ = bytes[at];
                begin = at + 1;
            }
            // A run that may go on: all of it.
            const std::size_t length = begin == i + 64 ? 0 : i + 64 - begin + count_ones(bytes + i + 64, n - i - 64);
            if (length > 0) o = put_run(length, o);
            i = begin + length;
            continue;
        }
        // Where at least 15 begin: such a run takes several bytes.
        const std::uint64_t two = runs & runs >> 1, four = two & two >> 2;
        const std::uint64_t eight = four & four >> 4, fifteen = eight & eight >> 7;
        // Up to the first long run, or to a run that may go on in the next 64.
        const unsigned used = static_cast<unsigned>(
            fifteen != 0 ? std::countr_zero(fifteen) : 64 - std::countl_one(runs));
        if (used == 0) {
            const std::size_t length = count_ones(bytes + i, n - i);
            o = put_run(length, o);
            i += length;
            continue;
        }
        const std::uint64_t window = ~std::uint64_t{0} >> (64 - used);
        runs &= window;
        const std::uint64_t first = runs & ~(runs << 1), last = runs & ~(runs >> 1);
        const __m512i length = _mm512_sub_epi8(_mm512_maskz_compress_epi8(last, place),
                                               _mm512_maskz_compress_epi8(first, place));
        const __m512i code = _mm512_mask_mov_epi8(
            _mm512_add_epi8(length, all(kFirstRun - 1)),
            _mm512_testn_epi8_mask(length, length), all(kOnes));
        const __mmask64 kept = (~runs | last) & window;
        _mm512_storeu_si512(
            o, _mm512_maskz_compress_epi8(kept, _mm512_mask_expand_epi8(v, last, code)));
        o += std::popcount(kept);
        i += used;
    }
    return static_cast<std::size_t>(o - out) + kPortable.shorten(bytes + i, n - i, o);
}

// ceil(256 a / 243) from x = 256 a + 242, a < 243, as (x * 8631) >> 21.
__m512i fraction(__m512i x) noexcept {
    return _mm512_srli_epi16(_mm512_mulhi_epu16(x, _mm512_set1_epi16(8631)), 5);
}

Status expand_avx512(std::span<const std::uint8_t> payload, std::size_t n,
                     std::uint8_t* fractions) noexcept {
    constexpr std::size_t kStep = 16;
    const std::uint8_t* const in = payload.data();
    std::uint8_t *out = fractions, *const end = fractions + n;
    std::size_t at = 0;
    while (payload.size() - at >= 64 && static_cast<std::size_t>(end - out) >= kStep * kMaxRun) {
        const __m512i v = _mm512_loadu_si512(in + at);
        if (_mm512_cmpge_epu8_mask(v, all(kFirstRun)) == 0) {
            const __m512i low = fraction(_mm512_unpacklo_epi8(all(242), v));
            const __m512i high = fraction(_mm512_unpackhi_epi8(all(242), v));
            _mm512_storeu_si512(out, _mm512_packus_epi16(low, high));
            at += 64;
            out += 64;
            continue;
        }
        for (std::size_t k = 0; k < kStep; ++k) out = expand_byte(in[at + k], out);
        at += kStep;
    }
    return expand_rest(payload, at, out, end);
}

template <unsigned kDigit>
void digit_of(const std::uint8_t* fractions, std::size_t n, std::uint8_t* symbols) noexcept {
    for (std::size_t i = 0; i < n; i += 64) {
        __m512i v = _mm512_loadu_si512(fractions + i);
        for (unsigned k = 0; k < kDigit; ++k) v = triple(v);
        const __m512i one = _mm512_maskz_mov_epi8(_mm512_cmpge_epu8_mask(v, all(86)), all(1));
        _mm512_storeu_si512(symbols + i, _mm512_mask_mov_epi8(
                                             one, _mm512_cmpge_epu8_mask(v, all(171)), all(2)));
    }
}

void digit_avx512(const std::uint8_t* fractions, std::size_t n, unsigned k,
                  std::uint8_t* symbols) noexcept {
    switch (k) {
        case 0: return digit_of<0>(fractions, n, symbols);
        case 1: return digit_of<1>(fractions, n, symbols);
        case 2: return digit_of<2>(fractions, n, symbols);
        case 3: return digit_of<3>(fractions, n, symbols);
        default: return digit_of<4>(fractions, n, symbols);
    }
}

}  // namespace

constinit const Kernels kAvx512{join_avx512, shorten_avx512, expand_avx512, digit_avx512};

}  // namespace qc::base3

QC_TARGET_END
#endif
