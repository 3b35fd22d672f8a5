// pipeline/block_output.hpp - where a chunk's elements go: straight to the caller's array, or around the caches.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/status.hpp"
#include "core/workspace.hpp"
#include "pipeline/codec.hpp"
#include "quantize/quantizer.hpp"

namespace qc {

class BlockOutput {
public:
    // Elements that go through the staging buffer at a time: symbols, floats and their copy stay in L1.
    static constexpr std::size_t kPiece = 2048;

    // Says to `state` who streams.
    BlockOutput(const QuantizerKernel& quantizer, const TensorSpec& t, ChunkState& state, std::uint8_t* out,
                DType dtype, bool stream_stores, Workspace& workspace)
        : at_(out), dtype_(dtype), item_(item_bytes(dtype)) {
        state.stream_stores = stream_stores && quantizer.streams != nullptr && quantizer.streams(t, state, dtype);
        if (stream_stores && !state.stream_stores) staging_ = workspace.get(Workspace::kStaging, kPiece * item_);
    }

    std::uint8_t* at() const noexcept { return at_; }
    void skip(std::size_t elements) noexcept { at_ += elements * item_; }

    // Elements [at, at + n) of the chunk, by the quantizer. `planes` are whole where it wants those, else begin with
    // element `at`.
    Status put(const Codec& codec, const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, Workspace& workspace);

private:
    std::uint8_t* at_;
    DType dtype_;
    std::size_t item_;
    std::uint8_t* staging_ = nullptr;
};

}  // namespace qc
