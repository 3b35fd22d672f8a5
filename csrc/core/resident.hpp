// core/resident.hpp - which outputs are written around the caches: large ones, in memory that has been touched.
//
// The kernel clears a page at its first touch, through the caches. Stores around the caches then have to drive out
// what it has just brought in: into fresh pages of 2 MiB they are two to three times as slow as plain ones, which
// find their lines there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qc {

// Whether what ends at `end`, of an output of `size` bytes, goes around the caches: beyond what the last-level cache of
// one core's share holds, and the last page is in memory, or the system does not say.
bool goes_around(std::size_t size, const std::uint8_t* end) noexcept;

}  // namespace qc
