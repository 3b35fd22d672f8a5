// pipeline/plane.hpp - one symbol plane of a chunk: a stream that lives in a workspace slot.
#pragma once

#include <cstddef>
#include <span>

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "entropy/coder.hpp"
#include "entropy/rans_decode.hpp"
#include "entropy/stream.hpp"

namespace qc {

class PlaneReader : public StreamReader {
public:
    Status open(ByteReader& in, const CoderKernel& coder, std::size_t count, unsigned bits,
                Workspace& workspace, std::size_t slot) {
        return StreamReader::open(in, coder, count, bits,
                                  workspace.get(slot, memory_bytes(coder)));
    }
};

// The plain `rans` stream of at least 64 lanes behind a plane, if it is one; along a trellis only if wanted.
rans::Stream* rans_stream(const PlaneReader& reader, bool or_trellis = false) noexcept;

// Symbols of a plane that was just opened, all n of them.
struct WholePlane {
    PlaneReader* reader;
    std::size_t n;
    std::uint8_t* out;
};

// Reads planes to their ends, those that can side by side. At most rans::kMostAbreast of them.
Status read_planes(std::span<WholePlane> planes);

// A stream of n symbols to `out`, all at once.
Status read_whole_stream(ByteReader& in, const CoderKernel& coder, std::size_t n, unsigned bits,
                         Workspace& workspace, std::uint8_t* out);

}  // namespace qc
