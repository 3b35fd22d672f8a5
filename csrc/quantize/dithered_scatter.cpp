// quantize/dithered_scatter.cpp - symbols of elements to the order of classes, for encoders: the inverse of turning.
#include <algorithm>

#include "quantize/dithered_kernels.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc::dithered {

void scatter_portable(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < run.n; ++i) {
        const auto element = run.element + static_cast<std::uint32_t>(i);
        planes[run.dither.class_of(element)][i / kDitherClasses] = symbols[i];
    }
}

namespace {

#if QC_X86
QC_TARGET("avx2")
void scatter_avx2(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes) {
    const __m128i classes = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    std::size_t group = 0;
    for (; (group + 16) * kDitherClasses <= run.n; group += 16) {
        __m128i a[16];
        __m128i b[16];
        for (unsigned g = 0; g < 16; ++g) {
            const std::size_t at = (group + g) * kDitherClasses;
            const auto turn = run.dither.turn_of(run.element + static_cast<std::uint32_t>(at));
            const __m128i from = _mm_and_si128(_mm_sub_epi8(classes, _mm_set1_epi8(static_cast<char>(turn))),
                                               _mm_set1_epi8(kDitherClasses - 1));
            a[g] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(symbols + at)), from);
        }
        // A transpose is four perfect shuffles: rows r and r + 8 interleave to rows 2r and 2r + 1.
        for (unsigned stage = 0; stage < 4; ++stage) {
            for (unsigned r = 0; r < 8; ++r) {
                b[2 * r] = _mm_unpacklo_epi8(a[r], a[r + 8]);
                b[2 * r + 1] = _mm_unpackhi_epi8(a[r], a[r + 8]);
            }
            for (unsigned r = 0; r < 16; ++r) a[r] = b[r];
        }
        for (unsigned c = 0; c < 16; ++c) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(planes[c] + group), a[c]);
        }
    }
    std::uint8_t* rest[kDitherClasses];
    for (unsigned c = 0; c < kDitherClasses; ++c) rest[c] = planes[c] + group;
    scatter_portable(run.from(group * kDitherClasses), symbols + group * kDitherClasses, rest);
}
QC_TARGET_END
constinit const Variants<ScatterFn> scatter{scatter_portable, scatter_avx2, scatter_avx2};
#else
constinit const Variants<ScatterFn> scatter{scatter_portable};
#endif

}  // namespace

void scatter_classes(const Run& run, const std::uint8_t* symbols, std::uint8_t* const* planes) {
    scatter.pick()(run, symbols, planes);
}

}  // namespace qc::dithered
