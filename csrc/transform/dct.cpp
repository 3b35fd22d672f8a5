#include "transform/dct.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

namespace qc {
namespace {

// [k][u][i]: the float32 nearest to sqrt((u == 0 ? 1 : 2) / k) * cos(pi (2i + 1) u / 2k). No exact value lies
// near enough to the middle of two float32 for the double to decide otherwise (tests/transform).
struct Bases {
    std::array<std::array<std::array<float, kMaxBlock>, kMaxBlock>, kMaxBlock + 1> b{};

    Bases() noexcept {
        for (unsigned k = 1; k <= kMaxBlock; ++k) {
            for (unsigned u = 0; u < k; ++u) {
                for (unsigned i = 0; i < k; ++i) {
                    const unsigned turn = (2 * i + 1) * u;  // of 4k
                    if (turn % (2 * k) == k) continue;  // exactly zero, which cos(pi / 2) is not
                    const double angle = std::numbers::pi * turn / (2.0 * k);
                    b[k][u][i] = static_cast<float>(std::sqrt((u == 0 ? 1.0 : 2.0) / k) * std::cos(angle));
                }
            }
        }
    }
};
const Bases bases;

// Blocks that go through the sums side by side: a vector register of each coefficient.
constexpr std::size_t kSide = 16;

// Lane-wise sum over j of a[j] * basis[j], in this order, without fused operations.
template <unsigned k, class Basis>
void sum(const float (&a)[k][kSide], Basis basis, float (&out)[kSide]) noexcept {
    for (std::size_t s = 0; s < kSide; ++s) out[s] = a[0][s] * basis(0);
    for (unsigned j = 1; j < k; ++j) {
        for (std::size_t s = 0; s < kSide; ++s) out[s] += a[j][s] * basis(j);
    }
}

template <unsigned k, bool kInverse>
void transform_side(float* data, std::size_t n) noexcept {
    const auto& b = bases.b[k];
    float x[k][k][kSide] = {};
    float t[k][k][kSide];
    for (std::size_t s = 0; s < n; ++s) {
        for (unsigned p = 0; p < k * k; ++p) x[p / k][p % k][s] = data[s * k * k + p];
    }
    for (unsigned u = 0; u < k; ++u) {
        for (unsigned j = 0; j < k; ++j) {
            sum<k>(x[u], [&](unsigned v) { return kInverse ? b[v][j] : b[j][v]; }, t[j][u]);
        }
    }
    for (unsigned i = 0; i < k; ++i) {
        for (unsigned j = 0; j < k; ++j) {
            sum<k>(t[j], [&](unsigned u) { return kInverse ? b[u][i] : b[i][u]; }, x[i][j]);
        }
    }
    for (std::size_t s = 0; s < n; ++s) {
        for (unsigned p = 0; p < k * k; ++p) data[s * k * k + p] = x[p / k][p % k][s];
    }
}

template <unsigned k, bool kInverse>
void transform_blocks(float* data, std::size_t blocks) noexcept {
    for (std::size_t at = 0; at < blocks; at += kSide) {
        transform_side<k, kInverse>(data + at * k * k, std::min(kSide, blocks - at));
    }
}

template <bool kInverse>
void transform(float* data, unsigned k, std::size_t blocks) noexcept {
    switch (k) {
        case 2: transform_blocks<2, kInverse>(data, blocks); break;
        case 3: transform_blocks<3, kInverse>(data, blocks); break;
        case 4: transform_blocks<4, kInverse>(data, blocks); break;
        case 5: transform_blocks<5, kInverse>(data, blocks); break;
        case 6: transform_blocks<6, kInverse>(data, blocks); break;
        case 7: transform_blocks<7, kInverse>(data, blocks); break;
        case 8: transform_blocks<8, kInverse>(data, blocks); break;
        default: break;  // one element is its own transform
    }
}

}  // namespace

BlockGrid::BlockGrid(unsigned k, std::uint64_t columns, std::uint64_t first,
                     std::size_t count) noexcept
    : k_(k), columns_(static_cast<std::size_t>(columns)), count_(count) {
    const std::uint64_t unit = columns == 0 ? area() : columns;
    head_ = static_cast<std::size_t>(std::min<std::uint64_t>((unit - first % unit) % unit, count));
    const std::size_t units = (count - head_) / static_cast<std::size_t>(unit);
    if (columns == 0) {
        blocks_ = units;
    } else {
        across_ = columns_ / k;
        blocks_ = units / k * across_;
    }
}

void inverse_dct(float* data, unsigned k, std::size_t blocks) noexcept {
    transform<true>(data, k, blocks);
}
void forward_dct(float* data, unsigned k, std::size_t blocks) noexcept {
    transform<false>(data, k, blocks);
}

void forward_dct(const float* in, const BlockGrid& grid, float* out) noexcept {
    const unsigned k = grid.side();
    if (grid.consecutive()) {
        std::memcpy(out, in + grid.row_of_block(0, 0), grid.blocks() * grid.area() * sizeof(float));
    } else {
        for (std::size_t b = 0; b < grid.blocks(); ++b) {
            for (unsigned r = 0; r < k; ++r) {
                std::memcpy(out + b * grid.area() + r * k, in + grid.row_of_block(b, r), k * sizeof(float));
            }
        }
    }
    forward_dct(out, k, grid.blocks());
    float* to = out + grid.blocks() * grid.area();
    grid.for_rest([&](std::size_t at, std::size_t n) {
        std::memcpy(to, in + at, n * sizeof(float));
        to += n;
    });
}

}  // namespace qc
