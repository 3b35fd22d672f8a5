#include "pipeline/parts.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/bytes.hpp"
#include "pipeline/block_output.hpp"
#include "pipeline/fused.hpp"
#include "pipeline/fused_table.hpp"
#include "pipeline/stream_copy.hpp"
#include "pipeline/symbols.hpp"
#include "quantize/floats.hpp"
#include "quantize/lookup.hpp"
#include "transform/dct.hpp"
#include "transform/deinterleave.hpp"

namespace qc {
namespace {

struct Target {
    std::uint8_t* at;
    DType dtype;
    std::size_t item;
    bool stream_stores;

    void put(std::size_t element, const float* values, std::size_t n) const {
        if (dtype == DType::kF32 && stream_stores) {
            stream_copy.pick()(at + element * item, reinterpret_cast<const std::uint8_t*>(values), n * item);
        } else {
            from_f32.pick()(values, n, at + element * item, dtype);
        }
    }
};

// The loops that take packed symbols take those in memory as well, as if they were of 8 bits.
class FusedOutput {
public:
    FusedOutput(const QuantizerKernel& quantizer, const Part& part, ChunkState& state, const Target& to,
                Workspace& workspace)
        : quantizer_(quantizer), part_(part), state_(state), to_(to) {
        if (!to.stream_stores || !fuses(to.dtype) || state.planes != 1 || quantizer.next_plane != nullptr) return;
        fusing_ = fused_unpack.pick() != nullptr && quantizer.runs != nullptr;
        SymbolTable elements{};
        if (table_unpack.pick() == nullptr || quantizer.table == nullptr) return;
        if (!quantizer.table(state, to.dtype, workspace, elements)) return;
        table_.fill(elements, state.bits[0], static_cast<unsigned>(to.item));
        tabling_ = can_look_up(table_);
    }

    bool may_take() const noexcept { return fusing_ || tabling_; }

    // Elements [at, at + n), where a loop takes them: else nothing happens, and `done` is false.
    Status put(const std::uint8_t* symbols, std::size_t at, std::size_t n, const Aside& aside,
               bool& done) const noexcept {
        Runs runs;
        std::uint8_t* const out = to_.at + at * to_.item;
        done = may_take() && (state_.escapes.empty() || std::memchr(symbols, 0, n) == nullptr);
        if (!done) return kOkStatus;
        if (fusing_ && quantizer_.runs(*part_.spec, part_.range, state_, at, runs) && fuses(runs, n)) {
            fused_unpack.pick()(symbols, 8, n, runs, out, to_.dtype, aside);
            return kOkStatus;
        }
        done = tabling_ && n % 256 == 0;
        if (!done) return kOkStatus;
        QC_TRY(table_unpack.pick()(symbols, 8, n, table_, out, aside));
        if (quantizer_.patch != nullptr) quantizer_.patch(state_, at, n, out, to_.dtype);
        return kOkStatus;
    }

private:
    const QuantizerKernel& quantizer_;
    const Part& part_;
    const ChunkState& state_;
    const Target& to_;
    bool fusing_ = false;
    bool tabling_ = false;
    PlaneTable table_;
};

Status decode_plain(const Codec& codec, const Part& part, Symbols& symbols, ChunkState& state,
                    const Target& to, Workspace& workspace) {
    BlockOutput output(*codec.quantizer, *part.spec, state, to.at, to.dtype, to.stream_stores, workspace);
    const FusedOutput fused(*codec.quantizer, part, state, to, workspace);
    // Each call of a loop ends with part of a line.
    const std::size_t step = fused.may_take() ? kTogether : kBlock;
    for (std::size_t at = 0; at < part.range.count; at += step) {
        const std::size_t n = std::min(step, part.range.count - at);
        const std::uint8_t* const* const planes = symbols.next(n);
        bool done = false;
        QC_TRY(fused.put(planes[0], at, n, symbols.aside(), done));
        if (done) {
            output.skip(n);
            continue;
        }
        for (std::size_t i = 0; i < n; i += kBlock) {
            const std::uint8_t* from[Workspace::kPlanes];
            for (unsigned k = 0; k < state.planes; ++k) from[k] = planes[k] + i;
            QC_TRY(output.put(codec, *part.spec, part.range, state, from, at + i, std::min(kBlock, n - i), workspace));
        }
    }
    return kOkStatus;
}

// From rows, position by position, to where the blocks are.
void put_blocks(const BlockGrid& grid, std::size_t b, std::size_t blocks, const float* rows, std::size_t stride,
                const Target& to, float* values) {
    if (grid.consecutive()) {
        interleave_rows(rows, stride, grid.area(), blocks, values);
        to.put(grid.row_of_block(b, 0), values, blocks * grid.area());
        return;
    }
    const std::size_t side = grid.side();
    for (std::size_t done = 0; done < blocks;) {
        const std::size_t n = std::min(grid.left_in_band(b + done), blocks - done);
        for (unsigned r = 0; r < side; ++r) {
            interleave_rows(rows + r * side * stride + done, stride, side, n, values);
            to.put(grid.row_of_block(b + done, r), values, n * side);
        }
        done += n;
    }
}

Status decode_blocks(const Codec& codec, const Part& part, Symbols& symbols, ChunkState& state,
                     const Target& to, Workspace& workspace) {
    const BlockGrid grid(part.spec->block, part.spec->columns, part.range.first, part.range.count);
    const std::size_t area = grid.area();
    // Few lines at a time go to memory while the next are made; those of a matrix come as pieces of rows.
    const std::size_t step = (grid.consecutive() ? kTogether / 4 : kTogether) / area / 16 * 16;
    const std::size_t stride = step + kRowPad;
    const std::size_t turned_stride = (step + 63) & ~std::size_t{63};
    float* const values =
        workspace.get_as<float>(Workspace::kCoefficients, kTogether + stride * area + turned_stride * area / sizeof(float));
    float* const rows = values + kTogether;
    auto* const turned = reinterpret_cast<std::uint8_t*>(rows + stride * area);
    const auto dequantize = [&](const std::uint8_t* const* from, std::size_t at, std::size_t n,
                                float* out) {
        return codec.quantizer->inverse(*part.spec, part.range, state, from, at, n,
                                        reinterpret_cast<std::uint8_t*>(out), DType::kF32, workspace);
    };
    SymbolTable table{};
    const bool by_row = !symbols.by_position() && state.planes == 1 && state.escapes.empty() &&
                        (state.pointwise || (codec.quantizer->table != nullptr &&
                                             codec.quantizer->table(state, DType::kF32, workspace, table)));
    std::optional<Deinterleave> deinterleave;
    if (by_row) deinterleave.emplace(static_cast<unsigned>(area));
    for (std::size_t b = 0; b < grid.blocks(); b += step) {
        const std::size_t n = std::min(step, grid.blocks() - b);
        if (symbols.by_position()) {
            for (std::size_t p = 0; p < area; ++p) {
                const std::uint8_t* const* const run = symbols.run(p * grid.blocks() + b);
                if (state.pointwise) {
                    QC_TRY(dequantize(run, 0, n, rows + p * stride));
                } else {
                    codec.quantizer->inverse_every(*part.spec, part.range, state, run[0], b * area + p, area, n,
                                                   rows + p * stride);
                }
            }
        } else if (by_row) {
            (*deinterleave)(symbols.next(n * area)[0], n, turned, turned_stride);
            for (std::size_t p = 0; p < area; ++p) {
                const std::uint8_t* const run = turned + p * turned_stride;
                if (state.pointwise) {
                    QC_TRY(dequantize(&run, 0, n, rows + p * stride));
                } else {
                    lookup.pick()(run, state.bits[0], n, table.elements, sizeof(float),
                                  reinterpret_cast<std::uint8_t*>(rows + p * stride));
                }
            }
            state.for_patched(b * area, (b + n) * area, [&](std::size_t, std::size_t element) {
                float* const to = rows + element % area * stride + element / area - b;
                codec.quantizer->patch(state, element, 1, reinterpret_cast<std::uint8_t*>(to), DType::kF32);
            });
        } else {
            QC_TRY(dequantize(symbols.next(n * area), b * area, n * area, values));
            for (std::size_t p = 0; p < area; ++p) {
                for (std::size_t k = 0; k < n; ++k) rows[p * stride + k] = values[k * area + p];
            }
        }
        inverse_dct_rows(rows, stride, grid.side(), n);
        put_blocks(grid, b, n, rows, stride, to, values);
    }
    Status status;
    std::size_t at = grid.blocks() * area;
    grid.for_rest([&](std::size_t element, std::size_t count) {
        for (std::size_t i = 0; i < count && status.ok(); i += kBlock) {
            const std::size_t n = std::min(kBlock, count - i);
            const auto* from = symbols.by_position() ? symbols.run(at) : symbols.next(n);
            status = dequantize(from, at, n, values);
            if (status.ok()) to.put(element + i, values, n);
            at += n;
        }
    });
    return status;
}

// What becomes of the symbols of a chunk. Sections are read a second time, each just before its part: only one is kept
// at a time.
Status put_parts(const Codec& codec, std::span<const Part> parts, std::span<const PartOutput> outputs,
                 std::span<const std::uint8_t> bytes, Symbols& symbols, bool stream_stores, Workspace& workspace) {
    ByteReader sections(bytes);
    ChunkState one;
    for (std::size_t k = 0; k < parts.size(); ++k) {
        const Part& part = parts[k];
        QC_TRY(codec.quantizer->open(*part.spec, part.range, sections, workspace, one));
        PartOutput output = outputs[k];
        const std::size_t item = item_bytes(output.dtype);
        if (output.at == nullptr) output.at = workspace.get(Workspace::kPartial, part.range.count * item);
        const Target to{output.at, output.dtype, item, stream_stores};
        QC_TRY(part.spec->block != 0 ? decode_blocks(codec, part, symbols, one, to, workspace)
                                     : decode_plain(codec, part, symbols, one, to, workspace));
        QC_TRY(codec.quantizer->close(one));
    }
    return kOkStatus;
}

}  // namespace

bool has_parts(const Codec& codec, const TensorSpec& t) noexcept {
    return is_ordered(*codec.quantizer, t) || codec.quantizer->next_plane != nullptr;
}

Status decode_parts(const Codec& codec, std::span<const Part> parts,
                    std::span<const PartOutput> outputs, std::span<const std::uint8_t> bytes,
                    bool stream_stores, Workspace& workspace) {
    if (parts.size() > 1 && codec.quantizer->next_plane != nullptr) {
        return corrupt("chunk: a quantizer that takes no tensors together");
    }
    Symbols symbols(codec, parts, bytes, workspace);
    Symbols* const alone = &symbols;
    QC_TRY(Symbols::read({&alone, 1}));
    return put_parts(codec, parts, outputs, bytes, symbols, stream_stores, workspace);
}

Status decode_abreast(const Codec& codec, std::span<const WholeChunk> chunks, bool stream_stores) {
    std::optional<Symbols> symbols[Workspace::kCompanions];
    Symbols* all[Workspace::kCompanions];
    for (std::size_t k = 0; k < chunks.size(); ++k) {
        const WholeChunk& c = chunks[k];
        all[k] = &symbols[k].emplace(codec, std::span(&c.part, 1), c.bytes, *c.workspace);
    }
    QC_TRY(Symbols::read({all, chunks.size()}));
    for (std::size_t k = 0; k < chunks.size(); ++k) {
        const WholeChunk& c = chunks[k];
        QC_TRY(put_parts(codec, {&c.part, 1}, {&c.output, 1}, c.bytes, *all[k], stream_stores, *c.workspace));
    }
    return kOkStatus;
}

}  // namespace qc
