// quantize/lattice.hpp - what the parts of the quantizer `lattice` hand to each other: FORMAT.md, "lattice".
//
// The integers of a chunk come in streams, sorted by classes that follow from the streams before. Merging
// puts them back in the order of vectors, a group of vectors at a time, with one cursor for each class.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "quantize/quantizer.hpp"
#include "simd/isa.hpp"

namespace qc::lattice {

enum Kind : unsigned { kNone, kZ, kD4, kE8, kLeech };

inline constexpr unsigned kMaxStreams = 6;
inline constexpr unsigned kMaxClasses = 6;  // of one stream
inline constexpr unsigned kMaxDim = 24;
inline constexpr std::int32_t kMaxCoordinate = 1 << 24;

struct Form {
    unsigned dim;
    unsigned streams;
    unsigned bit_streams;  // the first ones
};
inline constexpr Form kForms[] = {{1, 0, 0}, {1, 1, 0}, {4, 2, 0}, {8, 3, 1}, {24, 6, 2}};

// Symbols are integers + `zero`. One that stands for an escaped value has been made one of the same parity, so that
// classes are right.
struct Stream {
    const std::uint8_t* symbols = nullptr;
    std::int32_t zero = 0;
    std::span<const std::uint32_t> escapes;     // where
    const std::uint8_t* values = nullptr;       // i32 each

    std::size_t escapes_before(std::size_t at) const noexcept {
        return static_cast<std::size_t>(std::ranges::lower_bound(escapes, at) - escapes.begin());
    }
    bool has_escapes(std::size_t begin, std::size_t end) const noexcept {
        const std::size_t next = escapes_before(begin);
        return next < escapes.size() && escapes[next] < end;
    }
};

// Where the next entry of each class stands in its stream. Which classes there are, is up to the lattice.
struct Cursors {
    std::size_t vector = 0;              // the next one
    std::size_t free[3] = {};
    std::size_t last[kMaxClasses] = {};
};

// A chunk on its way out, in slot kParams.
struct State {
    Form form;
    float scale;
    std::size_t vectors;
    unsigned width[kMaxStreams];
    std::size_t escapes[kMaxStreams];
    std::span<const std::uint8_t> values;   // of escapes, i32 each
    std::size_t length[kMaxStreams];
    Stream streams[kMaxStreams];
    bool escaping;                          // some stream has escapes
    Cursors cursors;

    // Streams of the cursors `free` and `last`.
    const Stream& stream_of(unsigned k) const noexcept {
        const bool by_class = form.streams - form.bit_streams > 2;
        return streams[form.bit_streams + (by_class ? k : 0)];
    }
    const Stream& last_stream() const noexcept { return streams[form.streams - 1]; }

    bool has_escapes(const Cursors& begin, const Cursors& end) const noexcept {
        for (unsigned k = 0; k < std::size(begin.free); ++k) {
            if (stream_of(k).has_escapes(begin.free[k], end.free[k])) return true;
        }
        for (unsigned k = 0; k < kMaxClasses; ++k) {
            if (last_stream().has_escapes(begin.last[k], end.last[k])) return true;
        }
        return false;
    }

    std::uint8_t* points;                   // coordinates in bytes, where a Merge places them first
    std::uint8_t* last_classes;

    std::size_t n_left;                     // elements of the last vector that the last call had no room for
    float left[kMaxDim];
};

// Coordinates of the next n vectors times `scale`, around the caches with `stream`. The cursors pass them.
//   requires  kPlaneSlack bytes may be read behind each stream
//   ensures   all coordinates are right but those that an escaped value has a part in
using MergeFn = void (*)(const State&, Cursors&, std::size_t n, float scale, bool stream, float* out);

// How many of all vectors have their last coordinate in each class.
using CountFn = void (*)(const State&, std::size_t* counts);

struct Merge {
    MergeFn next;
    CountFn count;
    bool streams;  // where it is asked to
    bool (*takes)(const State&) noexcept = nullptr;    // if null, all
    void (*place)(State&, Workspace&) = nullptr;       // before `count`, if not null
};

const Merge& merge_of(Kind kind, const State&) noexcept;  // of the active instruction set
extern const Merge kMergePortable[5];
#if QC_X86
extern const Merge kMergeAvx2[5];  // null where the level below is used
extern const Merge kMergeAvx512[5];
extern const Merge kLeechAvx2;
extern const Merge kLeechAvx512;
#endif

// Adds the lengths of the streams 2 to 4 of the Leech lattice, given those before: kPlaneSlack bytes may be read behind.
using MeasureFn = void (*)(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors, std::size_t* lengths);

void measure_leech_portable(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors,
                            std::size_t* lengths);
#if QC_X86
void measure_leech_avx2(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors, std::size_t* lengths);
void measure_leech_avx512(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors, std::size_t* lengths);
#endif

inline constexpr std::size_t kGroup = 1024;

// Coordinates of n <= kGroup / dim vectors, escapes and all, which cursors pass from `begin` to `end`. False where one
// is beyond 2^24.
bool merge_escapes(Kind kind, const State&, const Cursors& begin, const Cursors& end, std::size_t n, std::int32_t* out);

// Bit i of entry m: coordinate i of the codeword of the Golay code that begins with the twelve bits m.
const std::uint32_t* golay_words() noexcept;
// How many of the first 23 bits of such a codeword are 1.
const std::uint8_t* golay_weights() noexcept;

// x[i] -= u[i] for whole vectors that begin with element `first` of the tensor.
void subtract_dither(Kind kind, std::uint64_t seed, std::uint64_t first, std::size_t vectors, float* x);

}  // namespace qc::lattice
