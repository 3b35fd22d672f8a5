#include "pipeline/parts.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/bytes.hpp"
#include "pipeline/block_output.hpp"
#include "pipeline/plane.hpp"
#include "pipeline/profile_rows.hpp"
#include "pipeline/stream_copy.hpp"
#include "quantize/floats.hpp"
#include "transform/dct.hpp"

namespace qc {
namespace {

constexpr unsigned kProfileBits = 6;

// Floats of the blocks that are transformed together: rows and what becomes of them stay in L2, and a row is a few
// lines long, which memory brings faster than as many lines from all over.
constexpr std::size_t kTogether = 16384;
constexpr std::size_t kRowPad = 16;  // rows a power of two apart would share sets of the cache
static_assert(kTogether >= kBlock);

std::size_t total(std::span<const Part> parts) noexcept {
    std::size_t n = 0;
    for (const Part& part : parts) n += part.range.count;
    return n;
}

// Sections of all parts: passes over them, and says how wide the planes are.
Status pass_sections(const Codec& codec, std::span<const Part> parts, ByteReader& in,
                     Workspace& workspace, ChunkState& state) {
    for (std::size_t k = 0; k < parts.size(); ++k) {
        const ChunkState before = state;
        QC_TRY(codec.quantizer->open(*parts[k].spec, parts[k].range, in, workspace, state));
        if (k == 0) continue;
        if (state.planes != before.planes ||
            !std::equal(state.bits, state.bits + state.planes, before.bits)) {
            return corrupt("chunk: its tensors have symbols of different widths", in.at());
        }
    }
    return kOkStatus;
}

// The profile of the chunk: codes of all parts, if any has some.
Status read_profile(const Codec& codec, std::span<const Part> parts, ByteReader& in, Workspace& workspace,
                    const std::uint8_t*& profile) {
    std::uint64_t codes = 0;
    for (const Part& part : parts) codes += profile_codes(*part.spec, part.range);
    if (codes > kChunk) return corrupt("chunk: a profile of more than 2^20 codes", in.at());
    profile = nullptr;
    if (codes == 0) return kOkStatus;
    std::uint8_t* const to = workspace.get(Workspace::kConvert, static_cast<std::size_t>(codes));
    profile = to;
    return read_whole_stream(in, *codec.coder, static_cast<std::size_t>(codes), kProfileBits, workspace, to);
}

void fill_classes(const Codec& codec, std::span<const Part> parts, const std::uint8_t* profile,
                  std::uint8_t* classes) {
    for (const Part& part : parts) {
        element_classes(*codec.quantizer, part, profile, classes);
        profile += profile_codes(*part.spec, part.range);
        classes += part.range.count;
    }
}

// Symbols of the chunk, block by block, whatever their order.
class Symbols {
public:
    Status open(const Codec& codec, std::span<const Part> parts, ByteReader& in,
                Workspace& workspace, ChunkState& state) {
        const std::size_t n = total(parts);
        planes_ = state.planes;
        whole_ = codec.quantizer->next_plane != nullptr;
        quantizer_ = codec.quantizer;
        part_ = &parts[0];
        const std::uint8_t* classes = nullptr;
        std::optional<ProfileRows> rows;
        const auto ordered = [&](const Part& p) { return is_ordered(*codec.quantizer, *p.spec); };
        const bool alone = parts.size() == 1 && !part_->spec->profile;
        in_blocks_ = alone && part_->spec->block != 0;
        by_position_ = in_blocks_ && state.pointwise;
        gathers_ = alone && part_->spec->block == 0 && codec.quantizer->gather != nullptr;
        if (in_blocks_ || gathers_) {
            // What stands where needs no list of classes.
        } else if (std::any_of(parts.begin(), parts.end(), ordered)) {
            const std::uint8_t* profile = nullptr;
            QC_TRY(read_profile(codec, parts, in, workspace, profile));
            if (parts.size() == 1 && ProfileRows::fits(*part_->spec)) {
                rows.emplace(*part_, profile, workspace);
            } else {
                std::uint8_t* const made = workspace.get(Workspace::kClasses, n);
                fill_classes(codec, parts, profile, made);
                classes = made;
            }
        }
        // Vectors are filled up, so planes of their own lengths may be longer than the chunk.
        const std::size_t most = whole_ ? n + kPlaneSlack : n;
        std::uint8_t* symbols = workspace.get(Workspace::kSymbols, planes_ * most + kPlaneSlack);
        for (unsigned k = 0; k < planes_; ++k, symbols += most) {
            std::size_t count = n;
            unsigned bits = state.bits[k];
            if (whole_) {
                QC_TRY(codec.quantizer->next_plane(*parts[0].spec, parts[0].range, state, k, plane_,
                                                   count, bits));
                if (count > std::min(most, kChunk)) return corrupt("chunk: a plane of too many symbols", in.at());
            }
            plane_[k] = symbols;
            if (count > 0) QC_TRY(read_whole_stream(in, *codec.coder, count, bits, workspace, symbols));
        }
        if (rows) {
            std::uint8_t* put = workspace.get(Workspace::kGather, planes_ * n);
            for (unsigned k = 0; k < planes_; ++k, put += n) {
                rows->reorder(plane_[k], put);
                plane_[k] = put;
            }
        }
        if (classes != nullptr) {
            ordered_ = true;
            reader_ = OrderedReader(classes, n);
        }
        if (ordered_ || gathers_ || in_blocks_) {
            std::uint8_t* const gather = workspace.get(Workspace::kGather, planes_ * kTogether);
            for (unsigned k = 0; k < planes_; ++k) gathered_[k] = gather + k * kTogether;
        }
        return kOkStatus;
    }

    // The next n <= kTogether symbols of each plane; whole planes where `inverse` wants those.
    const std::uint8_t* const* next(std::size_t n) noexcept {
        if (ordered_) {
            reader_.next(plane_, planes_, n, gathered_);
            return gathered_;
        }
        if (whole_) return plane_;
        if (in_blocks_) return next_blocks(n);
        if (gathers_) {
            for (unsigned k = 0; k < planes_; ++k) {
                quantizer_->gather(*part_->spec, part_->range, plane_[k], taken_, n, gathered_[k]);
            }
            taken_ += n;
            return gathered_;
        }
        for (unsigned k = 0; k < planes_; ++k) {
            at_[k] = plane_[k];
            plane_[k] += n;
        }
        return at_;
    }

    // Whether planes stand position by position, and where so: symbols of a run of one of them.
    bool by_position() const noexcept { return by_position_; }
    const std::uint8_t* const* run(std::size_t first) noexcept {
        for (unsigned k = 0; k < planes_; ++k) at_[k] = plane_[k] + first;
        return at_;
    }

private:
    // Whole blocks, or what is outside of them.
    const std::uint8_t* const* next_blocks(std::size_t n) noexcept {
        const TensorSpec& t = *part_->spec;
        const BlockGrid grid(t.block, t.columns, part_->range.first, part_->range.count);
        const std::size_t area = grid.area();
        const std::size_t first = taken_ / area;
        taken_ += n;
        for (unsigned k = 0; k < planes_; ++k) {
            if (first >= grid.blocks()) {
                at_[k] = plane_[k] + taken_ - n;
                continue;
            }
            at_[k] = gathered_[k];
            for (std::size_t p = 0; p < area; ++p) {
                const std::uint8_t* const from = plane_[k] + p * grid.blocks() + first;
                for (std::size_t b = 0; b < n / area; ++b) gathered_[k][b * area + p] = from[b];
            }
        }
        return at_;
    }

    const QuantizerKernel* quantizer_ = nullptr;
    const Part* part_ = nullptr;
    unsigned planes_ = 0;
    std::size_t taken_ = 0;
    bool whole_ = false;
    bool ordered_ = false;
    bool in_blocks_ = false;    // planes stand position by position
    bool by_position_ = false;  // and may be taken so
    bool gathers_ = false;
    const std::uint8_t* plane_[Workspace::kPlanes] = {};
    const std::uint8_t* at_[Workspace::kPlanes] = {};
    std::uint8_t* gathered_[Workspace::kPlanes] = {};
    OrderedReader reader_{nullptr, 0};
};

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

Status decode_plain(const Codec& codec, const Part& part, Symbols& symbols, ChunkState& state,
                    const Target& to, Workspace& workspace) {
    BlockOutput output(*codec.quantizer, *part.spec, state, to.at, to.dtype, to.stream_stores, workspace);
    for (std::size_t at = 0; at < part.range.count; at += kBlock) {
        const std::size_t n = std::min(kBlock, part.range.count - at);
        QC_TRY(output.put(codec, *part.spec, part.range, state, symbols.next(n), at, n, workspace));
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
    const std::size_t step = kTogether / area / 16 * 16;
    const std::size_t stride = step + kRowPad;
    float* const values = workspace.get_as<float>(Workspace::kCoefficients, kTogether + stride * area);
    float* const rows = values + kTogether;
    const auto dequantize = [&](const std::uint8_t* const* from, std::size_t at, std::size_t n,
                                float* out) {
        return codec.quantizer->inverse(*part.spec, part.range, state, from, at, n,
                                        reinterpret_cast<std::uint8_t*>(out), DType::kF32, workspace);
    };
    for (std::size_t b = 0; b < grid.blocks(); b += step) {
        const std::size_t n = std::min(step, grid.blocks() - b);
        if (symbols.by_position()) {
            for (std::size_t p = 0; p < area; ++p) {
                QC_TRY(dequantize(symbols.run(p * grid.blocks() + b), 0, n, rows + p * stride));
            }
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

}  // namespace

Status decode_parts(const Codec& codec, std::span<const Part> parts,
                    std::span<const PartOutput> outputs, std::span<const std::uint8_t> bytes,
                    bool stream_stores, Workspace& workspace) {
    if (parts.size() > 1 && codec.quantizer->next_plane != nullptr) {
        return corrupt("chunk: a quantizer that takes no tensors together");
    }
    ByteReader in(bytes);
    ChunkState state;
    QC_TRY(pass_sections(codec, parts, in, workspace, state));
    Symbols symbols;
    QC_TRY(symbols.open(codec, parts, in, workspace, state));
    if (in.left() != 0) return corrupt("chunk: bytes after the last stream", in.at());

    // Sections are read a second time, each just before its part: only one is kept at a time.
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

}  // namespace qc
