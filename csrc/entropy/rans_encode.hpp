// entropy/rans_encode.hpp - what the parts of the rANS encoder hand to each other.
//
// rans_model.cpp finds tables and the table of each tile; a kernel then codes an `index` plane: for
// each symbol the entry of a list of up to 64 symbols that all tables share. Every kernel gives the
// bytes of the portable one.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/workspace.hpp"
#include "entropy/rans_decode.hpp"
#include "entropy/rans_table.hpp"

namespace qc::rans {

inline constexpr unsigned kMaxCost = 127;  // kernels add two in a byte
inline constexpr std::uint8_t kUnseen = 0x80;

// By index: what coding a symbol takes. Indices without an entry have the escape's values.
struct alignas(64) EncodeTable {
    std::uint8_t freq[kEntries];
    std::uint8_t lower[kEntries];         // slots below 128
    std::uint8_t base[2][kEntries];       // slot of rank r = r + base[r >= lower]
    std::uint8_t inverse_low[kEntries];   // min(65536 / freq, 65535)
    std::uint8_t inverse_high[kEntries];
    std::uint8_t escaped[kEntries];       // 0x80 or 0
    bool has_escapes;
};

struct Model {
    unsigned symbol_bits;              // of a symbol without its raw bits
    unsigned raw_bits;
    unsigned memory;                   // of the trellis that the symbols follow; else 0
    unsigned n_tables;
    std::size_t tile;
    bool same_index;                   // index plane = symbols
    bool must_escape;                  // symbols without an index occur
    bool by_rank;                      // escapes are taken to be few and alike in all tables
    std::uint8_t index_of[256];        // by symbol; kUnseen marks those without an index
    std::uint8_t symbol_of[kEntries];  // by index, without raw bits
    std::uint64_t seen;                // indices with a symbol; below bit 63
    std::uint64_t odd;                 // of those the ones of the second context, where there is one
    std::uint64_t bits;                // estimate of the coded size, raw bits left out
    Table tables[kMaxTables];
    EncodeTable encode_tables[kMaxTables];
    std::uint8_t costs[kMaxTables][kEntries];  // in 1/32 bit above the least; at most kMaxCost
};

struct EncodeJob {
    const std::uint8_t* index;
    const std::uint8_t* symbols;
    std::size_t n;
    const Model* model;
    const std::uint8_t* choices;
    unsigned lanes;
    std::uint8_t* body;     // both are filled downwards
    std::uint8_t* escapes;
    alignas(64) std::uint8_t high[kMaxLanes];
    alignas(64) std::uint8_t low[kMaxLanes];
};

struct EncodeKernel {
    // Maps symbols to indices (or, with a null index, only looks); true where a kUnseen one
    // occurred.
    bool (*map)(const std::uint8_t* symbols, std::size_t n, const std::uint8_t* index_of,
                std::uint8_t* index);
    // Counts the indices of one tile; those of `width`, a multiple of 8, and above do not occur.
    void (*count)(const std::uint8_t* index, std::size_t n, unsigned width, std::uint16_t* counts);
    // Chooses the cheapest table of each tile, the first of equals.
    void (*choose)(const std::uint8_t* index, std::size_t n, const Model&, std::uint8_t* choices);
    // Codes the first `rounds` rounds, last to first.
    void (*rounds)(EncodeJob&, std::size_t rounds);
    // Low `width` bits of all symbols as a bit string.
    void (*pack)(const std::uint8_t* symbols, std::size_t n, unsigned width, std::uint8_t* out);
    // Masks of what differs from `zero`, four to a byte, and the symbols that do; returns their
    // number. Writes up to 64 bytes behind both.
    std::size_t (*split)(const std::uint8_t* symbols, std::size_t n, std::uint8_t zero,
                         std::uint8_t* nibbles, std::uint8_t* values);
    unsigned min_lanes;
};

extern const EncodeKernel kEncodePortable;
extern const EncodeKernel kEncodeAvx2;
extern const EncodeKernel kEncodeAvx512;

const EncodeKernel& encode_kernel() noexcept;  // of the active level, for any number of lanes

// Codes symbols [begin, end) of a job, last to first.
void encode_symbols(EncodeJob& job, std::size_t begin, std::size_t end);

inline constexpr std::uint32_t kOneBit = 1u << 16;  // of costs

// What an escape takes beyond its slot, about.
unsigned escape_bits(const Model& model);

// Bits of ranked escapes of an order, of which n symbols have these counts, the most frequent one first.
constexpr std::uint64_t ranked_bits(const std::uint32_t* counts, unsigned n, unsigned order) noexcept {
    std::uint64_t bits = 0;
    for (unsigned r = 0; r < n; ++r) bits += counts[r] * std::uint64_t{(r >> order) + 1 + order};
    return bits;
}

// What escapes of these counts, by index, among so many symbols take beyond their slots, in units of 2^-16 bit: many are
// stored in bytes, others by rank (plan_escapes); those that have no index are taken to cost all of their bits.
std::uint64_t escapes_cost(const std::uint32_t* escaped, std::uint64_t symbols, unsigned symbol_bits);

// Frequencies by index for symbols with these counts, index 63 for the escape. Keeps what is seen and worth a slot;
// goes without an escape where nothing needs one and that is smaller.
//   returns   bits in units of 2^-16
std::uint64_t fit_frequencies(const Model& model, const std::uint32_t* counts, std::uint8_t* freq);

// Chooses raw bits and indices for symbols of which a sample has these counts.
void plan_index(const std::uint32_t* counts, unsigned bits, unsigned memory, Model& model);

// Finds tables for an index plane: all of `model` that plan_index and must_escape leave open. A patient search that
// ends with several also chooses the table of each tile, and returns true.
//   scratch   kCoder3
bool fit_tables(const std::uint8_t* index, std::size_t n, Workspace&, Model& model, std::uint8_t* choices);

// Lanes of a stream of about so many bits, least .. most. The states cost two bytes a lane, about 1.5 of them for
// nothing: at most 0.6 % of the stream.
unsigned choose_lanes(std::uint64_t bits, unsigned least, unsigned most) noexcept;

// The index plane of symbols, and the table of each tile. In slot kCoder2.
struct Coding {
    const std::uint8_t* index;
    const std::uint8_t* choices;
};

// The whole model of symbols of which a sample has these counts. Those that follow a trellis may come out as a
// plain model (memory 0).
//   scratch   kCoder2, kCoder3
Coding fit_model(std::span<const std::uint8_t> symbols, const std::uint32_t* counts, unsigned bits,
                 unsigned memory, Workspace&, Model& model);

// What a symbol takes in a table, in units of 2^-16 bit; more than any other where it has no slot.
std::uint32_t symbol_cost(const Model& model, unsigned table, unsigned symbol);

// The tables of tiles of other symbols that a model was not fitted to.
Coding choose_tables(std::span<const std::uint8_t> symbols, Workspace&, const Model& model);

// Where the one table of a model has an escape, but few tiles use it: puts a table without in
// front, and chooses. Returns whether it did.
bool spare_escapes(const std::uint8_t* index, std::size_t n, Model& model, std::uint8_t* choices);

// What coding symbols with these counts takes with one table, in bits.
std::uint64_t estimate_bits(const std::uint32_t* counts, unsigned bits);

// CoderKernel::encode
std::size_t encode_stream(std::span<const std::uint8_t> symbols, unsigned bits, Workspace&,
                          std::span<std::uint8_t> out);

}  // namespace qc::rans
