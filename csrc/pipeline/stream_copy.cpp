#include "pipeline/stream_copy.hpp"

#include <algorithm>
#include <cstring>

#if QC_X86
#include <immintrin.h>
#endif

namespace qc {
namespace {

void copy_portable(std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
    std::memcpy(to, from, n);
}

#if QC_X86
QC_TARGET("avx2")
void copy_avx2(std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
    const std::size_t head = std::min<std::size_t>(-reinterpret_cast<std::uintptr_t>(to) % 32, n);
    std::memcpy(to, from, head);
    std::size_t i = head;
    for (; i + 32 <= n; i += 32) {
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
    }
    std::memcpy(to + i, from + i, n - i);
}
QC_TARGET_END

QC_TARGET("avx512f")
void copy_avx512(std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
    const std::size_t head = std::min<std::size_t>(-reinterpret_cast<std::uintptr_t>(to) % 64, n);
    std::memcpy(to, from, head);
    std::size_t i = head;
    for (; i + 64 <= n; i += 64) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
    }
    std::memcpy(to + i, from + i, n - i);
}
QC_TARGET_END
#endif

}  // namespace

#if QC_X86
constinit const Variants<CopyFn> stream_copy{copy_portable, copy_avx2, copy_avx512};
void stream_fence() noexcept { _mm_sfence(); }
#else
constinit const Variants<CopyFn> stream_copy{copy_portable};
void stream_fence() noexcept {}
#endif

}  // namespace qc
