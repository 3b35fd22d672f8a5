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
#include "simd/isa.hpp"

namespace qc {

// Rows whose classes are not clamped, kRows at a time: what their symbols move by.
struct RowRuns {
    static constexpr unsigned kRows = 16;
    static constexpr unsigned kMostSums = 128;
    // Columns: rows of a power of two share few sets of the cache, so they get whole lines.
    static constexpr std::size_t kTile = 64;

    const std::uint8_t* plane;
    const std::uint32_t (*starts)[kMostSums];  // of the run of each row and sum in the plane
    unsigned sums;
    const std::uint32_t* first;            // place of each sum among those of a row; sums + 1
    const std::uint16_t* places;           // of each column
    std::size_t length;                    // of a row
    std::uint8_t* turned;                  // room for kRows rows, column by column, and 16 columns more
};

// Two steps. Symbols [from, to) of the runs of one sum are turned: reads up to 15 symbols behind, and the runs of all
// kRows.
using TurnRunsFn = void (*)(const RowRuns& runs, unsigned sum, std::size_t from, std::size_t to) noexcept;
// After all were turned, columns [from, to) of `rows` rows are put to `out`.
//   requires  from a multiple of kTile; to as well, or the length
using PutTilesFn = void (*)(const RowRuns& runs, unsigned rows, std::size_t from, std::size_t to,
                            std::uint8_t* out) noexcept;
#if QC_X86
void turn_runs_avx512(const RowRuns& runs, unsigned sum, std::size_t from, std::size_t to) noexcept;
void put_tiles_avx512(const RowRuns& runs, unsigned rows, std::size_t from, std::size_t to,
                      std::uint8_t* out) noexcept;
#endif

class ProfileRows {
public:
    // Rows neither so short that runs are, nor so long that a chunk has few.
    static bool fits(const TensorSpec& t) noexcept;

    // `codes` are the part's, rows first; they are needed as long as this is.
    //   requires  fits(*part.spec)
    ProfileRows(const Part& part, const std::uint8_t* codes, Workspace& workspace);

    // A plane in the order of classes to one in the order of coefficients, of which kPlaneSlack bytes may be read behind.
    void reorder(const std::uint8_t* plane, std::uint8_t* out) const noexcept;

    // The same a few rows at a time, which stay in L2 until they are taken: where there are no blocks. Slot kGather.
    //   requires  n <= most, and as many left
    void open(const std::uint8_t* plane, std::size_t most, Workspace& workspace);
    const std::uint8_t* next(std::size_t n) noexcept;

    // Some of what next() will have to do, while what it gave last is still read.
    void work_aside() noexcept;

private:
    static constexpr unsigned kSums = 127;   // 0 .. 126
    static_assert(kSums <= RowRuns::kMostSums);

    // Columns [at, at + n) of a row, or with n a multiple of the length whole rows.
    struct Piece {
        std::uint64_t row;
        std::size_t at;
        std::size_t n;
    };
    struct Cursors {
        const std::uint8_t* plane;
        std::array<std::uint32_t, 64> next;
    };

    template <class F>
    void for_pieces(F f) const;
    bool is_clamped(std::uint64_t row) const noexcept;
    void put_piece(const Piece& piece, Cursors& cursors, std::uint8_t* out) const noexcept;

    // Rows that are being put, piece by piece.
    struct Batch {
        RowRuns runs{};
        unsigned rows = 0;  // none: nothing to do
        std::uint8_t* out = nullptr;
        unsigned sum = 0;
        std::size_t at = 0;      // in the runs of the sum, or after them all the column
    };
    std::size_t begin(const Piece& piece, Cursors& cursors, std::uint8_t* out, Batch& batch) const noexcept;
    static bool work(Batch& batch, std::size_t symbols) noexcept;

    bool begin_next() noexcept;
    void go_on(std::size_t symbols) noexcept;
    void finish() noexcept;

    Part part_;
    const std::uint8_t* codes_;     // of rows
    std::size_t length_;            // of a row
    std::uint8_t* sums_;            // of each column
    std::uint16_t* places_;         // of each column among those of the row, by sum
    std::uint32_t (*run_starts_)[RowRuns::kMostSums];
    std::uint8_t* turned_;
    std::array<std::uint32_t, kSums + 1> first_{};  // place of each sum
    std::array<std::uint32_t, kSums> counts_{};     // elements of a row with each sum
    unsigned least_ = kSums;        // sums that occur
    unsigned most_ = 0;
    std::array<std::uint32_t, 64> starts_{};        // of classes

    Cursors cursors_{};
    std::size_t put_ = 0;           // elements that were put, of the part
    std::uint8_t* room_ = nullptr;  // they stand there from ready_ to ready_end_
    std::uint8_t* ready_ = nullptr;
    std::uint8_t* ready_end_ = nullptr;
    std::uint8_t* room_end_ = nullptr;
    std::size_t ahead_ = 0;         // of what was taken
    Batch batch_;                   // goes to ready_end_
};

}  // namespace qc
