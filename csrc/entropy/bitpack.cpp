// entropy/bitpack.cpp - the portable kernels, and `bitpack` as a coder.
//
// Eight symbols are exactly `bits` bytes, so everything works on eights; only a tail is odd.
#include "entropy/bitpack.hpp"

#include "core/bytes.hpp"
#include "entropy/coder.hpp"

namespace qc {

void unpack_portable(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out) {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < n; i += 8, in += bits) {
        const std::size_t m = n - i < 8 ? n - i : 8;
        word = 0;
        std::memcpy(&word, in, packed_bytes(m, bits));
        for (std::size_t k = 0; k < m; ++k) {
            out[i + k] = static_cast<std::uint8_t>(word >> (k * bits) & mask);
        }
    }
}

void pack_portable(const std::uint8_t* in, unsigned bits, std::size_t n, std::uint8_t* out) {
    for (std::size_t i = 0; i < n; i += 8, out += bits) {
        const std::size_t m = n - i < 8 ? n - i : 8;
        std::uint64_t word = 0;
        for (std::size_t k = 0; k < m; ++k) {
            word |= static_cast<std::uint64_t>(in[i + k]) << (k * bits);
        }
        std::memcpy(out, &word, packed_bytes(m, bits));
    }
}

#if QC_X86
constinit const Variants<UnpackFn> unpack_symbols{unpack_portable, unpack_avx2, unpack_avx512};
constinit const Variants<PackFn> pack_symbols{pack_portable, pack_avx2, nullptr};
#else
constinit const Variants<UnpackFn> unpack_symbols{unpack_portable};
constinit const Variants<PackFn> pack_symbols{pack_portable};
#endif

namespace {

// A writer never reaches these: packing is never smaller than storing, so `encode` always declines,
// and a mode 2 stream under `bitpack` is refused (FORMAT.md, "bitpack").
std::size_t encode(std::span<const std::uint8_t>, unsigned, Workspace&, std::span<std::uint8_t>) {
    return 0;
}
Status open(void*, std::span<const std::uint8_t>, std::size_t, unsigned) noexcept {
    return corrupt("bitpack: a coded stream, which no writer of bitpack makes");
}
Status next(void*, std::size_t, const std::uint8_t**) noexcept { return kOkStatus; }
Status skip(void*, std::size_t) noexcept { return kOkStatus; }
Status finish(void*) noexcept { return kOkStatus; }

constexpr CoderKernel kBitpack{"bitpack", 1, 64, encode, open, next, skip, finish};
const RegisterCoder registered{kBitpack};

}  // namespace
}  // namespace qc
