// search/trellis_avx512.cpp - the walk in vectors of sixteen: points and rates in registers, decisions in masks.
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "entropy/trellis.hpp"
#include "search/trellis.hpp"

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own headers
namespace qc::trellis {
namespace {
constexpr std::size_t kVectorBytes = 64;
}
}  // namespace qc::trellis
#include "search/trellis_walk.hpp"

namespace qc::trellis {
namespace {

// kRegisters of 16 places each.
template <unsigned kRegisters>
struct RegisterTables {
    const float* points;
    const float* rates;

    RegisterTables(const Job& job, unsigned table) noexcept
        : points(job.points), rates(job.rates + table * kTableSize) {}

    [[gnu::always_inline]] static Floats get(const float* t, __m512i place) noexcept {
        const __m512 a = _mm512_load_ps(t);
        if constexpr (kRegisters == 1) return Floats(_mm512_permutexvar_ps(place, a));
        const __m512 low = _mm512_permutex2var_ps(a, place, _mm512_load_ps(t + 16));
        if constexpr (kRegisters == 2) return Floats(low);
        const __m512 high = _mm512_permutex2var_ps(_mm512_load_ps(t + 32), place, _mm512_load_ps(t + 48));
        const __mmask16 upper = _mm512_test_epi32_mask(place, _mm512_set1_epi32(32));
        return Floats(_mm512_mask_blend_ps(upper, low, high));
    }

    [[gnu::always_inline]] void look_up(unsigned subset, Ints place, Floats& v0, Floats& v1, Floats& r0,
                                        Floats& r1) const noexcept {
        const float* const p = points + 64 * subset;
        const float* const r = rates + 64 * subset;
        const __m512i lower = __m512i(place);
        const __m512i upper = _mm512_add_epi32(lower, _mm512_set1_epi32(1));
        v0 = get(p, lower);
        v1 = get(p, upper);
        r0 = get(r, lower);
        r1 = get(r, upper);
    }
};

// Of a step: for each state a mask of lanes, so that no vector operation is needed to keep them.
template <unsigned kMemory>
class MaskDecisions {
public:
    static constexpr std::size_t kBytes = sizeof(__mmask16) << kMemory;

    explicit MaskDecisions(std::uint8_t* to) noexcept : to_(reinterpret_cast<__mmask16*>(to)) {}

    // What state t costs, by its first branch or the second.
    template <unsigned t>
    [[gnu::always_inline]] Floats lesser(Floats a, Floats b) noexcept {
        const __mmask16 second = _mm512_cmp_ps_mask(__m512(b), __m512(a), _CMP_LT_OQ);
        _store_mask16(to_ + t, second);
        return Floats(_mm512_mask_blend_ps(second, __m512(a), __m512(b)));
    }
    void flush() noexcept {}

    // Which branch each lane's state was reached by, 0 or 1.
    [[gnu::always_inline]] static Words branch(const std::uint8_t* kept, Words state) noexcept {
        const __m512i at = __m512i(state);
        __m512i masks;  // in the low halves
        if constexpr (kMemory == 3) {
            const __m128i all = _mm_load_si128(reinterpret_cast<const __m128i*>(kept));
            masks = _mm512_permutexvar_epi16(at, _mm512_castsi128_si512(all));
        } else if constexpr (kMemory == 5) {
            masks = _mm512_permutexvar_epi16(at, _mm512_load_si512(kept));
        } else {
            const __m512i low = _mm512_permutex2var_epi16(_mm512_load_si512(kept), at, _mm512_load_si512(kept + 64));
            const __m512i high =
                _mm512_permutex2var_epi16(_mm512_load_si512(kept + 128), at, _mm512_load_si512(kept + 192));
            masks = _mm512_mask_blend_epi32(_mm512_test_epi32_mask(at, _mm512_set1_epi32(64)), low, high);
        }
        const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        return Words(_mm512_and_si512(_mm512_srlv_epi32(masks, lane), _mm512_set1_epi32(1)));
    }

private:
    __mmask16* to_;
};

void walk(const Job& job, const Scratch& scratch) {
    if (job.places <= 16) return walk_with<RegisterTables<1>, MaskDecisions>(job, scratch);
    if (job.places <= 32) return walk_with<RegisterTables<2>, MaskDecisions>(job, scratch);
    walk_with<RegisterTables<4>, MaskDecisions>(job, scratch);
}

}  // namespace

const Kernels kAvx512{arrange, round_levels, walk};

}  // namespace qc::trellis
#pragma GCC diagnostic pop
QC_TARGET_END
#endif
