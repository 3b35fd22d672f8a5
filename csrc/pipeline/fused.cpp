#include "pipeline/fused.hpp"

namespace qc {

bool can_fuse(const PlaneReader& reader) noexcept {
    return reader.mode() == StreamMode::kStored && fused_unpack.pick() != nullptr;
}

Status fused_next(PlaneReader& reader, std::size_t n, const Runs& runs, std::uint8_t* out,
                  DType to) noexcept {
    fused_unpack.pick()(reader.packed(), reader.bits(), n, runs, out, to);
    reader.advance(n);
    return kOkStatus;
}

}  // namespace qc
