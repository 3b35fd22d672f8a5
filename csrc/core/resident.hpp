// core/resident.hpp - whether memory has been touched.
//
// The kernel clears a page at its first touch, through the caches. Stores around the caches then have to drive out
// what it has just brought in: into fresh pages of 2 MiB they are two to three times as slow as plain ones, which
// find their lines there.
#pragma once

namespace qc {

// Whether the page of `at` is in memory. True where the system does not say.
bool is_resident(const void* at) noexcept;

}  // namespace qc
