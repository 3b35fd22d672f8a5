// pipeline/plane.hpp - one symbol plane of a chunk: a stream that lives in a workspace slot.
#pragma once

#include <cstddef>

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "entropy/coder.hpp"
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

// A stream of n symbols to `out`, all at once.
Status read_whole_stream(ByteReader& in, const CoderKernel& coder, std::size_t n, unsigned bits,
                         Workspace& workspace, std::uint8_t* out);

}  // namespace qc
