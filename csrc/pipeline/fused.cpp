#include "pipeline/fused.hpp"

#include <algorithm>

#include "pipeline/fused_table.hpp"

namespace qc {
namespace {

bloomier::State* windows(const PlaneReader& reader) noexcept {
    const bool is_bloomier = reader.mode() == StreamMode::kCoded && reader.coder().id == bloomier::kId;
    return is_bloomier ? static_cast<bloomier::State*>(reader.state()) : nullptr;
}

}  // namespace

// What is neither stored nor in a coder's registers is read again from where the coder left it in L1, as if stored in
// 8 bits.
bool can_fuse(const PlaneReader& reader) noexcept {
    return rans_stream(reader) != nullptr ? fused_rans.pick() != nullptr : fused_unpack.pick() != nullptr;
}

std::size_t fused_step(std::span<const PlaneReader> planes) noexcept {
    const bool lower_in_memory = std::all_of(planes.begin() + 1, planes.end(), [](const PlaneReader& plane) {
        return plane.mode() == StreamMode::kStored && plane.bits() == 8;
    });
    const PlaneReader& first = planes[0];
    // The last window of a step is written alone, so they take many.
    if (windows(first) != nullptr && fused_bloomier.pick() != nullptr) return 4 * kFusedStep;
    const bool takes_more = first.mode() == StreamMode::kStored || rans_stream(first, true) != nullptr;
    return lower_in_memory && takes_more ? kFusedStep : kBlock;
}

bool can_look_up(const PlaneReader& reader) noexcept {
    return rans_stream(reader, true) != nullptr ? table_rans.pick() != nullptr : table_unpack.pick() != nullptr;
}

bool can_look_up(const PlaneTable& table) noexcept {
#if QC_X86
    return table_unpack.pick() != table_unpack_avx2 || table.lines == 1;
#else
    (void)table;
    return true;
#endif
}

bool can_look_up(const PlaneReader& reader, const PlaneTable& table) noexcept {
    if (!can_look_up(reader)) return false;
#if QC_X86
    if (const rans::Stream* stream = rans_stream(reader, true); stream != nullptr) {
        return table_rans.pick() != table_rans_avx2 || takes_avx2(*stream, table);
    }
#endif
    return can_look_up(table);
}

bool can_merge(const PlaneReader& first, std::size_t bytes) noexcept {
    return (bytes == 2 || bytes == 4) && rans_stream(first) != nullptr &&
           fused_merge.pick() != nullptr;
}

Status merge_next(PlaneReader& first, std::size_t n, const std::uint8_t* const* lower,
                  std::size_t bytes, std::uint8_t* out) noexcept {
    QC_TRY(fused_merge.pick()(*rans_stream(first), n, lower, bytes, out));
    rans::advance(first.state(), n);
    return kOkStatus;
}

Status fused_next(PlaneReader& reader, std::size_t n, const Runs& runs, std::uint8_t* out,
                  DType to) noexcept {
    if (rans::Stream* stream = rans_stream(reader); stream != nullptr) {
        QC_TRY(fused_rans.pick()(*stream, n, runs, out, to));
        rans::advance(reader.state(), n);
        return kOkStatus;
    }
    if (bloomier::State* state = windows(reader); state != nullptr && fused_bloomier.pick() != nullptr) {
        return fused_bloomier.pick()(*state, n, runs, out, to);
    }
    if (reader.mode() != StreamMode::kStored) {
        const std::uint8_t* symbols = nullptr;
        QC_TRY(reader.next(n, &symbols));
        fused_unpack.pick()(symbols, 8, n, runs, out, to, {});
        return kOkStatus;
    }
    fused_unpack.pick()(reader.packed(), reader.bits(), n, runs, out, to, {});
    reader.advance(n);
    return kOkStatus;
}

Status table_next(PlaneReader& reader, std::size_t n, const PlaneTable& table,
                  std::uint8_t* out) noexcept {
    if (rans::Stream* stream = rans_stream(reader, true); stream != nullptr) {
        QC_TRY(table_rans.pick()(*stream, n, table, out));
        rans::advance(reader.state(), n);
        return kOkStatus;
    }
    if (bloomier::State* state = windows(reader); state != nullptr && table_bloomier.pick() != nullptr) {
        return table_bloomier.pick()(*state, n, table, out);
    }
    if (reader.mode() != StreamMode::kStored) {
        const std::uint8_t* symbols = nullptr;
        QC_TRY(reader.next(n, &symbols));
        return table_unpack.pick()(symbols, 8, n, table, out, {});
    }
    QC_TRY(table_unpack.pick()(reader.packed(), reader.bits(), n, table, out, {}));
    reader.advance(n);
    return kOkStatus;
}

}  // namespace qc
