#include "pipeline/tensor.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core/resident.hpp"
#include "core/xxh3.hpp"
#include "pipeline/stream_copy.hpp"

namespace qc {
namespace {

ChunkRange range_of(const TensorSpec& t, std::uint64_t chunk) noexcept {
    const std::uint64_t first = chunk * kChunk;
    return {first, static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, t.n - first))};
}

}  // namespace

Status Source::read(std::uint64_t offset, std::uint64_t length, Workspace& workspace,
                    std::span<const std::uint8_t>& bytes) const {
    if (descriptor < 0) {
        if (offset > memory.size() || length > memory.size() - offset) {
            return truncated("chunk: beyond the end of the data");
        }
        bytes = memory.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(length));
        return kOkStatus;
    }
    const auto wanted = static_cast<std::size_t>(length);
    std::uint8_t* const buffer = workspace.get(Workspace::kPayload, wanted);
    for (std::size_t got = 0; got < wanted;) {
        const ssize_t n = ::pread(descriptor, buffer + got, wanted - got,
                                  static_cast<off_t>(offset + got));
        if (n > 0) {
            got += static_cast<std::size_t>(n);
        } else if (n == 0) {
            return truncated("chunk: the file ends inside it", got);
        } else if (errno != EINTR) {
            return {Code::kIo, static_cast<std::uint64_t>(errno), "reading a chunk"};
        }
    }
    bytes = {buffer, wanted};
    return kOkStatus;
}

JobStatus encode_tensor(const TensorJob& job, const std::uint8_t* data, const Params& params,
                        std::uint64_t first, std::span<Buffer> out) {
    const std::size_t item = item_bytes(job.spec.dtype);
    return run_jobs(out.size(), job.threads, [&](std::size_t k, Workspace& workspace) {
        const ChunkRange range = range_of(job.spec, first + k);
        return encode_chunk(job.codec, job.spec, range, data + range.first * item, params,
                            workspace, out[k]);
    });
}

namespace {

// A range of a tensor that is decoded, chunk by chunk.
struct Decoding {
    const TensorJob& job;
    const Source& source;
    const ChunkTable& table;
    std::uint64_t begin;
    std::uint64_t end;
    bool verify;
    std::uint8_t* out;
    DType dtype;

    std::size_t item() const noexcept { return item_bytes(dtype); }
    // Whether elements up to `to` go around the caches: pages there that are new would be in them already.
    bool stream_stores(std::uint64_t to) const noexcept {
        return goes_around((end - begin) * item(), at(to));
    }
    std::uint8_t* at(std::uint64_t element) const noexcept { return out + (element - begin) * item(); }
    bool is_whole(ChunkRange range) const noexcept {
        return begin <= range.first && range.first + range.count <= end;
    }

    Status decode_one(std::uint64_t chunk, Workspace& workspace) const {
        const ChunkRange range = range_of(job.spec, chunk);
        std::span<const std::uint8_t> bytes;
        QC_TRY(source.read(table.offsets[chunk], table.lengths[chunk], workspace, bytes));
        const std::uint64_t from = std::max(begin, range.first);
        const std::uint64_t to = std::min<std::uint64_t>(end, range.first + range.count);
        Xxh3 hash(bytes, table.key ^ chunk);
        const bool stream = stream_stores(to);
        const Status status = decode_chunk(
            job.codec, job.spec, range, bytes, static_cast<std::size_t>(from - range.first),
            static_cast<std::size_t>(to - range.first), at(from), dtype, stream,
            verify ? &hash : nullptr, workspace);
        if (stream) stream_fence();
        // Whatever decoding found comes second to this.
        if (verify && hash.finish() != table.hashes[chunk]) return bad_hash();
        return status;
    }

    // Whole chunks at once; says nothing of which failed.
    Status decode_several(std::uint64_t first, unsigned count, Workspace& workspace) const {
        WholeChunk chunks[Workspace::kCompanions];
        for (unsigned k = 0; k < count; ++k) {
            const std::uint64_t chunk = first + k;
            const ChunkRange range = range_of(job.spec, chunk);
            chunks[k] = {{&job.spec, range}, {}, {at(range.first), dtype}, &workspace.companion(k)};
            std::span<const std::uint8_t>& bytes = chunks[k].bytes;
            QC_TRY(source.read(table.offsets[chunk], table.lengths[chunk], *chunks[k].workspace, bytes));
            if (verify && xxh3_64(bytes.data(), bytes.size(), table.key ^ chunk) != table.hashes[chunk]) {
                return bad_hash();
            }
        }
        const ChunkRange last = chunks[count - 1].part.range;
        const bool stream = stream_stores(last.first + last.count);
        const Status status = decode_abreast(job.codec, {chunks, count}, stream);
        if (stream) stream_fence();
        return status;
    }

    static Status bad_hash() noexcept { return corrupt("chunk: its hash differs from the index"); }
};

}  // namespace

JobStatus decode_tensor(const TensorJob& job, const Source& source, const ChunkTable& table,
                        std::uint64_t begin, std::uint64_t end, bool verify, std::uint8_t* out,
                        DType out_dtype) {
    if (begin >= end) return {};
    const Decoding decoding{job, source, table, begin, end, verify, out, out_dtype};
    const std::uint64_t first_chunk = begin / kChunk;
    const auto chunks = static_cast<std::size_t>((end - 1) / kChunk + 1 - first_chunk);
    const std::size_t share = chunks / std::max(job.threads, 1u);
    const std::size_t abreast =
        has_parts(job.codec, job.spec) ? std::clamp<std::size_t>(share, 1, Workspace::kCompanions) : 1;
    const std::size_t groups = (chunks + abreast - 1) / abreast;
    std::vector<std::size_t> bad(groups);
    JobStatus done = run_jobs(groups, job.threads, [&](std::size_t g, Workspace& workspace) {
        const std::size_t from = g * abreast;
        const auto count = static_cast<unsigned>(std::min(abreast, chunks - from));
        const auto is_whole = [&](std::size_t k) {
            return decoding.is_whole(range_of(job.spec, first_chunk + k));
        };
        if (count > 1 && is_whole(from) && is_whole(from + count - 1) &&
            decoding.decode_several(first_chunk + from, count, workspace).ok()) {
            return kOkStatus;
        }
        // One at a time, and the first bad one is named.
        for (std::size_t k = from; k < from + count; ++k) {
            bad[g] = k;
            QC_TRY(decoding.decode_one(first_chunk + k, workspace));
        }
        return kOkStatus;
    });
    if (!done.status.ok()) done.job = bad[done.job];
    return done;
}

Status decode_shared(const Codec& codec, std::span<const TensorSpec* const> specs,
                     std::span<const PartOutput> outputs, const Source& source, std::uint64_t offset,
                     std::uint64_t length, std::uint64_t hash, std::uint64_t seed, bool verify) {
    return run_jobs(1, 1, [&](std::size_t, Workspace& workspace) {
        std::span<const std::uint8_t> bytes;
        QC_TRY(source.read(offset, length, workspace, bytes));
        if (verify && xxh3_64(bytes.data(), bytes.size(), seed) != hash) {
            return corrupt("chunk: its hash differs from the index");
        }
        std::vector<Part> parts;
        for (const TensorSpec* spec : specs) {
            parts.push_back({spec, {0, static_cast<std::size_t>(spec->n)}});
        }
        return decode_parts(codec, parts, outputs, bytes, false, workspace);
    }).status;
}

}  // namespace qc
