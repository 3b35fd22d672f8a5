#include "transform/dct.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "simd/isa.hpp"

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
                    const double angle = std::numbers::pi * ((2 * i + 1) * u) / (2.0 * k);
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
[[gnu::always_inline]] inline void sum(const float (&a)[k][kSide], Basis basis,
                                       float (&out)[kSide]) noexcept {
    for (std::size_t s = 0; s < kSide; ++s) out[s] = a[0][s] * basis(0);
    for (unsigned j = 1; j < k; ++j) {
        for (std::size_t s = 0; s < kSide; ++s) out[s] += a[j][s] * basis(j);
    }
}

// Up to kSide blocks: coefficient p of block s from in[s * block + p * position] to out[s * k * k + p].
template <unsigned k, bool kInverse>
[[gnu::always_inline]] inline void transform_side(const float* in, std::size_t block,
                                                  std::size_t position, std::size_t n,
                                                  float* out) noexcept {
    const auto& b = bases.b[k];
    float x[k][k][kSide];
    float t[k][k][kSide];
    if (block == 1 && n == kSide) {
        for (unsigned p = 0; p < k * k; ++p) {
            std::memcpy(x[p / k][p % k], in + p * position, sizeof x[0][0]);
        }
    } else {
        std::memset(x, 0, sizeof x);
        for (std::size_t s = 0; s < n; ++s) {
            for (unsigned p = 0; p < k * k; ++p) x[p / k][p % k][s] = in[s * block + p * position];
        }
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
        for (unsigned p = 0; p < k * k; ++p) out[s * k * k + p] = x[p / k][p % k][s];
    }
}

struct Layout {
    std::size_t block;     // from a coefficient to that of the next block
    std::size_t position;  // and of the next position
};

template <unsigned k, bool kInverse>
[[gnu::always_inline]] inline void transform_blocks(const float* in, Layout layout,
                                                    std::size_t blocks, float* out) noexcept {
    for (std::size_t at = 0; at < blocks; at += kSide) {
        transform_side<k, kInverse>(in + at * layout.block, layout.block, layout.position,
                                    std::min(kSide, blocks - at), out + at * k * k);
    }
}

template <bool kInverse>
[[gnu::always_inline]] inline void transform_all(const float* in, Layout layout, unsigned k,
                                                 std::size_t blocks, float* out) noexcept {
    switch (k) {
        case 2: transform_blocks<2, kInverse>(in, layout, blocks, out); break;
        case 3: transform_blocks<3, kInverse>(in, layout, blocks, out); break;
        case 4: transform_blocks<4, kInverse>(in, layout, blocks, out); break;
        case 5: transform_blocks<5, kInverse>(in, layout, blocks, out); break;
        case 6: transform_blocks<6, kInverse>(in, layout, blocks, out); break;
        case 7: transform_blocks<7, kInverse>(in, layout, blocks, out); break;
        default: transform_blocks<8, kInverse>(in, layout, blocks, out); break;
    }
}

using TransformFn = void (*)(const float* in, Layout layout, unsigned k, std::size_t blocks,
                             bool inverse, float* out);

[[gnu::always_inline]] inline void transform_either(const float* in, Layout layout, unsigned k,
                                                    std::size_t blocks, bool inverse,
                                                    float* out) noexcept {
    if (inverse) {
        transform_all<true>(in, layout, k, blocks, out);
    } else {
        transform_all<false>(in, layout, k, blocks, out);
    }
}

void transform_portable(const float* in, Layout layout, unsigned k, std::size_t blocks, bool inverse,
                        float* out) {
    transform_either(in, layout, k, blocks, inverse, out);
}
#if QC_X86
#pragma GCC push_options
#pragma GCC target("avx2")
void transform_avx2(const float* in, Layout layout, unsigned k, std::size_t blocks, bool inverse,
                    float* out) {
    transform_either(in, layout, k, blocks, inverse, out);
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
void transform_avx512(const float* in, Layout layout, unsigned k, std::size_t blocks, bool inverse,
                      float* out) {
    transform_either(in, layout, k, blocks, inverse, out);
}
#pragma GCC pop_options
constinit const Variants<TransformFn> transform{transform_portable, transform_avx2,
                                                transform_avx512};
#else
constinit const Variants<TransformFn> transform{transform_portable};
#endif

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
    transform.pick()(data, {std::size_t{k} * k, 1}, k, blocks, true, data);
}
void inverse_dct_rows(const float* rows, std::size_t stride, unsigned k, std::size_t blocks,
                      float* out) noexcept {
    transform.pick()(rows, {1, stride}, k, blocks, true, out);
}
void forward_dct(float* data, unsigned k, std::size_t blocks) noexcept {
    transform.pick()(data, {std::size_t{k} * k, 1}, k, blocks, false, data);
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
