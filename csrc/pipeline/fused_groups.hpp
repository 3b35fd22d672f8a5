// pipeline/fused_groups.hpp - loops in which symbols go from the coder's registers to the table of their group.
//
// As pipeline/fused_table.hpp, for quantizers whose groups have tables of their own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/status.hpp"
#include "entropy/rans_decode.hpp"
#include "pipeline/plane.hpp"
#include "quantize/quantizer.hpp"
#include "simd/isa.hpp"

namespace qc {

// Tables of the elements to come: entry after entry, each for `inner` of them, the first for `left`.
//   requires  inner and left multiples of 64
struct GroupRuns {
    GroupTables tables;
    unsigned lines;  // that a byte of each element takes: 1, 2 or 4
    unsigned item;   // bytes of an element: 2 or 4
    std::uint64_t entries;
    std::uint64_t entry;
    std::uint64_t inner;
    std::uint64_t left;
};

// The next n symbols of a plain rANS stream of at least 64 lanes.
using GroupRansFn = Status (*)(rans::Stream& s, std::size_t n, const GroupRuns& runs, std::uint8_t* out) noexcept;

// Null at levels that have no such loop.
extern const Variants<GroupRansFn> group_rans;

// Whether such a loop takes the plane, in the form it is stored in, for groups of a tensor.
bool can_look_up_groups(const PlaneReader& reader, const TensorSpec& t) noexcept;

// The next n symbols of the plane to n elements at `out`.
//   requires  can_look_up_groups(reader, t), n a multiple of 256, and as for PlaneReader::next
Status groups_next(PlaneReader& reader, std::size_t n, const GroupRuns& runs, std::uint8_t* out) noexcept;

}  // namespace qc
