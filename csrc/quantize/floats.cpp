#include "quantize/floats.hpp"

#include <cstring>

#include "core/bytes.hpp"

namespace qc {

void to_f32_portable(const std::uint8_t* in, DType from, std::size_t n, float* out) {
    if (from == DType::kF32) {
        std::memcpy(out, in, n * sizeof(float));
    } else if (from == DType::kBF16) {
        for (std::size_t i = 0; i < n; ++i) out[i] = f32_from_bf16(load<std::uint16_t>(in + 2 * i));
    } else if (from == DType::kF16) {
        for (std::size_t i = 0; i < n; ++i) out[i] = f32_from_f16(load<std::uint16_t>(in + 2 * i));
    } else {
        for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(load<double>(in + 8 * i));
    }
}

void from_f32_portable(const float* in, std::size_t n, std::uint8_t* out, DType to) {
    if (to == DType::kF32) {
        std::memcpy(out, in, n * sizeof(float));
    } else if (to == DType::kBF16) {
        for (std::size_t i = 0; i < n; ++i) store(out + 2 * i, bf16_from_f32(in[i]));
    } else if (to == DType::kF16) {
        for (std::size_t i = 0; i < n; ++i) store(out + 2 * i, f16_from_f32(in[i]));
    } else {
        for (std::size_t i = 0; i < n; ++i) store(out + 8 * i, static_cast<double>(in[i]));
    }
}

#if QC_X86
constinit const Variants<ToF32Fn> to_f32{to_f32_portable, to_f32_avx2};
constinit const Variants<FromF32Fn> from_f32{from_f32_portable, from_f32_avx2};
#else
constinit const Variants<ToF32Fn> to_f32{to_f32_portable};
constinit const Variants<FromF32Fn> from_f32{from_f32_portable};
#endif

}  // namespace qc
