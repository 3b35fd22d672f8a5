#include "transform/deinterleave.hpp"

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {

Deinterleave::Deinterleave(unsigned area) noexcept : area_(area), in_vectors_(false) {
#if QC_X86
    in_vectors_ = active_isa() >= Isa::kAvx512;
    if (!in_vectors_) return;
    for (unsigned p = 0; p < area; ++p) {
        for (std::uint64_t& mask : masks_[p]) mask = 0;
        for (unsigned k = 0; k < 64; ++k) {
            const unsigned at = k * area + p;
            places_[p][k] = static_cast<std::uint8_t>(at % 128);
            masks_[p][at / 128] |= std::uint64_t{1} << k;
        }
    }
#endif
}

#if QC_X86
QC_TARGET("avx512f,avx512bw,avx512vbmi")
// Blocks of whole 64s; returns how many.
std::size_t Deinterleave::vectors(const std::uint8_t* blocks, std::size_t n, std::uint8_t* out,
                                  std::size_t stride) const noexcept {
    std::size_t b = 0;
    for (; b + 64 <= n; b += 64, blocks += 64 * area_) {
        for (unsigned p = 0; p < area_; ++p) {
            const __m512i places = _mm512_load_si512(places_[p]);
            __m512i all = _mm512_setzero_si512();
            for (unsigned r = 0; r < area_; r += 2) {
                // An odd last register has no other, and no place looks for one.
                const __m512i first = _mm512_loadu_si512(blocks + 64 * r);
                const __m512i second = r + 1 < area_ ? _mm512_loadu_si512(blocks + 64 * r + 64) : first;
                all = _mm512_or_si512(all, _mm512_maskz_permutex2var_epi8(_cvtu64_mask64(masks_[p][r / 2]), first,
                                                                          places, second));
            }
            _mm512_storeu_si512(out + p * stride + b, all);
        }
    }
    return b;
}
QC_TARGET_END
#endif

void Deinterleave::operator()(const std::uint8_t* blocks, std::size_t n, std::uint8_t* out,
                              std::size_t stride) const noexcept {
    std::size_t first = 0;
#if QC_X86
    if (in_vectors_) first = vectors(blocks, n, out, stride);
#endif
    for (std::size_t p = 0; p < area_; ++p) {
        for (std::size_t b = first; b < n; ++b) out[p * stride + b] = blocks[b * area_ + p];
    }
}

}  // namespace qc
