// search/trellis.hpp - the cheapest walk through a trellis: error and coded bits of a chunk's symbols.
//
// Levels of a uniform grid are chosen by Viterbi's algorithm, with the bits that the tables of `rans` would take;
// tables and points are then fitted to what was chosen, and the search goes on from there.
// T. Fischer, M. Wang, "Entropy-constrained trellis-coded quantization", IEEE Trans. IT 38(2), 1992.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/workspace.hpp"
#include "quantize/trellis_points.hpp"

namespace qc::trellis {

inline constexpr unsigned kMinLanes = 16;  // of a search: a vector

struct Plan {
    unsigned memory;        // 3, 5 or 7
    float scale;            // distance of neighbouring levels
    float rdo;              // squared error, in squares of the scale, that one bit is worth
};

// Symbols of `bits` bits, in slot kSymbols: level q is the symbol q + 2^(bits - 1).
struct Walk {
    const std::uint8_t* symbols;
    unsigned bits;
    unsigned lanes;
    std::array<std::uint8_t, kMostShifts> shifts;  // i8, of the points of magnitudes 1, 2, ...
    unsigned n_shifts;
};

// Chooses symbols for values in the order in which they will be coded, the first of them in lane 0.
//   requires  1 .. 2^20 finite values; memory is one of a trellis; weights are null, or as many
//   ensures   the same at every instruction set
Walk choose(std::span<const float> values, const float* weights, const Plan& plan, Workspace& workspace);

// One search with given tables, for the kernels of it.
struct Job {
    const float* values;    // as `Arrange` leaves them
    const float* weights;   // the same, or null
    std::size_t stride;
    std::size_t n;
    unsigned memory;
    unsigned lanes;
    float zero;             // the symbol of level 0
    unsigned places;        // symbols div 4 are below
    const float* points;    // by symbol modulo 4 and place: 4 * 64, in steps
    const float* rates;     // the same for each table: what a symbol's bits are worth
    const float* records;   // by table, symbol modulo 4 and place: both points and both rates of a place and the next
    const std::uint8_t* choices;  // of a table, by tile
    std::size_t tile;
    std::uint8_t* symbols;        // with room for whole steps of all lanes
};
inline constexpr std::size_t kTableSize = 4 * 64;

struct Scratch {
    void* decisions;   // for each step: 4 bytes for each 32 states of each lane, aligned to 64
    void* candidates;  // kArranged words for each step
};

inline constexpr std::size_t kArranged = 16;

// n values in units of 1 / factor, limited to -end .. end, for walks in `lanes` lanes, a multiple of kArranged: all
// steps of the first kArranged lanes, and so on, each `stride` after the one before. Lanes that end before the last
// step get zeros.
struct Arrange {
    const float* values;
    std::size_t n;
    unsigned lanes;
    std::size_t stride;
    float factor;
    float end;
    float* out;  // aligned to 64
};

// n arranged values and the symbols of whole steps, in the order of coding.
struct Rounding {
    const float* values;
    std::size_t n;
    unsigned lanes;
    std::size_t stride;
    unsigned zero;
    std::uint8_t* symbols;
};

struct Kernels {
    void (*arrange)(const Arrange& job);
    void (*round)(const Rounding& job);
    void (*walk)(const Job& job, const Scratch& scratch);
};
extern const Kernels kPortable, kAvx2, kAvx512;

}  // namespace qc::trellis
