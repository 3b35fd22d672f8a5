// pipeline/fused.hpp - loops in which symbols go from the coder's registers straight to elements.
//
// They serve `uniform` without escapes, one plane, groups that are multiples of 64, and outputs that
// are written around the caches: there compute and stores overlap, which they do not when a
// block of symbols is decoded first. Same values as the two steps apart, at about twice the speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.hpp"
#include "entropy/bloomier.hpp"
#include "entropy/rans_decode.hpp"
#include "pipeline/aside.hpp"
#include "pipeline/plane.hpp"
#include "quantize/dequantize.hpp"
#include "simd/isa.hpp"

namespace qc {

// Symbols from a stored plane are fetched so far ahead: beyond the step that a hash takes next.
inline constexpr std::size_t kReadAhead = kFusedStep * 9 / 8;

constexpr bool fuses(DType to) noexcept {
    return to == DType::kF32 || to == DType::kBF16 || to == DType::kF16;
}
inline bool fuses(const Runs& runs, std::size_t n) noexcept {
    return runs.width <= 8 && n % 256 == 0 && runs.inner % 64 == 0 && runs.left % 64 == 0;
}

// n packed symbols of `bits` bits, beginning at a byte; `in` is readable for packed_bytes(n, bits).
//   requires  fuses(to), fuses(runs, n)
using FusedUnpackFn = void (*)(const std::uint8_t* in, unsigned bits, std::size_t n,
                               const Runs& runs, std::uint8_t* out, DType to, const Aside& aside);

// The next n symbols of a plain stream of at least 64 lanes; n is a multiple of the lanes.
using FusedRansFn = Status (*)(rans::Stream& s, std::size_t n, const Runs& runs,
                               std::uint8_t* out, DType to) noexcept;

// The next n symbols of such a stream, each the top byte of a word of 2 or 4 bytes whose other planes are
// given, to words rotated right by one bit: `lossless` floats.
using FusedMergeFn = Status (*)(rans::Stream& s, std::size_t n, const std::uint8_t* const* lower,
                                std::size_t bytes, std::uint8_t* out) noexcept;

// The next n symbols of `bloomier`: whole windows, or a multiple of 256 within one.
using FusedBloomierFn = Status (*)(bloomier::State& s, std::size_t n, const Runs& runs, std::uint8_t* out,
                                   DType to) noexcept;

// Null at levels that have no such loop.
extern const Variants<FusedBloomierFn> fused_bloomier;
extern const Variants<FusedUnpackFn> fused_unpack;
extern const Variants<FusedRansFn> fused_rans;
extern const Variants<FusedMergeFn> fused_merge;

#if QC_X86
void fused_unpack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, const Runs& runs,
                       std::uint8_t* out, DType to, const Aside& aside);
Status fused_rans_avx2(rans::Stream& s, std::size_t n, const Runs& runs, std::uint8_t* out,
                       DType to) noexcept;
Status fused_merge_avx2(rans::Stream& s, std::size_t n, const std::uint8_t* const* lower,
                        std::size_t bytes, std::uint8_t* out) noexcept;
#endif

// Whether the plane, in the form it is stored in, has a fused loop at the active level.
bool can_fuse(const PlaneReader& reader) noexcept;

// The same for the first plane of a `lossless` tensor of 2- or 4-byte floats.
bool can_merge(const PlaneReader& first, std::size_t bytes) noexcept;

// The next n symbols of the first plane and those given of the others to n words at `out`.
//   requires  can_merge(first, bytes); n a multiple of 256, and as for PlaneReader::next
Status merge_next(PlaneReader& first, std::size_t n, const std::uint8_t* const* lower,
                  std::size_t bytes, std::uint8_t* out) noexcept;

// How many symbols of a chunk's planes a loop takes at a time: kBlock where a reader gives no more.
std::size_t fused_step(std::span<const PlaneReader> planes) noexcept;

// The next n symbols of the plane to n elements at `out`.
//   requires  can_fuse(reader), fuses(to), fuses(runs, n), n as for PlaneReader::next
Status fused_next(PlaneReader& reader, std::size_t n, const Runs& runs, std::uint8_t* out,
                  DType to) noexcept;

}  // namespace qc
