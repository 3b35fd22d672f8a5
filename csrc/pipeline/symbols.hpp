// pipeline/symbols.hpp - the symbols of a chunk whose elements are not one plain run (pipeline/parts.hpp).
//
// All planes are read whole, then handed out block by block in the order of elements, whatever the order that they
// are coded in. Chunks of one tensor can be read side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "pipeline/codec.hpp"
#include "pipeline/aside.hpp"
#include "pipeline/order.hpp"
#include "pipeline/plane.hpp"
#include "pipeline/profile_rows.hpp"

namespace qc {

// Floats of the blocks that are transformed together: rows and what becomes of them stay in L2, and a row is a few
// lines long, which memory brings faster than as many lines from all over.
constexpr std::size_t kTogether = 16384;
constexpr std::size_t kRowPad = 16;  // rows a power of two apart would share sets of the cache
static_assert(kTogether >= kBlock);

class Symbols {
public:
    Symbols(const Codec& codec, std::span<const Part> parts, std::span<const std::uint8_t> bytes, Workspace& workspace);

    // Reads all planes of chunks, at most Workspace::kCompanions of them, each with a workspace of its own.
    static Status read(std::span<Symbols* const> chunks);

    // The next n <= kTogether symbols of each plane; whole planes where `inverse` wants those.
    const std::uint8_t* const* next(std::size_t n) noexcept;

    // What may go on beside an output of what next() gave.
    Aside aside() noexcept { return in_rows_ ? Aside(*rows_) : Aside(); }

    // Whether planes stand position by position, and where so: symbols of a run of one of them.
    bool by_position() const noexcept { return by_position_; }
    const std::uint8_t* const* run(std::size_t first) noexcept;

private:
    Status open();                                      // what stands before the planes
    Status open_plane(unsigned k, WholePlane& plane);   // no symbols: nothing was opened
    Status close();
    Status pass_sections();
    Status read_profile(const std::uint8_t*& profile);
    void fill_classes(const std::uint8_t* profile, std::uint8_t* classes) const;
    const std::uint8_t* const* next_blocks(std::size_t n) noexcept;

    const Codec& codec_;
    const std::span<const Part> parts_;
    Workspace& workspace_;
    ByteReader in_;
    ChunkState state_;
    PlaneReader reader_;
    std::optional<ProfileRows> rows_;
    const std::uint8_t* classes_ = nullptr;
    std::uint8_t* room_ = nullptr;  // for the next plane
    std::size_t count_ = 0;         // elements of the chunk
    std::size_t most_ = 0;          // symbols that a plane may have
    unsigned planes_ = 0;
    std::size_t taken_ = 0;
    bool whole_ = false;
    bool in_blocks_ = false;    // planes stand position by position
    bool by_position_ = false;  // and may be taken so
    bool gathers_ = false;
    bool in_rows_ = false;      // rows are put as they are wanted
    const std::uint8_t* plane_[Workspace::kPlanes] = {};
    const std::uint8_t* at_[Workspace::kPlanes] = {};
    std::uint8_t* gathered_[Workspace::kPlanes] = {};
    std::optional<OrderedReader> ordered_;
};

}  // namespace qc
