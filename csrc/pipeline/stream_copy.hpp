// pipeline/stream_copy.hpp - copy that does not read the target's cache lines first.
//
// A plain store to memory costs a read of the line too. For outputs far larger than the caches,
// non-temporal stores raise the limit from about 8-11 to 17 GB/s on one core.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.hpp"

namespace qc {

using CopyFn = void (*)(std::uint8_t* to, const std::uint8_t* from, std::size_t n);

extern const Variants<CopyFn> stream_copy;

// Orders the stores above before whatever another thread reads next.
void stream_fence() noexcept;

}  // namespace qc
