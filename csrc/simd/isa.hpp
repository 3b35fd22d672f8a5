// simd/isa.hpp - which instruction set kernels use. Every variant gives the bytes of the portable one.
//
// The level is found once, while the module loads: the best that the CPU has, or the one that
// QCODEC_ISA names. Files with vector code include their headers first and open a target region
// afterwards (QC_TARGET), with functions in an unnamed namespace or under a name that says the level:
// code of a header compiled inside a region could be the copy that the linker keeps.
#pragma once

namespace qc {

#if defined(__x86_64__) && defined(__GNUC__)
#define QC_X86 1
#else
#define QC_X86 0
#endif

// A region of code for an instruction set, from QC_TARGET to QC_TARGET_END. Regions may nest.
#define QC_PRAGMA(...) _Pragma(#__VA_ARGS__)
#ifdef __clang__
#define QC_TARGET(features) \
    QC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define QC_TARGET_END QC_PRAGMA(clang attribute pop)
#define QC_PREFER_512
#else
#define QC_TARGET(features) QC_PRAGMA(GCC push_options) QC_PRAGMA(GCC target(features))
#define QC_TARGET_END QC_PRAGMA(GCC pop_options)
#define QC_PREFER_512 ",prefer-vector-width=512"  // loops left to the compiler take whole registers
#endif

enum class Isa : int {
    kPortable = 0,
    kAvx2 = 1,    // AVX2, BMI1, BMI2, FMA is never used, F16C, POPCNT
    kAvx512 = 2,  // F, BW, DQ, VL, VBMI, VBMI2, BITALG, GFNI beside all of the above
};

Isa best_isa() noexcept;                 // of this CPU
Isa active_isa() noexcept;
bool set_active_isa(Isa level) noexcept; // false, and no change, where the CPU lacks it

bool has_bf16_conversion() noexcept;     // AVX512_BF16, beside the level

const char* isa_name(Isa level) noexcept;
bool isa_from_name(const char* name, Isa& level) noexcept;

// One kernel in its variants. A level without one of its own uses the next lower.
template <class Fn>
struct Variants {
    Fn portable;
    Fn avx2 = nullptr;
    Fn avx512 = nullptr;

    Fn pick() const noexcept {
        const Isa level = active_isa();
        if (level >= Isa::kAvx512 && avx512 != nullptr) return avx512;
        if (level >= Isa::kAvx2 && avx2 != nullptr) return avx2;
        return portable;
    }
};

}  // namespace qc
