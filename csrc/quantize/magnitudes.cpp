#include "quantize/magnitudes.hpp"

#include <bit>
#include <cstdint>

namespace qc {
namespace {

// Magnitudes are in order of their bits. Both loops are left to the compiler, in the registers of each target.
[[gnu::always_inline]] inline std::int32_t magnitude(float value) noexcept {
    return std::bit_cast<std::int32_t>(value) & 0x7FFFFFFF;
}

[[gnu::always_inline]] inline float largest_of(const float* values, std::size_t n) noexcept {
    std::int32_t most = 0;
    for (std::size_t i = 0; i < n; ++i) most = magnitude(values[i]) > most ? magnitude(values[i]) : most;
    return std::bit_cast<float>(most);
}

[[gnu::always_inline]] inline std::size_t count_beyond(const float* values, std::size_t n, float limit) noexcept {
    const std::int32_t least = std::bit_cast<std::int32_t>(limit);
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < n; ++i) count += magnitude(values[i]) > least;
    return count;
}

float largest(const float* values, std::size_t n) { return largest_of(values, n); }
std::size_t beyond(const float* values, std::size_t n, float limit) { return count_beyond(values, n, limit); }
constexpr Magnitudes kPortable{largest, beyond};

#if QC_X86
QC_TARGET("avx2")
float largest_avx2(const float* values, std::size_t n) { return largest_of(values, n); }
std::size_t beyond_avx2(const float* values, std::size_t n, float limit) { return count_beyond(values, n, limit); }
QC_TARGET_END
constexpr Magnitudes kAvx2{largest_avx2, beyond_avx2};

QC_TARGET("avx2,avx512f,avx512bw,avx512vl,avx512dq" QC_PREFER_512)
float largest_avx512(const float* values, std::size_t n) { return largest_of(values, n); }
std::size_t beyond_avx512(const float* values, std::size_t n, float limit) { return count_beyond(values, n, limit); }
QC_TARGET_END
constexpr Magnitudes kAvx512{largest_avx512, beyond_avx512};
#endif

}  // namespace

#if QC_X86
constinit const Variants<const Magnitudes*> magnitudes{&kPortable, &kAvx2, &kAvx512};
#else
constinit const Variants<const Magnitudes*> magnitudes{&kPortable};
#endif

}  // namespace qc
