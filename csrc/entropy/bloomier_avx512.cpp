// entropy/bloomier_avx512.cpp - windows of `bloomier` to bytes.
#include "entropy/bloomier_rounds_avx512.hpp"

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace qc::bloomier {

void window_avx512(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    const auto nothing = [](std::size_t) {};
    if (s.r <= 6) return decode_window<1>(s, first, blocks, order, s.out, nothing);
    decode_window<4>(s, first, blocks, order, s.out, nothing);
}

}  // namespace qc::bloomier

QC_TARGET_END
#endif
