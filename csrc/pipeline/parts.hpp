// pipeline/parts.hpp - chunks that hold the elements of several tensors, or symbols in another order, or
// coefficients of a transform: everything that is not one plain run of elements (pipeline/chunk.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.hpp"
#include "core/workspace.hpp"
#include "pipeline/codec.hpp"
#include "pipeline/order.hpp"

namespace qc {

struct PartOutput {
    std::uint8_t* at;  // null: the part is checked, and goes nowhere
    DType dtype;
};

// All elements of all parts of a chunk. Runs on untrusted bytes.
//   requires  parts not empty, together at most kChunk elements; outputs as many      [binding]
Status decode_parts(const Codec& codec, std::span<const Part> parts,
                    std::span<const PartOutput> outputs, std::span<const std::uint8_t> bytes,
                    bool stream_stores, Workspace& workspace);

// Whether a tensor's chunks are decoded so although each is its own.
bool has_parts(const Codec& codec, const TensorSpec& t) noexcept;

// A chunk of one tensor, with a workspace that no other has.
struct WholeChunk {
    Part part;
    std::span<const std::uint8_t> bytes;
    PartOutput output;
    Workspace* workspace;
};

// At most Workspace::kCompanions chunks for which has_parts, whose streams are decoded side by side. A failure does not
// say which of them is bad.
Status decode_abreast(const Codec& codec, std::span<const WholeChunk> chunks, bool stream_stores);

}  // namespace qc
