// transform/dct.hpp - the orthonormal DCT-II of k x k blocks: FORMAT.md, "dct".
//
// A chunk's elements fall into whole blocks and a rest that stays as it is. In the order of
// coefficients the blocks come first, one after another, each in C order, and then the rest in C order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qc {

inline constexpr unsigned kMaxBlock = 8;

// The blocks of elements [first, first + count) of a tensor.
class BlockGrid {
public:
    // `columns` = 0: a block is k * k elements in a row, as in kernels of a convolution; else the
    // tensor is a matrix of so many columns, and a block spans k of its rows.
    BlockGrid(unsigned k, std::uint64_t columns, std::uint64_t first, std::size_t count) noexcept;

    unsigned side() const noexcept { return k_; }
    std::size_t area() const noexcept { return k_ * std::size_t{k_}; }
    std::size_t blocks() const noexcept { return blocks_; }
    std::size_t rest() const noexcept { return count_ - blocks_ * area(); }

    // Whether block b + 1 follows block b in memory, and their rows follow each other.
    bool consecutive() const noexcept { return columns_ == 0; }
    // Element, counted within the chunk, at which row r of block b begins.
    std::size_t row_of_block(std::size_t b, unsigned r) const noexcept {
        if (columns_ == 0) return head_ + b * area() + r * k_;
        return head_ + (b / across_ * k_ + r) * columns_ + b % across_ * k_;
    }
    // Blocks from b on whose rows follow each other.
    std::size_t left_in_band(std::size_t b) const noexcept { return across_ - b % across_; }
    // Calls f(element, n) for the runs of elements outside the blocks, in order.
    template <class F>
    void for_rest(F f) const {
        if (head_ > 0) f(std::size_t{0}, head_);
        std::size_t at = head_;
        if (columns_ == 0) {
            at += blocks_ * area();
        } else if (across_ > 0) {
            const std::size_t rows = blocks_ / across_ * k_;
            const std::size_t edge = columns_ - across_ * k_;
            for (std::size_t r = 0; r < rows && edge > 0; ++r) f(head_ + (r + 1) * columns_ - edge, edge);
            at += rows * columns_;
        }
        if (at < count_) f(at, count_ - at);
    }

private:
    unsigned k_;
    std::size_t columns_;
    std::size_t count_;
    std::size_t head_;
    std::size_t across_ = 0;
    std::size_t blocks_;
};

// `blocks` blocks of k * k coefficients to values, in place, where those of one position lie together: position p of block
// b at rows[p * stride + b]. float32 arithmetic in the order of FORMAT.md: the same bits everywhere.
//   requires  `stride`, a multiple of 16, at least the number of blocks
void inverse_dct_rows(float* rows, std::size_t stride, unsigned k, std::size_t blocks) noexcept;

// Entry b of each of n rows, for one b after the other.
void interleave_rows(const float* rows, std::size_t stride, std::size_t n, std::size_t blocks, float* out) noexcept;

// Back, with each block in C order.
void forward_dct(float* data, unsigned k, std::size_t blocks) noexcept;

// Elements in C order to the order of coefficients, transformed.
void forward_dct(const float* in, const BlockGrid& grid, float* out) noexcept;

}  // namespace qc
