#include "pipeline/order.hpp"

#include <algorithm>
#include <cstring>

#include "pipeline/profile_class.hpp"
#include "transform/dct.hpp"

namespace qc {
namespace {

constexpr int kNoBlock = kMaxBlock * kMaxBlock;  // the class of elements outside blocks

std::uint64_t first_row(const TensorSpec& t, ChunkRange range) noexcept {
    return range.first / (t.channels * t.positions);
}
std::uint64_t rows(const TensorSpec& t, ChunkRange range) noexcept {
    return (range.first + range.count - 1) / (t.channels * t.positions) - first_row(t, range) + 1;
}

// Sums of channel and position are made once for rows of up to so many elements.
constexpr std::size_t kLongRow = 1 << 16;

// Classes of n elements from `element` of the tensor on.
void profile_run(const TensorSpec& t, ChunkRange range, const std::uint8_t* codes,
                 std::uint64_t element, std::size_t n, std::uint8_t* out) noexcept {
    const std::uint8_t* const channel = codes + rows(t, range);
    const std::uint8_t* const position = channel + t.channels;
    const std::uint64_t row_length = t.channels * t.positions;
    std::uint64_t r = element / row_length - first_row(t, range);
    std::uint64_t at = element % row_length;
    std::uint8_t sums[kLongRow];
    const bool made = row_length <= kLongRow && row_length < n;
    for (std::uint64_t k = 0; made && k < row_length; ++k) {
        sums[k] = static_cast<std::uint8_t>(channel[k / t.positions] + position[k % t.positions]);
    }
    for (std::size_t i = 0; i < n; ++r, at = 0) {
        const auto m = static_cast<std::size_t>(std::min<std::uint64_t>(row_length - at, n - i));
        const unsigned row = codes[r];
        if (made) {
            for (std::size_t k = 0; k < m; ++k) out[i + k] = profile_class(row, sums[at + k]);
        } else {
            for (std::size_t k = 0; k < m; ++k) {
                const std::uint64_t e = at + k;
                out[i + k] = profile_class(row, channel[e / t.positions] + position[e % t.positions]);
            }
        }
        i += m;
    }
}

void profile_classes(const Part& part, const std::uint8_t* codes, std::uint8_t* out) noexcept {
    const TensorSpec& t = *part.spec;
    if (t.block == 0) {
        profile_run(t, part.range, codes, part.range.first, part.range.count, out);
        return;
    }
    const BlockGrid grid(t.block, t.columns, part.range.first, part.range.count);
    const std::size_t inside = grid.blocks() * grid.area();
    profile_run(t, part.range, codes, part.range.first + grid.row_of_block(0, 0), inside, out);
    grid.for_rest([&, to = out + inside](std::size_t at, std::size_t n) mutable {
        profile_run(t, part.range, codes, part.range.first + at, n, to);
        to += n;
    });
}

void position_classes(const Part& part, std::uint8_t* out) noexcept {
    const BlockGrid grid(part.spec->block, part.spec->columns, part.range.first, part.range.count);
    const std::size_t area = grid.area();
    for (std::size_t b = 0; b < grid.blocks(); ++b) {
        for (std::size_t p = 0; p < area; ++p) *out++ = static_cast<std::uint8_t>(p);
    }
    std::memset(out, kNoBlock, grid.rest());
}

// Where the elements of each class begin, in the order of classes.
std::array<std::uint32_t, 256> class_starts(const std::uint8_t* classes, std::size_t n) noexcept {
    // Four histograms: equal neighbours would wait for each other's store.
    std::uint32_t counts[4][256] = {};
    for (std::size_t i = 0; i < n; ++i) ++counts[i % 4][classes[i]];
    std::array<std::uint32_t, 256> starts;
    std::uint32_t at = 0;
    for (std::size_t c = 0; c < 256; ++c) {
        starts[c] = at;
        at += counts[0][c] + counts[1][c] + counts[2][c] + counts[3][c];
    }
    return starts;
}

}  // namespace

bool is_ordered(const QuantizerKernel& quantizer, const TensorSpec& t) noexcept {
    return t.profile || t.block != 0 || quantizer.classes != nullptr;
}

std::uint64_t profile_codes(const TensorSpec& t, ChunkRange range) noexcept {
    return t.profile ? rows(t, range) + t.channels + t.positions : 0;
}

void element_classes(const QuantizerKernel& quantizer, const Part& part, const std::uint8_t* codes,
                     std::uint8_t* out) noexcept {
    if (part.spec->profile) {
        profile_classes(part, codes, out);
    } else if (part.spec->block != 0) {
        position_classes(part, out);
    } else if (quantizer.classes != nullptr) {
        quantizer.classes(*part.spec, part.range, out);
    } else {
        std::memset(out, kNoBlock, part.range.count);
    }
}

void coding_order(std::span<const std::uint8_t> classes, std::int64_t* order) noexcept {
    std::array<std::uint32_t, 256> cursors = class_starts(classes.data(), classes.size());
    for (std::size_t i = 0; i < classes.size(); ++i) order[cursors[classes[i]]++] = static_cast<std::int64_t>(i);
}

OrderedReader::OrderedReader(const std::uint8_t* classes, std::size_t n) noexcept
    : classes_(classes), cursors_(class_starts(classes, n)) {}

void OrderedReader::next(const std::uint8_t* const* planes, unsigned count, std::size_t n,
                         std::uint8_t* const* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t at = cursors_[classes_[i]]++;
        for (unsigned k = 0; k < count; ++k) out[k][i] = planes[k][at];
    }
    classes_ += n;
}

}  // namespace qc
