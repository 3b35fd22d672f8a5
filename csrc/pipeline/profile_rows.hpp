// pipeline/profile_rows.hpp - symbols in the order of a profile's classes, put back row by row: FORMAT.md, "Order".
//
// Within a row, elements of equal class have equal sums of the codes of channel and position, unless classes are
// clamped. So the symbols of a row are one run for each sum, and runs go to the same columns in every row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/workspace.hpp"
#include "pipeline/order.hpp"

namespace qc {

class ProfileRows {
public:
    // Rows neither so short that runs are, nor so long that a chunk has few.
    static bool fits(const TensorSpec& t) noexcept;

    // `codes` are the part's, rows first; they are needed as long as this is.
    //   requires  fits(*part.spec)
    ProfileRows(const Part& part, const std::uint8_t* codes, Workspace& workspace);

    // A plane in the order of classes to one in the order of coefficients, of which kPlaneSlack bytes may be read behind.
    void reorder(const std::uint8_t* plane, std::uint8_t* out) const noexcept;

private:
    static constexpr unsigned kSums = 127;   // 0 .. 126
    static constexpr unsigned kTogether = 16;  // rows

    struct Piece;  // of a row, or whole rows
    struct Cursors;

    template <class F>
    void for_pieces(F f) const;
    bool is_clamped(std::uint64_t row) const noexcept;
    void put_piece(const Piece& piece, Cursors& cursors, std::uint8_t* out) const noexcept;
    void put_rows(std::uint64_t row, unsigned rows, Cursors& cursors, std::uint8_t* out) const noexcept;

    Part part_;
    const std::uint8_t* codes_;     // of rows
    std::size_t length_;            // of a row
    std::uint8_t* sums_;            // of each column
    std::uint16_t* places_;         // of each column among those of the row, by sum
    std::uint8_t* together_;        // symbols of kTogether rows, column by column, by place
    std::array<std::uint32_t, kSums + 1> first_{};  // place of each sum
    unsigned least_ = kSums;        // sums that occur
    unsigned most_ = 0;
    std::array<std::uint32_t, 64> starts_{};        // of classes
};

}  // namespace qc
