// entropy/rans_escapes.hpp - escaped symbols of a plain rANS stream: FORMAT.md, "rans".
#pragma once

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "entropy/rans_decode.hpp"

namespace qc::rans {

// The list of escaped symbols, and how many bytes the escapes take.
//   order   of ranked escapes: FORMAT.md, "rans"
Status open_escapes(Stream& s, ByteReader& in, unsigned symbol_bits, bool ranked, unsigned order,
                    std::uint64_t& bytes) noexcept;

// At least a block of escapes waits, or all that are left.
Status keep_escapes(Stream& s) noexcept;

}  // namespace qc::rans
