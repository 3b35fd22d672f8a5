#include "pipeline/chunk.hpp"

#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "entropy/bitpack.hpp"
#include "pipeline/block_output.hpp"
#include "pipeline/fused.hpp"
#include "pipeline/fused_groups.hpp"
#include "pipeline/fused_table.hpp"
#include "pipeline/parts.hpp"
#include "pipeline/plane.hpp"

namespace qc {

Status encode_chunk(const Codec& codec, const TensorSpec& t, ChunkRange range,
                    const std::uint8_t* data, const Params& params, Workspace& workspace,
                    Buffer& chunk) {
    ChunkSymbols made;
    QC_TRY(codec.quantizer->symbols(t, range, data, params, workspace, made));
    std::size_t most = made.section.size();
    for (unsigned k = 0; k < made.planes; ++k) most += 2 + packed_bytes(range.count, made.bits[k]);
    std::uint8_t* const out = chunk.reserve(most);
    if (!made.section.empty()) std::memcpy(out, made.section.data(), made.section.size());
    std::size_t at = made.section.size();
    for (unsigned k = 0; k < made.planes; ++k) {
        at += put_stream(made.symbols[k], range.count, made.bits[k], *codec.coder, workspace,
                         out + at);
    }
    chunk.resize(at);
    return kOkStatus;
}

Status decode_chunk(const Codec& codec, const TensorSpec& t, ChunkRange range,
                    std::span<const std::uint8_t> bytes, std::size_t begin, std::size_t end,
                    std::uint8_t* out, DType out_dtype, bool stream_stores, Xxh3* hash,
                    Workspace& workspace) {
    if (has_parts(codec, t)) {
        const Part part{&t, range};
        const std::size_t size = item_bytes(out_dtype);
        const bool whole = begin == 0 && end == range.count;
        std::uint8_t* const all = whole ? out : workspace.get(Workspace::kPartial, range.count * size);
        const PartOutput all_out{all, out_dtype};
        QC_TRY(decode_parts(codec, {&part, 1}, {&all_out, 1}, bytes, stream_stores && whole, workspace));
        if (!whole) std::memcpy(out, all + begin * size, (end - begin) * size);
        return kOkStatus;
    }
    ByteReader in(bytes);
    ChunkState state;
    QC_TRY(codec.quantizer->open(t, range, in, workspace, state));
    PlaneReader readers[Workspace::kPlanes];
    std::size_t last_stream = 0;
    for (unsigned k = 0; k < state.planes; ++k) {
        last_stream = in.at();
        QC_TRY(readers[k].open(in, *codec.coder, range.count, state.bits[k], workspace,
                               Workspace::kState0 + k));
    }
    if (in.left() != 0) return corrupt("chunk: bytes after the last stream", in.at());

    const std::size_t item = item_bytes(out_dtype);
    BlockOutput output(*codec.quantizer, t, state, out, out_dtype, stream_stores, workspace);
    const std::uint8_t* planes[Workspace::kPlanes];
    Runs runs;
    const bool may_fuse = stream_stores && fuses(out_dtype) && state.planes == 1 && state.escapes.empty();
    const bool fusing = may_fuse && can_fuse(readers[0]) && codec.quantizer->runs != nullptr &&
                        codec.quantizer->runs(t, range, state, 0, runs);
    PlaneTable table;
    SymbolTable elements{};
    bool tabling = may_fuse && can_look_up(readers[0]) && codec.quantizer->table != nullptr &&
                         codec.quantizer->table(state, out_dtype, workspace, elements);
    if (tabling) {
        table.fill(elements, state.bits[0], static_cast<unsigned>(item));
        tabling = can_look_up(readers[0], table);
    }
    GroupRuns groups{};
    const bool grouping = may_fuse && can_look_up_groups(readers[0], t) && codec.quantizer->group_tables != nullptr &&
                          codec.quantizer->group_tables(state, out_dtype, workspace, groups.tables);
    if (grouping) {
        groups.lines = lines_of(state.bits[0]);
        groups.item = static_cast<unsigned>(item);
        groups.entries = range.entries(t);
        groups.inner = t.inner;
    }
    const std::size_t word = item_bytes(t.dtype);
    const bool merging = stream_stores && out_dtype == t.dtype &&
                         codec.quantizer->rotated_planes != nullptr &&
                         codec.quantizer->rotated_planes(t) && can_merge(readers[0], word);
    const auto loop_takes = [&](std::size_t at, std::size_t n) {
        if (at < begin || at + n > end) return false;
        if (fusing) return codec.quantizer->runs(t, range, state, at, runs) && fuses(runs, n);
        return (tabling || grouping || merging) && n % 256 == 0;
    };
    // Only loops take more than a block: readers have room for one.
    const std::size_t step = fused_step({readers, state.planes});
    for (std::size_t at = 0, n = 0; at < end; at += n) {
        const bool takes_step = loop_takes(at, step);
        n = takes_step ? step : std::min(kBlock, range.count - at);
        // About what the block reads of the last stream.
        if (hash != nullptr) {
            hash->advance(last_stream + (bytes.size() - last_stream) * (at + n) / range.count);
        }
        if (at + n <= begin && !state.sequential) {
            for (unsigned k = 0; k < state.planes; ++k) QC_TRY(readers[k].skip(n));
            continue;
        }
        if (takes_step || loop_takes(at, n)) {
            if (fusing) {
                QC_TRY(fused_next(readers[0], n, runs, output.at(), out_dtype));
            } else if (tabling || grouping) {
                if (tabling) {
                    QC_TRY(table_next(readers[0], n, table, output.at()));
                } else {
                    groups.entry = range.entry(t, range.first + at);
                    groups.left = t.inner - (range.first + at) % t.inner;
                    QC_TRY(groups_next(readers[0], n, groups, output.at()));
                }
                if (codec.quantizer->patch != nullptr) {
                    codec.quantizer->patch(state, at, n, output.at(), out_dtype);
                }
            } else {
                for (unsigned k = 1; k < state.planes; ++k) QC_TRY(readers[k].next(n, &planes[k]));
                QC_TRY(merge_next(readers[0], n, planes + 1, word, output.at()));
            }
            output.skip(n);
            continue;
        }
        for (unsigned k = 0; k < state.planes; ++k) QC_TRY(readers[k].next(n, &planes[k]));
        const std::size_t from = std::max(at, begin);
        const std::size_t to = std::min(at + n, end);
        if (from == at && to == at + n) {
            QC_TRY(output.put(codec, t, range, state, planes, at, n, workspace));
            continue;
        }
        // Part of a block, or none of it where the quantizer must see every symbol.
        std::uint8_t* whole = workspace.get(Workspace::kPartial, kBlock * item);
        QC_TRY(codec.quantizer->inverse(t, range, state, planes, at, n, whole, out_dtype,
                                        workspace));
        if (from < to) {
            std::memcpy(output.at(), whole + (from - at) * item, (to - from) * item);
            output.skip(to - from);
        }
    }
    if (end < range.count) return kOkStatus;
    for (unsigned k = 0; k < state.planes; ++k) QC_TRY(readers[k].finish());
    return codec.quantizer->close(state);
}

}  // namespace qc
