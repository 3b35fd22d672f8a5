// pipeline/chunk.hpp - one chunk: quantizer section, symbol streams, and the block loop between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "core/xxh3.hpp"
#include "pipeline/codec.hpp"
#include "quantize/quantizer.hpp"

namespace qc {

// Elements range of the tensor, at `data`, to the bytes of a chunk.
Status encode_chunk(const Codec& codec, const TensorSpec& t, ChunkRange range,
                    const std::uint8_t* data, const Params& params, Workspace& workspace,
                    Buffer& chunk);

// Elements [begin, end) of the chunk's range, counted within it, to `out`. Runs on untrusted bytes.
// Takes `hash`, of the chunk, along with it, if there is one; what it has not reached is the caller's.
//   requires  begin < end <= range.count                                              [binding]
//   fails     kCorrupt, kTruncated; a range that ends before the chunk leaves the rest unchecked
Status decode_chunk(const Codec& codec, const TensorSpec& t, ChunkRange range,
                    std::span<const std::uint8_t> bytes, std::size_t begin, std::size_t end,
                    std::uint8_t* out, DType out_dtype, bool stream_stores, Xxh3* hash,
                    Workspace& workspace);

}  // namespace qc
