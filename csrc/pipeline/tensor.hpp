// pipeline/tensor.hpp - the chunk loop over a whole tensor, or a range of one, on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.hpp"
#include "core/threads.hpp"
#include "pipeline/chunk.hpp"
#include "pipeline/parts.hpp"

namespace qc {

// Where the chunks of a tensor lie, and what their hashes must be.
struct ChunkTable {
    const std::uint64_t* offsets;
    const std::uint64_t* lengths;
    const std::uint64_t* hashes;
    std::uint64_t key;  // FORMAT.md, "Tensor table": codec key xor tensor number * 2^32
};

// The bytes of a file: in memory, or behind a descriptor, read chunk by chunk.
struct Source {
    std::span<const std::uint8_t> memory;
    int descriptor = -1;

    // `length` bytes at `offset`, in memory or in the workspace.
    Status read(std::uint64_t offset, std::uint64_t length, Workspace& workspace,
                std::span<const std::uint8_t>& bytes) const;
};

struct TensorJob {
    Codec codec;
    TensorSpec spec;
    unsigned threads = 1;
};

// Chunks [first, first + out.size()) of the tensor at `data`; data is the tensor's first element.
JobStatus encode_tensor(const TensorJob& job, const std::uint8_t* data, const Params& params,
                        std::uint64_t first, std::span<Buffer> out);

// Elements [begin, end) to `out`. The job number of a failure counts from the first chunk read.
JobStatus decode_tensor(const TensorJob& job, const Source& source, const ChunkTable& table,
                        std::uint64_t begin, std::uint64_t end, bool verify, std::uint8_t* out,
                        DType out_dtype);

// One chunk that several tensors share, each with its whole output (FORMAT.md, "Shared chunks").
Status decode_shared(const Codec& codec, std::span<const TensorSpec* const> specs,
                     std::span<const PartOutput> outputs, const Source& source, std::uint64_t offset,
                     std::uint64_t length, std::uint64_t hash, std::uint64_t seed, bool verify);

}  // namespace qc
