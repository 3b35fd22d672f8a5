// entropy/rans_decode.hpp - a plain rANS stream while it is decoded, and the kernels that do it.
//
// A kernel decodes whole rounds: one symbol of every lane. Before each round it compares `in` with
// `limit`, behind which kRoundRead bytes are readable; that one test keeps it inside its memory.
// Escaped symbols wait in `escapes`, at least a block of them, so reading them needs no test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.hpp"
#include "entropy/coder.hpp"
#include "entropy/rans_table.hpp"

namespace qc::rans {

inline constexpr std::size_t kMaxLanes = 256;
inline constexpr std::size_t kTileUnit = 256;
inline constexpr std::size_t kMaxCount = std::size_t{1} << 20;
inline constexpr std::size_t kMaxTiles = kMaxCount / kTileUnit;
inline constexpr std::size_t kRoundRead = 2 * kMaxLanes + 64;  // a round, the end of the one before it, a vector
inline constexpr std::size_t kEscapeRoom = 2 * kBlock;
inline constexpr unsigned kMostAbreast = 4;
inline constexpr std::uint8_t kFirstHigh = 1;  // the state that encoding starts from: 256
inline constexpr std::uint8_t kFirstLow = 0;

// How escaped symbols are stored: in a byte each, or as their places in a list, of one width or shorter in front.
enum class EscapeCode : std::uint8_t { kByte, kPlace, kRanked };
inline constexpr unsigned kRankedBit = 0x10;    // in the byte with the number of tables
inline constexpr unsigned kMostRankedOnes = 31;  // of one place

struct Stream;

struct DecodeKernel {
    void (*prepare)(Stream&) noexcept;  // may be null
    // Up to `rounds` rounds into `out`; returns how many were done before `in` passed `limit`.
    std::size_t (*rounds)(Stream&, std::uint8_t* out, std::size_t rounds) noexcept;
    unsigned min_lanes;
    bool takes_trellis;
    // Rounds of 2 .. kMostAbreast streams in step, each as of can_go_abreast; null where the kernel has no such loop.
    std::size_t (*abreast)(Stream* const* streams, unsigned count, std::uint8_t* const* out,
                           std::size_t rounds) noexcept;
};

extern const DecodeKernel kDecodePortable;
extern const DecodeKernel kDecodeAvx2;
extern const DecodeKernel kDecodeAvx512;

struct alignas(64) Stream {
    std::uint8_t high[kMaxLanes];  // a lane's state is 256 * high + low
    std::uint8_t low[kMaxLanes];
    std::uint8_t trellis[kMaxLanes];  // with memory > 0: states of the trellis
    Table tables[kMaxTables];  // symbols shifted by raw_bits
    alignas(64) std::uint8_t kernel_tables[kMaxTables][2048];
    std::uint8_t choices[kMaxTiles];
    std::uint8_t escapes[kEscapeRoom + kFusedStep + 64];  // a bad step may read on for kFusedStep
    std::uint8_t tail[2 * kRoundRead];
    std::uint8_t escape_list[256];
    std::uint32_t escape_steps[256];  // with has_escape_steps: what the next 8 bits of escape_bits hold

    const DecodeKernel* kernel;
    unsigned kernel_levels;  // of the AVX2 kernel's search
    unsigned lanes;
    unsigned memory;  // of the trellis whose states choose among two contexts; else 0
    unsigned raw_bits;
    unsigned symbol_bits;  // of a coarse symbol; only with escapes
    unsigned n_tables;
    bool has_escapes;  // some table has
    bool in_tail;

    const std::uint8_t* in;
    const std::uint8_t* limit;
    const std::uint8_t* in_end;
    const std::uint8_t* raw;  // low bits of symbol `done`, when a round begins
    std::size_t count;
    std::size_t done;
    std::size_t tile;       // symbols of a tile
    std::size_t tile_left;  // symbols of the current tile that are still to come
    std::size_t next_tile;
    const Table* table;     // of the current tile

    const std::uint8_t* escape;           // next one in `escapes`
    const std::uint8_t* escapes_end;
    std::span<const std::uint8_t> escape_bits;
    std::size_t escapes_unread;           // not yet in `escapes`
    std::size_t escape_at;                // in escape_bits, in bits
    EscapeCode escape_code;
    unsigned escape_width;                // of a place; ranked: of its low bits
    unsigned escape_list_size;
    bool has_escape_steps;
    std::size_t payload_bytes;
};

// A tile begins. The choice was checked when the stream was opened.
inline unsigned enter_tile(Stream& s) noexcept {
    const unsigned k = s.n_tables > 1 ? s.choices[s.next_tile++] : 0;
    s.table = &s.tables[k];
    s.tile_left = s.tile;
    return k;
}

// Forms of a stream, but for the masked one.
inline constexpr std::uint8_t kPlainForm = 0;
inline constexpr std::uint8_t kTrellisForm = 2;

Status open_plain(Stream& s, std::span<const std::uint8_t> payload, std::size_t count,
                  unsigned bits, std::uint8_t form) noexcept;

// The next n symbols; `out` has room for n + 64.
//   requires  n a multiple of the lanes, or all that are left; n <= kBlock
Status next_plain(Stream& s, std::size_t n, std::uint8_t* out) noexcept;
Status finish_plain(const Stream& s) noexcept;

// The same by another loop than the kernel's, into the `sink` that it knows.
//   requires  n a multiple of the lanes, which are at least 64; n <= kFusedStep
using SinkRoundsFn = std::size_t (*)(Stream&, void* sink, std::size_t rounds) noexcept;
Status next_to_sink(Stream& s, std::size_t n, SinkRoundsFn rounds, void* sink) noexcept;

// Streams of 64 lanes wait for their own last round most of the time: several of them take turns.
inline bool can_go_abreast(const Stream& s) noexcept {
    return s.lanes == 64 && s.memory == 0 && s.kernel->abreast != nullptr;
}

// The next n symbols of each of such streams.
//   requires  n a multiple of 64, at most kBlock
Status next_abreast(Stream* const* streams, unsigned count, std::size_t n, std::uint8_t* const* out) noexcept;

// The stream of a decoder of `rans` with at least 64 lanes, in the plain form or, if wanted, along a trellis;
// else null.
Stream* wide_stream(void* state, bool or_trellis) noexcept;

// n symbols were taken from that stream by next_to_sink.
void advance(void* state, std::size_t n) noexcept;

// Puts zeros where `nibbles` have a zero bit, the next value where they have a one. Returns how
// many values were used: at most n. Reads up to 64 values more; `out` has room for n + 64, and
// nibbles are readable up to the next multiple of 16.
using MergeFn = std::size_t (*)(const std::uint8_t* nibbles, std::size_t n,
                                const std::uint8_t* values, std::uint8_t zero,
                                std::uint8_t* out) noexcept;
std::size_t merge_portable(const std::uint8_t*, std::size_t, const std::uint8_t*, std::uint8_t,
                           std::uint8_t*) noexcept;
std::size_t merge_avx2(const std::uint8_t*, std::size_t, const std::uint8_t*, std::uint8_t,
                       std::uint8_t*) noexcept;
std::size_t merge_avx512(const std::uint8_t*, std::size_t, const std::uint8_t*, std::uint8_t,
                         std::uint8_t*) noexcept;

}  // namespace qc::rans
