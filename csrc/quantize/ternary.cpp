// quantize/ternary.cpp - 3LC's three values: FORMAT.md, "ternary". The caller chooses symbols.
#include <bit>

#include "core/bytes.hpp"
#include "quantize/codebook.hpp"

namespace qc {
namespace {

Status open(const TensorSpec&, ChunkRange, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    std::uint32_t bits = 0;
    QC_TRY(in.get(bits, "ternary: scale"));
    if (bits >= 0x7F800000u) return corrupt("ternary: scale", in.at() - 4);
    const float scale = std::bit_cast<float>(bits);
    float* const points = workspace.get_as<float>(Workspace::kParams, 3);
    points[0] = -scale;
    points[1] = 0.0f;
    points[2] = scale;
    auto* const starts = workspace.get_as<std::uint32_t>(Workspace::kParams2, 2);
    starts[0] = 0;
    starts[1] = 3;
    set_codebooks(state, 1, points, starts, 2);
    return kOkStatus;
}

constexpr QuantizerKernel kTernary{.name = "ternary",
                                   .id = 6,
                                   .open = open,
                                   .inverse = codebook_inverse,
                                   .table = codebook_table};
const RegisterQuantizer registered{kTernary};

}  // namespace
}  // namespace qc
