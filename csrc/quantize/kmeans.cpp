// quantize/kmeans.cpp - values of a codebook: FORMAT.md, "kmeans". Codebooks are searched by the caller.
#include <bit>
#include <cmath>

#include "core/bytes.hpp"
#include "quantize/codebook.hpp"

namespace qc {
namespace {

constexpr std::uint8_t kWidth = 7;   // bits of the form: symbols' width less 1
constexpr std::uint8_t kShort = 8;   // entries have 16 bits
constexpr std::uint8_t kSizes = 16;  // one size for each codebook, not one for all

// Entries of all codebooks; false where some are not finite.
bool read_points(std::span<const std::uint8_t> raw, bool short_entries, std::size_t n,
                 float* points) noexcept {
    bool finite = true;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t bits =
            short_entries
                ? static_cast<std::uint32_t>(load<std::uint16_t>(raw.data() + 2 * i)) << 16
                : load<std::uint32_t>(raw.data() + 4 * i);
        finite &= (bits & 0x7F800000u) != 0x7F800000u;
        points[i] = std::bit_cast<float>(bits);
    }
    return finite;
}

bool ascending(const float* points, std::size_t n) noexcept {
    bool sorted = true;
    for (std::size_t i = 1; i < n; ++i) sorted &= points[i - 1] < points[i];
    return sorted;
}

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    std::uint8_t form = 0;
    QC_TRY(in.get(form, "kmeans: section"));
    if (form >= 2 * kSizes) return corrupt("kmeans: unknown form", in.at() - 1);
    const unsigned width = (form & kWidth) + 1u;
    const std::uint64_t books = range.entries(t);
    std::span<const std::uint8_t> sizes;
    QC_TRY(in.take((form & kSizes) != 0 ? books : 1, sizes, "kmeans: numbers of entries"));
    auto* const starts = workspace.get_as<std::uint32_t>(Workspace::kParams2, books + 1);
    std::uint32_t total = 0;
    for (std::uint64_t k = 0; k < books; ++k) {
        const unsigned size = sizes[sizes.size() > 1 ? k : 0] + 1u;
        if (size > t.most_entries || size > 1u << width) {
            return corrupt("kmeans: too many entries", in.at() - sizes.size());
        }
        starts[k] = total;
        total += size;
    }
    starts[books] = total;
    const bool short_entries = (form & kShort) != 0;
    std::span<const std::uint8_t> raw;
    QC_TRY(in.take(std::uint64_t{total} * (short_entries ? 2 : 4), raw, "kmeans: entries"));
    float* const points = workspace.get_as<float>(Workspace::kParams, total);
    bool legal = read_points(raw, short_entries, total, points);
    for (std::uint64_t k = 0; k < books; ++k) {
        legal &= ascending(points + starts[k], starts[k + 1] - starts[k]);
    }
    if (!legal) return corrupt("kmeans: entries are not finite and ascending", in.at() - raw.size());
    set_codebooks(state, books, points, starts, width);
    return kOkStatus;
}

constexpr QuantizerKernel kKmeans{.name = "kmeans",
                                  .id = 5,
                                  .open = open,
                                  .inverse = codebook_inverse,
                                  .table = codebook_table};
const RegisterQuantizer registered{kKmeans};

}  // namespace
}  // namespace qc
