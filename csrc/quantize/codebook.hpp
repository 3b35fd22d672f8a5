// quantize/codebook.hpp - symbols that are places in lists of values: what `kmeans` and `ternary` share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/status.hpp"
#include "core/workspace.hpp"
#include "quantize/quantizer.hpp"

namespace qc {

// As QuantizerKernel::inverse, where state.points and state.starts hold one codebook for each entry
// of the chunk. A symbol that its codebook does not have is kCorrupt.
Status codebook_inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
                        const std::uint8_t* const* planes, std::size_t at, std::size_t n,
                        std::uint8_t* out, DType out_dtype, Workspace& workspace) noexcept;

// What `open` says of a plane of `width` bits whose symbols are places in `books` codebooks.
inline void set_codebooks(ChunkState& state, std::uint64_t books, const float* points,
                          const std::uint32_t* starts, unsigned width) noexcept {
    state.entries = books;
    state.points = points;
    state.starts = starts;
    state.width = width;
    state.planes = 1;
    state.bits[0] = width;
    state.table = nullptr;
}

// As QuantizerKernel::table, for chunks of one codebook.
bool codebook_table(ChunkState& state, DType to, Workspace& workspace, SymbolTable& table) noexcept;


}  // namespace qc
