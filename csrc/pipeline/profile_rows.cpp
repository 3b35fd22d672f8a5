#include "pipeline/profile_rows.hpp"

#include <algorithm>
#include <cstring>

#include "pipeline/aside.hpp"
#include "pipeline/profile_class.hpp"
#include "transform/dct.hpp"

namespace qc {
namespace {

constexpr std::size_t kShortest = 64;
constexpr std::size_t kLongest = 1 << 16;
constexpr std::size_t kTile = RowRuns::kTile;

typedef std::uint8_t Bytes __attribute__((vector_size(16)));

// A transpose is four perfect shuffles: rows r and r + 8 interleave to rows 2r and 2r + 1.
[[gnu::always_inline]] inline void transpose(Bytes (&a)[16]) noexcept {
    Bytes b[16];
#pragma GCC unroll 4
    for (unsigned stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
        for (unsigned r = 0; r < 8; ++r) {
            b[2 * r] = __builtin_shufflevector(a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
                                               7, 23);
            b[2 * r + 1] = __builtin_shufflevector(a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                                   29, 14, 30, 15, 31);
        }
#pragma GCC unroll 16
        for (unsigned r = 0; r < 16; ++r) a[r] = b[r];
    }
}

// 16 bytes from each of 16 places, transposed, one after another.
template <class At>
[[gnu::always_inline]] inline void transposed(At at, std::uint8_t* out, std::size_t stride) noexcept {
    Bytes a[16];
#pragma GCC unroll 16
    for (unsigned r = 0; r < 16; ++r) std::memcpy(&a[r], at(r), 16);
    transpose(a);
#pragma GCC unroll 16
    for (unsigned r = 0; r < 16; ++r) std::memcpy(out + r * stride, &a[r], 16);
}

constexpr unsigned kRows = RowRuns::kRows;

// What is written beyond a run, the next one overwrites.
void turn_runs_portable(const RowRuns& runs, unsigned sum, std::size_t from, std::size_t to) noexcept {
    for (std::size_t i = from; i < to; i += 16) {
        transposed([&](unsigned r) { return runs.plane + runs.starts[r][sum] + i; },
                   runs.turned + (runs.first[sum] + i) * kRows, kRows);
    }
}

void put_tiles_portable(const RowRuns& runs, unsigned rows, std::size_t from, std::size_t to,
                        std::uint8_t* out) noexcept {
    for (std::size_t i = from; i < to; i += kTile) {
        const std::size_t columns = std::min(kTile, to - i);
        alignas(64) std::uint8_t tile[kRows][kTile];
        std::uint16_t places[kTile] = {};
        std::copy_n(runs.places + i, columns, places);
        for (std::size_t k = 0; k < kTile; k += 16) {
            transposed([&](unsigned c) { return runs.turned + places[k + c] * kRows; }, tile[0] + k, kTile);
        }
        if (columns == kTile) {
            for (unsigned r = 0; r < rows; ++r) std::memcpy(out + r * runs.length + i, tile[r], kTile);
        } else {
            for (unsigned r = 0; r < rows; ++r) std::memcpy(out + r * runs.length + i, tile[r], columns);
        }
    }
}

#if QC_X86
constinit const Variants<TurnRunsFn> turn_runs{turn_runs_portable, turn_runs_portable, turn_runs_avx512};
constinit const Variants<PutTilesFn> put_tiles{put_tiles_portable, put_tiles_portable, put_tiles_avx512};
#else
constinit const Variants<TurnRunsFn> turn_runs{turn_runs_portable};
constinit const Variants<PutTilesFn> put_tiles{put_tiles_portable};
#endif

}  // namespace

bool ProfileRows::fits(const TensorSpec& t) noexcept {
    const std::uint64_t length = t.channels * t.positions;
    return t.profile && length >= kShortest && length <= kLongest;
}

template <class F>
void ProfileRows::for_pieces(F f) const {
    const auto run = [&](std::uint64_t element, std::size_t n) {
        const std::uint64_t before = part_.range.first / length_;
        while (n > 0) {
            const auto at = static_cast<std::size_t>(element % length_);
            const std::size_t some = at == 0 && n >= length_ ? n / length_ * length_ : std::min(length_ - at, n);
            f(Piece{element / length_ - before, at, some});
            element += some;
            n -= some;
        }
    };
    const std::uint64_t first = part_.range.first;
    if (part_.spec->block == 0) return run(first, part_.range.count);
    const BlockGrid grid(part_.spec->block, part_.spec->columns, first, part_.range.count);
    run(first + grid.row_of_block(0, 0), grid.blocks() * grid.area());
    grid.for_rest([&](std::size_t at, std::size_t n) { run(first + at, n); });
}

ProfileRows::ProfileRows(const Part& part, const std::uint8_t* codes, Workspace& workspace)
    : part_(part),
      codes_(codes),
      length_(static_cast<std::size_t>(part.spec->channels * part.spec->positions)) {
    const std::size_t turned = (length_ + 16) * kRows;
    const std::size_t starts = kRows * sizeof *run_starts_;
    turned_ = workspace.get(Workspace::kRows, turned + starts + 3 * length_);
    run_starts_ = reinterpret_cast<std::uint32_t(*)[RowRuns::kMostSums]>(turned_ + turned);
    places_ = reinterpret_cast<std::uint16_t*>(turned_ + turned + starts);
    sums_ = reinterpret_cast<std::uint8_t*>(places_ + length_);

    const auto positions = static_cast<std::size_t>(part.spec->positions);
    const std::uint8_t* const channel =
        codes + profile_codes(*part.spec, part.range) - part.spec->channels - positions;
    const std::uint8_t* const position = channel + part.spec->channels;
    for (std::size_t i = 0; i < length_; ++i) {
        const unsigned sum = channel[i / positions] + position[i % positions];
        sums_[i] = static_cast<std::uint8_t>(sum);
        ++counts_[sum];
        least_ = std::min(least_, sum);
        most_ = std::max(most_, sum);
    }
    for (unsigned s = 0; s < kSums; ++s) first_[s + 1] = first_[s] + counts_[s];
    std::array<std::uint32_t, kSums + 1> next = first_;
    for (std::size_t i = 0; i < length_; ++i) places_[i] = static_cast<std::uint16_t>(next[sums_[i]]++);

    std::array<std::uint32_t, 64> of_class{};
    for_pieces([&](const Piece& piece) {
        if (piece.n % length_ != 0) {
            for (std::size_t i = 0; i < piece.n; ++i) {
                ++of_class[profile_class(codes_[piece.row], sums_[piece.at + i])];
            }
            return;
        }
        for (std::size_t r = 0; r < piece.n / length_; ++r) {
            for (unsigned s = least_; s <= most_; ++s) {
                of_class[profile_class(codes_[piece.row + r], s)] += counts_[s];
            }
        }
    });
    for (unsigned c = 1; c < 64; ++c) starts_[c] = starts_[c - 1] + of_class[c - 1];
}

// Whether several sums of a row may have one class.
bool ProfileRows::is_clamped(std::uint64_t row) const noexcept {
    return codes_[row] + least_ < 64 || codes_[row] + most_ > 64 + 63;
}

void ProfileRows::put_piece(const Piece& piece, Cursors& cursors, std::uint8_t* out) const noexcept {
    for (std::size_t i = 0; i < piece.n; ++i) {
        out[i] = cursors.plane[cursors.next[profile_class(codes_[piece.row], sums_[piece.at + i])]++];
    }
}

// The first elements of the piece, how many of them is returned: rows for a batch, or less than that at once.
std::size_t ProfileRows::begin(const Piece& piece, Cursors& cursors, std::uint8_t* out, Batch& batch) const noexcept {
    const std::size_t whole = piece.at == 0 ? piece.n / length_ : 0;
    unsigned rows = 0;
    while (rows < std::min<std::size_t>(kRows, whole) && !is_clamped(piece.row + rows)) ++rows;
    if (rows == 0) {
        const std::size_t n = std::min(piece.n, length_ - piece.at);
        put_piece({piece.row, piece.at, n}, cursors, out);
        return n;
    }
    const unsigned sums = most_ - least_ + 1;
    const std::uint32_t* __restrict const counts = &counts_[least_];
    for (unsigned r = 0; r < rows; ++r) {
        // Sums one after another have classes one after another where none is clamped.
        std::uint32_t* __restrict const next = &cursors.next[profile_class(codes_[piece.row + r], least_)];
        std::uint32_t* __restrict const starts = run_starts_[r];
        for (unsigned s = 0; s < sums; ++s) {
            starts[s] = next[s];
            next[s] += counts[s];
        }
    }
    for (unsigned r = rows; r < kRows; ++r) std::copy_n(run_starts_[0], sums, run_starts_[r]);
    batch = {{cursors.plane, run_starts_, sums, &first_[least_], places_, length_, turned_}, rows, out, 0, 0};
    return rows * length_;
}

// About so many symbols of one of the two steps, if as many are left; returns whether some are.
bool ProfileRows::work(Batch& batch, std::size_t symbols) noexcept {
    const RowRuns& runs = batch.runs;
    for (std::size_t columns = symbols / kRows; batch.sum < runs.sums;) {
        const std::size_t n = runs.first[batch.sum + 1] - runs.first[batch.sum];
        const std::size_t some = std::min(columns, n - batch.at);
        turn_runs.pick()(runs, batch.sum, batch.at, batch.at + some);
        batch.at += some;
        columns -= some;
        if (batch.at == n) {
            ++batch.sum;
            batch.at = 0;
        }
        if (columns == 0) return true;
    }
    const std::size_t tiles = std::max<std::size_t>(symbols / kRows / kTile, 1);
    const std::size_t to = std::min(batch.at + tiles * kTile, runs.length);
    put_tiles.pick()(runs, batch.rows, batch.at, to, batch.out);
    batch.at = to;
    if (to == runs.length) batch.rows = 0;
    return batch.rows > 0;
}

void ProfileRows::reorder(const std::uint8_t* plane, std::uint8_t* out) const noexcept {
    Cursors cursors{plane, starts_};
    for_pieces([&](Piece piece) {
        while (piece.n > 0) {
            Batch batch;
            const std::size_t n = begin(piece, cursors, out, batch);
            while (batch.rows > 0) work(batch, kRows * length_);
            piece.row += n / length_;
            piece.n -= n;
            out += n;
        }
    });
}

void ProfileRows::open(const std::uint8_t* plane, std::size_t most, Workspace& workspace) {
    cursors_ = {plane, starts_};
    ahead_ = std::max(most, kRows * length_);
    // So that there is mostly room for rows behind what waits.
    const std::size_t room = 4 * (most + kRows * length_);
    room_ = workspace.get(Workspace::kGather, room);
    room_end_ = room_ + room;
    ready_ = ready_end_ = room_;
}

// Begins with rows behind what waits; false where there is no room, or none are left.
bool ProfileRows::begin_next() noexcept {
    if (put_ == part_.range.count || static_cast<std::size_t>(room_end_ - ready_end_) < kRows * length_) return false;
    const std::uint64_t before = part_.range.first / length_;
    const std::uint64_t element = part_.range.first + put_;
    const auto at = static_cast<std::size_t>(element % length_);
    const std::size_t n =
        begin({element / length_ - before, at, part_.range.count - put_}, cursors_, ready_end_, batch_);
    put_ += n;
    if (batch_.rows == 0) ready_end_ += n;
    return true;
}

void ProfileRows::go_on(std::size_t symbols) noexcept {
    const std::size_t n = batch_.rows * length_;
    if (!work(batch_, symbols)) ready_end_ += n;
}

void ProfileRows::finish() noexcept {
    while (batch_.rows > 0) go_on(kRows * length_);
}

void ProfileRows::work_aside() noexcept {
    if (batch_.rows > 0) {
        // Both steps in the time of as many symbols as they take.
        go_on(2 * Aside::kSymbols);
    } else if (static_cast<std::size_t>(ready_end_ - ready_) < ahead_) {
        begin_next();
    }
}

const std::uint8_t* ProfileRows::next(std::size_t n) noexcept {
    if (static_cast<std::size_t>(ready_end_ - ready_) < n) finish();
    const auto waiting = static_cast<std::size_t>(ready_end_ - ready_);
    if (waiting < n) {
        std::memmove(room_, ready_, waiting);
        ready_ = room_;
        ready_end_ = room_ + waiting;
    }
    while (static_cast<std::size_t>(ready_end_ - ready_) < n && begin_next()) finish();
    ready_ += n;
    return ready_ - n;
}

}  // namespace qc
