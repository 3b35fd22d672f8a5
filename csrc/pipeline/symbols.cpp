#include "pipeline/symbols.hpp"

#include <algorithm>

#include "transform/dct.hpp"

namespace qc {
namespace {

constexpr unsigned kProfileBits = 6;
static_assert(Workspace::kCompanions == rans::kMostAbreast);

}  // namespace

Symbols::Symbols(const Codec& codec, std::span<const Part> parts, std::span<const std::uint8_t> bytes,
                 Workspace& workspace)
    : codec_(codec), parts_(parts), workspace_(workspace), in_(bytes) {
    for (const Part& part : parts) count_ += part.range.count;
}

// Sections of all parts: passes over them, and says how wide the planes are.
Status Symbols::pass_sections() {
    for (std::size_t k = 0; k < parts_.size(); ++k) {
        const ChunkState before = state_;
        QC_TRY(codec_.quantizer->open(*parts_[k].spec, parts_[k].range, in_, workspace_, state_));
        if (k == 0) continue;
        if (state_.planes != before.planes ||
            !std::equal(state_.bits, state_.bits + state_.planes, before.bits)) {
            return corrupt("chunk: its tensors have symbols of different widths", in_.at());
        }
    }
    return kOkStatus;
}

// The profile of the chunk: codes of all parts, if any has some.
Status Symbols::read_profile(const std::uint8_t*& profile) {
    std::uint64_t codes = 0;
    for (const Part& part : parts_) codes += profile_codes(*part.spec, part.range);
    if (codes > kChunk) return corrupt("chunk: a profile of more than 2^20 codes", in_.at());
    profile = nullptr;
    if (codes == 0) return kOkStatus;
    std::uint8_t* const to = workspace_.get(Workspace::kConvert, static_cast<std::size_t>(codes));
    profile = to;
    return read_whole_stream(in_, *codec_.coder, static_cast<std::size_t>(codes), kProfileBits, workspace_, to);
}

void Symbols::fill_classes(const std::uint8_t* profile, std::uint8_t* classes) const {
    for (const Part& part : parts_) {
        element_classes(*codec_.quantizer, part, profile, classes);
        profile += profile_codes(*part.spec, part.range);
        classes += part.range.count;
    }
}

Status Symbols::open() {
    QC_TRY(pass_sections());
    planes_ = state_.planes;
    whole_ = codec_.quantizer->next_plane != nullptr;
    const Part& first = parts_[0];
    const bool alone = parts_.size() == 1 && !first.spec->profile;
    in_blocks_ = alone && first.spec->block != 0;
    const bool every = codec_.quantizer->inverse_every != nullptr && state_.planes == 1 && state_.escapes.empty();
    by_position_ = in_blocks_ && (state_.pointwise || every);
    gathers_ = alone && first.spec->block == 0 && codec_.quantizer->gather != nullptr;
    const auto ordered = [&](const Part& p) { return is_ordered(*codec_.quantizer, *p.spec); };
    if (in_blocks_ || gathers_) {
        // What stands where needs no list of classes.
    } else if (std::any_of(parts_.begin(), parts_.end(), ordered)) {
        const std::uint8_t* profile = nullptr;
        QC_TRY(read_profile(profile));
        if (parts_.size() == 1 && ProfileRows::fits(*first.spec)) {
            rows_.emplace(first, profile, workspace_);
        } else {
            std::uint8_t* const made = workspace_.get(Workspace::kClasses, count_);
            fill_classes(profile, made);
            classes_ = made;
        }
    }
    // Vectors are filled up, so planes of their own lengths may be longer than the chunk.
    most_ = whole_ ? count_ + kPlaneSlack : count_;
    room_ = workspace_.get(Workspace::kSymbols, planes_ * most_ + kPlaneSlack);
    return kOkStatus;
}

Status Symbols::open_plane(unsigned k, WholePlane& plane) {
    std::size_t count = count_;
    unsigned bits = state_.bits[k];
    if (whole_) {
        QC_TRY(codec_.quantizer->next_plane(*parts_[0].spec, parts_[0].range, state_, k, plane_, count, bits));
        if (count > std::min(most_, kChunk)) return corrupt("chunk: a plane of too many symbols", in_.at());
    }
    plane = {&reader_, count, room_};
    plane_[k] = room_;
    room_ += most_;
    if (count == 0) return kOkStatus;
    return reader_.open(in_, *codec_.coder, count, bits, workspace_, Workspace::kState0);
}

Status Symbols::close() {
    if (rows_ && planes_ == 1 && parts_[0].spec->block == 0) {
        rows_->open(plane_[0], kTogether, workspace_);
        in_rows_ = true;
    } else if (rows_) {
        std::uint8_t* put = workspace_.get(Workspace::kGather, planes_ * count_);
        for (unsigned k = 0; k < planes_; ++k, put += count_) {
            rows_->reorder(plane_[k], put);
            plane_[k] = put;
        }
    }
    if (classes_ != nullptr) ordered_.emplace(classes_, count_);
    if (ordered_ || gathers_ || in_blocks_) {
        std::uint8_t* const gather = workspace_.get(Workspace::kGather, planes_ * kTogether);
        for (unsigned k = 0; k < planes_; ++k) gathered_[k] = gather + k * kTogether;
    }
    if (in_.left() != 0) return corrupt("chunk: bytes after the last stream", in_.at());
    return kOkStatus;
}

Status Symbols::read(std::span<Symbols* const> chunks) {
    unsigned planes = 0;
    for (Symbols* chunk : chunks) {
        QC_TRY(chunk->open());
        planes = std::max(planes, chunk->planes_);
    }
    for (unsigned k = 0; k < planes; ++k) {
        WholePlane opened[Workspace::kCompanions];
        std::size_t n = 0;
        for (Symbols* chunk : chunks) {
            if (k >= chunk->planes_) continue;
            QC_TRY(chunk->open_plane(k, opened[n]));
            n += opened[n].n > 0;
        }
        QC_TRY(read_planes({opened, n}));
    }
    for (Symbols* chunk : chunks) QC_TRY(chunk->close());
    return kOkStatus;
}

const std::uint8_t* const* Symbols::next(std::size_t n) noexcept {
    if (ordered_) {
        ordered_->next(plane_, planes_, n, gathered_);
        return gathered_;
    }
    if (whole_) return plane_;
    if (in_rows_) {
        at_[0] = rows_->next(n);
        return at_;
    }
    if (in_blocks_) return next_blocks(n);
    if (gathers_) {
        for (unsigned k = 0; k < planes_; ++k) {
            codec_.quantizer->gather(*parts_[0].spec, parts_[0].range, plane_[k], taken_, n, gathered_[k]);
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

const std::uint8_t* const* Symbols::run(std::size_t first) noexcept {
    for (unsigned k = 0; k < planes_; ++k) at_[k] = plane_[k] + first;
    return at_;
}

// Whole blocks, or what is outside of them.
const std::uint8_t* const* Symbols::next_blocks(std::size_t n) noexcept {
    const TensorSpec& t = *parts_[0].spec;
    const BlockGrid grid(t.block, t.columns, parts_[0].range.first, parts_[0].range.count);
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

}  // namespace qc
