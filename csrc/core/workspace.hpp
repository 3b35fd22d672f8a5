// core/workspace.hpp - scratch memory of one thread, kept from chunk to chunk.
//
// Slots are independent buffers. Growing loses the contents: a kernel asks for a slot once per call. First touch of fresh pages costs more than decoding, so
// a workspace lives as long as its thread works.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/buffer.hpp"

namespace qc {

struct Trellis {
    unsigned memory = 0;  // log2 of its states; 0: none
    unsigned lanes = 0;   // a power of 2, 1 .. 256
};

class Workspace {
public:
    static constexpr std::size_t kPlanes = 8;
    enum Slot : std::size_t {
        kPayload = 0,    // bytes of a chunk as read from a file
        kParams,         // scales of a chunk
        kParams2,        // zero points of a chunk
        kTable,          // elements that symbols stand for
        kSymbols,        // symbol planes of a chunk (encoding)
        kEscapes,        // escaped values of a chunk
        kCoder,          // coder scratch, free for its use within one call
        kCoder2,
        kCoder3,
        kConvert,        // block of elements before conversion to the output dtype
        kStaging,        // block of output before non-temporal stores
        kPartial,        // block or chunk of output of which a part is wanted
        kClasses,        // classes of the elements of a chunk
        kGather,         // symbols put back in the order of elements
        kRows,           // rows of a profile on their way there
        kCoefficients,   // block of elements before the inverse transform
        kState0,         // decoder states, one per plane
        kCount = kState0 + kPlanes,
    };

    // Whether coders may search ten times as long for the last half per cent. Chosen by the caller, so that
    // it is as much a part of a recipe as the codec is.
    bool patient = false;

    // What the symbols of a stream follow, if anything: coders may profit. `lanes` trellises take turns.
    Trellis trellis;

    std::uint8_t* get(std::size_t slot, std::size_t bytes) {
        return buffers_[slot].reserve(bytes);
    }

    template <class T>
    T* get_as(std::size_t slot, std::size_t count) {
        return reinterpret_cast<T*>(get(slot, count * sizeof(T)));
    }

    // Another workspace, for one of several chunks at a time; number 0 is this one.
    static constexpr unsigned kCompanions = 4;
    Workspace& companion(unsigned k) {
        if (k == 0) return *this;
        auto& other = companions_[k - 1];
        if (other == nullptr) other = std::make_unique<Workspace>();
        return *other;
    }

private:
    std::array<Buffer, kCount> buffers_;
    std::array<std::unique_ptr<Workspace>, kCompanions - 1> companions_;
};

}  // namespace qc
