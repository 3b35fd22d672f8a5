// pipeline/fused_table.hpp - loops in which symbols go from the coder's registers to entries of a codebook.
//
// As pipeline/fused.hpp, for quantizers with one table for the whole chunk.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/status.hpp"
#include "entropy/bloomier.hpp"
#include "entropy/rans_decode.hpp"
#include "pipeline/aside.hpp"
#include "pipeline/plane.hpp"
#include "quantize/quantizer.hpp"
#include "simd/isa.hpp"

namespace qc {

// Lines of 64 bytes that a byte of each element takes: 1, 2 or 4.
constexpr unsigned lines_of(unsigned bits) noexcept { return bits > 7 ? 4 : bits > 6 ? 2 : 1; }

// A table, byte plane by byte plane: byte k of element s at planes[256 * k + s].
struct PlaneTable {
    alignas(64) std::uint8_t planes[4 * 256];
    unsigned item = 0;   // bytes of an element: 2 or 4
    unsigned size = 0;   // symbols that are legal
    bool upper = false;  // lower halves of all elements are zero
    unsigned lines = 0;  // lines_of the symbols

    void fill(const SymbolTable& table, unsigned bits, unsigned bytes) noexcept;
};

// The next n symbols of a plain rANS stream of at least 64 lanes; of symbols packed at `in`.
using TableRansFn = Status (*)(rans::Stream& s, std::size_t n, const PlaneTable& table,
                               std::uint8_t* out) noexcept;
using TableUnpackFn = Status (*)(const std::uint8_t* in, unsigned bits, std::size_t n,
                                 const PlaneTable& table, std::uint8_t* out, const Aside& aside) noexcept;

using TableBloomierFn = Status (*)(bloomier::State& s, std::size_t n, const PlaneTable& table,
                                   std::uint8_t* out) noexcept;

// Null at levels that have no such loop.
extern const Variants<TableBloomierFn> table_bloomier;
extern const Variants<TableRansFn> table_rans;
extern const Variants<TableUnpackFn> table_unpack;

// With AVX2, for streams and tables for which takes_avx2: 128 lanes, no raw bits, two bytes of elements not zero.
Status table_rans_avx2(rans::Stream& s, std::size_t n, const PlaneTable& table, std::uint8_t* out) noexcept;
bool takes_avx2(const rans::Stream& s, const PlaneTable& table) noexcept;

// With AVX2, for tables of one line.
Status table_unpack_avx2(const std::uint8_t* in, unsigned bits, std::size_t n, const PlaneTable& table,
                         std::uint8_t* out, const Aside& aside) noexcept;

// Whether the plane, in the form it is stored in, has such a loop at the active level, and for this table.
bool can_look_up(const PlaneReader& reader) noexcept;
bool can_look_up(const PlaneReader& reader, const PlaneTable& table) noexcept;

// The same of packed symbols.
bool can_look_up(const PlaneTable& table) noexcept;

// The next n symbols of the plane to n elements at `out`. A symbol beyond the table is kCorrupt.
//   requires  can_look_up(reader, table), n a multiple of 256, and as for PlaneReader::next
Status table_next(PlaneReader& reader, std::size_t n, const PlaneTable& table,
                  std::uint8_t* out) noexcept;

}  // namespace qc
