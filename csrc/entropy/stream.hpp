// entropy/stream.hpp - symbols however they are stored: FORMAT.md, "Chunk", the modes of a stream.
//
// A plane of a chunk is a stream, and a coder may nest others in its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "entropy/coder.hpp"

namespace qc {

enum class StreamMode : std::uint8_t { kStored = 0, kConstant = 1, kCoded = 2 };

// Hands out the symbols of a stream block by block, under the rules of CoderKernel::next.
class StreamReader {
public:
    static std::size_t memory_bytes(const CoderKernel& coder) noexcept {
        return std::max(kBlock, coder.state_bytes);
    }

    // Reads the stream's header and payload from `in`. The payload outlives the reader, and so does
    // `memory`: memory_bytes(coder), aligned to 64.
    Status open(ByteReader& in, const CoderKernel& coder, std::size_t count, unsigned bits,
                std::uint8_t* memory) noexcept;

    Status next(std::size_t n, const std::uint8_t** symbols) noexcept;
    Status skip(std::size_t n) noexcept;
    Status finish() noexcept;

    // For loops that fuse (pipeline/fused.hpp): they read on from here and say how far they went.
    StreamMode mode() const noexcept { return mode_; }
    const std::uint8_t* packed() const noexcept { return payload_.data() + at_ / 8 * bits_; }
    unsigned bits() const noexcept { return bits_; }
    const CoderKernel& coder() const noexcept { return *coder_; }
    void* state() const noexcept { return memory_; }
    void advance(std::size_t n) noexcept { at_ += n; }

private:
    StreamMode mode_ = StreamMode::kStored;
    const CoderKernel* coder_ = nullptr;
    std::span<const std::uint8_t> payload_;
    std::size_t at_ = 0;         // symbols handed out; a multiple of 8 until the last block
    unsigned bits_ = 0;
    std::uint8_t* memory_ = nullptr;  // kBlock symbols, or the coder's state
};

// Appends the stream of n symbols to `out`, in the smallest of its modes.
//   requires  out has room for 1 + packed_bytes(n, bits) bytes
//   returns   bytes written
std::size_t put_stream(const std::uint8_t* symbols, std::size_t n, unsigned bits,
                       const CoderKernel& coder, Workspace& workspace, std::uint8_t* out);

}  // namespace qc
