// search/trellis_avx512.cpp - the walk in vectors of sixteen, with points and rates in registers.
#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
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

void walk(const Job& job, const Scratch& scratch) {
    if (job.places <= 16) return walk_with<RegisterTables<1>>(job, scratch);
    if (job.places <= 32) return walk_with<RegisterTables<2>>(job, scratch);
    walk_with<RegisterTables<4>>(job, scratch);
}

}  // namespace

const Kernels kAvx512{largest, arrange, walk};

}  // namespace qc::trellis
#pragma GCC diagnostic pop
QC_TARGET_END
#endif
