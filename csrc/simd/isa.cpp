#include "simd/isa.hpp"

#include <atomic>
#include <cstring>

#if QC_X86
#include <cpuid.h>
#endif

namespace qc {
namespace {

constexpr const char* kNames[] = {"portable", "avx2", "avx512"};

#if QC_X86
// Clang's __builtin_cpu_supports does not know the name.
bool has_f16c() noexcept {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

Isa detect() noexcept {
#if QC_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
                      has_f16c();
    const bool avx512 =
        avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
        __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("gfni");
    return avx512 ? Isa::kAvx512 : avx2 ? Isa::kAvx2 : Isa::kPortable;
#else
    return Isa::kPortable;
#endif
}

std::atomic<int>& level() noexcept {
    static std::atomic<int> active{static_cast<int>(detect())};
    return active;
}

}  // namespace

Isa best_isa() noexcept {
    static const Isa best = detect();
    return best;
}

Isa active_isa() noexcept { return static_cast<Isa>(level().load(std::memory_order_relaxed)); }

bool set_active_isa(Isa wanted) noexcept {
    if (wanted > best_isa()) return false;
    level().store(static_cast<int>(wanted), std::memory_order_relaxed);
    return true;
}

bool has_bf16_conversion() noexcept {
#if QC_X86
    static const bool has = __builtin_cpu_supports("avx512bf16");
    return has;
#else
    return false;
#endif
}

const char* isa_name(Isa isa) noexcept { return kNames[static_cast<int>(isa)]; }

bool isa_from_name(const char* name, Isa& isa) noexcept {
    for (int k = 0; k < 3; ++k) {
        if (std::strcmp(name, kNames[k]) == 0) {
            isa = static_cast<Isa>(k);
            return true;
        }
    }
    return false;
}

}  // namespace qc
