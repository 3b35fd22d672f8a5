#include "pipeline/block_output.hpp"

#include <algorithm>

#include "pipeline/stream_copy.hpp"

namespace qc {

Status BlockOutput::put(const Codec& codec, const TensorSpec& t, ChunkRange range, ChunkState& state,
                        const std::uint8_t* const* planes, std::size_t at, std::size_t n,
                        Workspace& workspace) {
    const QuantizerKernel& quantizer = *codec.quantizer;
    if (staging_ == nullptr) {
        QC_TRY(quantizer.inverse(t, range, state, planes, at, n, at_, dtype_, workspace));
        skip(n);
        return kOkStatus;
    }
    const bool whole = quantizer.next_plane != nullptr;
    const std::uint8_t* piece[Workspace::kPlanes];
    for (std::size_t i = 0; i < n; i += kPiece) {
        const std::size_t m = std::min(kPiece, n - i);
        for (unsigned k = 0; k < state.planes; ++k) piece[k] = whole ? planes[k] : planes[k] + i;
        QC_TRY(quantizer.inverse(t, range, state, piece, at + i, m, staging_, dtype_, workspace));
        stream_copy.pick()(at_, staging_, m * item_);
        skip(m);
    }
    return kOkStatus;
}

}  // namespace qc
