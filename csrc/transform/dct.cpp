#include "transform/dct.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "simd/isa.hpp"

#if QC_X86
#include <immintrin.h>
#endif

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

// Rows have room for a multiple of so many blocks.
constexpr std::size_t kSide = 16;

// Blocks that go through the sums side by side, a lane each: as many as a register of the target holds.
template <std::size_t kLanes>
struct Vector {
    typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
};

// Sum over j of a[j] * basis[j], in this order, without fused operations.
template <unsigned k, class Lanes, class Basis>
[[gnu::always_inline]] inline void sum(const Lanes (&a)[k], Basis basis, Lanes& out) noexcept {
    out = a[0] * basis(0);
    for (unsigned j = 1; j < k; ++j) out += a[j] * basis(j);
}

// Coefficient p of block s lies at rows[p * stride + s]; `blocks` is a multiple of kSide.
template <unsigned k, bool kInverse, std::size_t kLanes>
[[gnu::always_inline]] inline void transform_rows(float* rows, std::size_t stride,
                                                  std::size_t blocks) noexcept {
    using Lanes = typename Vector<kLanes>::Lanes;
    const auto& b = bases.b[k];
    for (std::size_t s = 0; s < blocks; s += kLanes) {
        Lanes t[k][k];
        for (unsigned u = 0; u < k; ++u) {
            Lanes x[k];
            for (unsigned v = 0; v < k; ++v) std::memcpy(&x[v], rows + (u * k + v) * stride + s, sizeof(Lanes));
            for (unsigned j = 0; j < k; ++j) {
                sum<k, Lanes>(x, [&](unsigned v) { return kInverse ? b[v][j] : b[j][v]; }, t[j][u]);
            }
        }
        for (unsigned j = 0; j < k; ++j) {
            Lanes x;
            for (unsigned i = 0; i < k; ++i) {
                sum<k, Lanes>(t[j], [&](unsigned u) { return kInverse ? b[u][i] : b[i][u]; }, x);
                std::memcpy(rows + (i * k + j) * stride + s, &x, sizeof x);
            }
        }
    }
}

template <bool kInverse, std::size_t kLanes>
[[gnu::always_inline]] inline void transform_sides(float* rows, std::size_t stride, unsigned k,
                                                   std::size_t blocks) noexcept {
    switch (k) {
        case 2: transform_rows<2, kInverse, kLanes>(rows, stride, blocks); break;
        case 3: transform_rows<3, kInverse, kLanes>(rows, stride, blocks); break;
        case 4: transform_rows<4, kInverse, kLanes>(rows, stride, blocks); break;
        case 5: transform_rows<5, kInverse, kLanes>(rows, stride, blocks); break;
        case 6: transform_rows<6, kInverse, kLanes>(rows, stride, blocks); break;
        case 7: transform_rows<7, kInverse, kLanes>(rows, stride, blocks); break;
        default: transform_rows<8, kInverse, kLanes>(rows, stride, blocks); break;
    }
}

using RowsFn = void (*)(float* rows, std::size_t stride, unsigned k, std::size_t blocks, bool inverse);

template <std::size_t kLanes>
[[gnu::always_inline]] inline void transform_either(float* rows, std::size_t stride, unsigned k,
                                                    std::size_t blocks, bool inverse) noexcept {
    if (inverse) {
        transform_sides<true, kLanes>(rows, stride, k, blocks);
    } else {
        transform_sides<false, kLanes>(rows, stride, k, blocks);
    }
}

// Block s of rows to out[s * area ..].
using InterleaveFn = void (*)(const float* rows, std::size_t stride, std::size_t area,
                              std::size_t blocks, float* out);

void rows_portable(float* rows, std::size_t stride, unsigned k, std::size_t blocks, bool inverse) {
    transform_either<4>(rows, stride, k, blocks, inverse);
}
void interleave_portable(const float* rows, std::size_t stride, std::size_t area, std::size_t blocks,
                         float* out) {
    for (std::size_t s = 0; s < blocks; ++s) {
        for (std::size_t p = 0; p < area; ++p) *out++ = rows[p * stride + s];
    }
}

#if QC_X86
QC_TARGET("avx2")
void rows_avx2(float* rows, std::size_t stride, unsigned k, std::size_t blocks, bool inverse) {
    transform_either<8>(rows, stride, k, blocks, inverse);
}

// 8 x 8 floats, rows to columns.
[[gnu::always_inline]] inline void transpose(__m256 (&r)[8]) noexcept {
    __m256 t[8];
    for (unsigned i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (unsigned i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    for (unsigned i = 0; i < 4; ++i) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    for (unsigned i = 0; i < 8; ++i) r[i] = t[i];
}

// Eight of each block's floats at a time; the last of them may be written twice. What eight floats write beyond a block
// of fewer, the blocks that follow put right. Masked stores would be slower than all of this.
void interleave_avx2(const float* rows, std::size_t stride, std::size_t area, std::size_t blocks, float* out) {
    const std::size_t beyond = area < 8 ? 8 - area : 0;
    std::size_t b = 0;
    for (; b + 8 <= blocks && (blocks - b - 8) * area >= beyond; b += 8) {
        for (std::size_t p = 0; p < area; p = p + 8 < area && p + 16 > area ? area - 8 : p + 8) {
            __m256 r[8];
            for (std::size_t i = 0; i < 8; ++i) {
                r[i] = p + i < area ? _mm256_loadu_ps(rows + (p + i) * stride + b) : _mm256_setzero_ps();
            }
            transpose(r);
            for (std::size_t i = 0; i < 8; ++i) _mm256_storeu_ps(out + (b + i) * area + p, r[i]);
        }
    }
    interleave_portable(rows + b, stride, area, blocks - b, out + b * area);
}
QC_TARGET_END
QC_TARGET("avx512f,avx512bw,avx512vl,avx512dq" QC_PREFER_512)
void rows_avx512(float* rows, std::size_t stride, unsigned k, std::size_t blocks, bool inverse) {
    transform_either<16>(rows, stride, k, blocks, inverse);
}

// An odd number of floats of each of 16 blocks: where float e of the output belongs to lane e % 16, a permutation of each
// row puts all in their lanes, and what is left is to turn lane i through the rows by i, a bit of i at a time.
template <unsigned area>
class OddInterleave {
    static_assert(area % 2 == 1);

public:
    OddInterleave() noexcept {
        for (unsigned p = 0; p < area; ++p) {
            std::int32_t from[16];
            for (unsigned s = 0; s < 16; ++s) from[(area * s + p) % 16] = static_cast<std::int32_t>(s);
            lanes_[p] = _mm512_loadu_si512(from);
        }
        for (unsigned i = 0; i < 16; ++i) {
            for (unsigned bit = 0; bit < kBits; ++bit) turned_[bit] |= (i % area >> bit & 1) << i;
        }
    }

    void put(const float* rows, std::size_t stride, float* out) const noexcept {
        __m512 x[area];
        __m512 y[area];
#pragma GCC unroll 32
        for (unsigned p = 0; p < area; ++p) x[p] = _mm512_permutexvar_ps(lanes_[p], _mm512_loadu_ps(rows + p * stride));
#pragma GCC unroll 4
        for (unsigned bit = 0; bit < kBits; ++bit) {
            const auto turned = static_cast<__mmask16>(turned_[bit]);
#pragma GCC unroll 32
            for (unsigned p = 0; p < area; ++p) y[p] = _mm512_mask_blend_ps(turned, x[p], x[(p + (1u << bit)) % area]);
#pragma GCC unroll 32
            for (unsigned p = 0; p < area; ++p) x[p] = y[p];
        }
#pragma GCC unroll 32
        for (unsigned line = 0; line < area; ++line) _mm512_storeu_ps(out + 16 * line, x[16 * line % area]);
    }

private:
    static constexpr unsigned kBits = 4;
    __m512i lanes_[area];
    unsigned turned_[kBits] = {};
};

template <unsigned area>
void interleave_odd(const float* rows, std::size_t stride, std::size_t blocks, float* out) noexcept {
    const OddInterleave<area> interleave;
    for (std::size_t b = 0; b < blocks; b += kSide) interleave.put(rows + b, stride, out + b * area);
}

void interleave_avx512(const float* rows, std::size_t stride, std::size_t area, std::size_t blocks,
                       float* out) {
    std::size_t done = 0;
    if (area == 9 || area == 25) {
        done = blocks / kSide * kSide;
        area == 9 ? interleave_odd<9>(rows, stride, done, out) : interleave_odd<25>(rows, stride, done, out);
    }
    interleave_avx2(rows + done, stride, area, blocks - done, out + done * area);
}
QC_TARGET_END
constinit const Variants<RowsFn> rows_kernel{rows_portable, rows_avx2, rows_avx512};
constinit const Variants<InterleaveFn> interleave{interleave_portable, interleave_avx2, interleave_avx512};
#else
constinit const Variants<RowsFn> rows_kernel{rows_portable};
constinit const Variants<InterleaveFn> interleave{interleave_portable};
#endif

// Whole blocks, one after another, in place.
void transform(float* data, unsigned k, std::size_t blocks) noexcept {
    const std::size_t area = std::size_t{k} * k;
    float rows[kMaxBlock * kMaxBlock * kSide] = {};
    for (std::size_t b = 0; b < blocks; b += kSide, data += kSide * area) {
        const std::size_t n = std::min(kSide, blocks - b);
        for (std::size_t s = 0; s < n; ++s) {
            for (std::size_t p = 0; p < area; ++p) rows[p * kSide + s] = data[s * area + p];
        }
        rows_kernel.pick()(rows, kSide, k, kSide, false);
        interleave.pick()(rows, kSide, area, n, data);
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

void inverse_dct_rows(float* rows, std::size_t stride, unsigned k, std::size_t blocks) noexcept {
    rows_kernel.pick()(rows, stride, k, (blocks + kSide - 1) / kSide * kSide, true);
}
void interleave_rows(const float* rows, std::size_t stride, std::size_t n, std::size_t blocks, float* out) noexcept {
    interleave.pick()(rows, stride, n, blocks, out);
}
void forward_dct(float* data, unsigned k, std::size_t blocks) noexcept {
    transform(data, k, blocks);
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
