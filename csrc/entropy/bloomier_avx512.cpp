// entropy/bloomier_avx512.cpp - windows of `bloomier` to bytes.
#include "entropy/bloomier_rounds_avx512.hpp"

#if QC_X86
QC_TARGET("avx2,bmi,bmi2,popcnt,f16c,avx512f,avx512bw,avx512vl,"
          "avx512dq,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,avx512bf16")

namespace qc::bloomier {

void window_avx512(State& s, std::size_t first, std::size_t blocks, const std::uint16_t* order) noexcept {
    const auto nothing = [](std::size_t) {};
    with_word_bits(s.r, [&]<unsigned kBits>() { decode_window<kBits>(s, first, blocks, order, s.out, nothing); });
}

}  // namespace qc::bloomier

QC_TARGET_END
#endif
