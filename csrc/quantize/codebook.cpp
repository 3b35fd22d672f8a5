#include "quantize/codebook.hpp"

#include <algorithm>
#include <cstring>

#include "quantize/floats.hpp"
#include "quantize/lookup.hpp"

namespace qc {
namespace {

constexpr const char* kBadSymbol = "codebook: a symbol without an entry";

// Below this length a run of one group is not worth a table of its own.
constexpr std::uint64_t kLongRun = 64;

struct Book {
    const float* points;
    unsigned size;
};

Book book_of(const ChunkState& state, std::uint64_t entry) noexcept {
    return {state.points + state.starts[entry],
            static_cast<unsigned>(state.starts[entry + 1] - state.starts[entry])};
}

// Whether all symbols, of `width` bits each, are below `size`.
bool all_below(const std::uint8_t* symbols, std::size_t n, unsigned size, unsigned width) noexcept {
    if (size >> width != 0) return true;
    std::uint8_t highest = 0;
    for (std::size_t i = 0; i < n; ++i) highest = std::max(highest, symbols[i]);
    return highest < size;
}

// Elements of all symbols, zero for those without an entry: kernels may look those up before they
// are refused.
const std::uint8_t* table_of_one(ChunkState& state, DType to, Workspace& workspace) noexcept {
    if (state.table != nullptr && state.table_dtype == to) return state.table;
    std::uint8_t* const table = workspace.get(Workspace::kTable, kTableBytes);
    std::memset(table, 0, kTableBytes);
    const Book book = book_of(state, 0);
    from_f32_portable(book.points, book.size, table, to);
    state.table = table;
    state.table_dtype = to;
    return table;
}

// Runs of consecutive elements of one group: f(book, offset, n), which returns a Status.
template <class F>
Status for_runs(const TensorSpec& t, ChunkRange range, const ChunkState& state, std::size_t at,
                std::size_t n, F f) {
    const std::uint64_t element = range.first + at;
    std::uint64_t entry = range.entry(t, element);
    std::uint64_t left = t.inner - element % t.inner;
    for (std::size_t i = 0; i < n;) {
        const auto m = static_cast<std::size_t>(std::min<std::uint64_t>(left, n - i));
        QC_TRY(f(book_of(state, entry), i, m));
        i += m;
        left = t.inner;
        entry = entry + 1 == state.entries ? 0 : entry + 1;
    }
    return kOkStatus;
}

}  // namespace

Status codebook_inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
                        const std::uint8_t* const* planes, std::size_t at, std::size_t n,
                        std::uint8_t* out, DType out_dtype, Workspace& workspace) noexcept {
    const std::uint8_t* const symbols = planes[0];
    const std::size_t item = item_bytes(out_dtype);
    if (state.entries == 1) {
        if (!all_below(symbols, n, book_of(state, 0).size, state.width)) return corrupt(kBadSymbol);
        lookup.pick()(symbols, state.width, n, table_of_one(state, out_dtype, workspace), item, out);
        return kOkStatus;
    }
    if (t.inner >= kLongRun) {
        std::uint8_t* const table = workspace.get(Workspace::kTable, kTableBytes);
        return for_runs(t, range, state, at, n, [&](Book book, std::size_t i, std::size_t m) {
            if (!all_below(symbols + i, m, book.size, state.width)) return corrupt(kBadSymbol);
            from_f32.pick()(book.points, book.size, table, out_dtype);
            lookup.pick()(symbols + i, state.width, m, table, item, out + i * item);
            return kOkStatus;
        });
    }
    float* const values = workspace.get_as<float>(Workspace::kConvert, n);
    QC_TRY(for_runs(t, range, state, at, n, [&](Book book, std::size_t i, std::size_t m) {
        for (std::size_t k = i; k < i + m; ++k) {
            if (symbols[k] >= book.size) return corrupt(kBadSymbol);
            values[k] = book.points[symbols[k]];
        }
        return kOkStatus;
    }));
    from_f32.pick()(values, n, out, out_dtype);
    return kOkStatus;
}

bool codebook_table(ChunkState& state, DType to, Workspace& workspace, SymbolTable& table) noexcept {
    if (state.entries != 1) return false;
    table = {table_of_one(state, to, workspace), book_of(state, 0).size};
    return true;
}

}  // namespace qc
