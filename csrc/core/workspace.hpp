// core/workspace.hpp - scratch memory of one thread, kept from chunk to chunk.
//
// Slots are independent buffers, 64-byte aligned, that only ever grow. Growing loses the contents:
// a kernel asks for a slot once per call. First touch of fresh pages costs more than decoding, so
// a workspace lives as long as its thread works.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace qc {

class Workspace {
public:
    static constexpr std::size_t kPlanes = 8;
    enum Slot : std::size_t {
        kPayload = 0,    // bytes of a chunk as read from a file
        kParams,         // scales of a chunk
        kParams2,        // zero points of a chunk
        kSymbols,        // symbol planes of a chunk (encoding)
        kEscapes,        // escaped values of a chunk
        kOutput,         // encoded chunk
        kCoder,          // coder scratch, free for its use within one call
        kCoder2,
        kCoder3,
        kConvert,        // block of elements before conversion to the output dtype
        kStaging,        // block of output before non-temporal stores
        kPartial,        // block of output of which a part is wanted
        kState0,         // decoder states, one per plane
        kCount = kState0 + kPlanes,
    };

    std::uint8_t* get(std::size_t slot, std::size_t bytes) {
        Buffer& b = buffers_[slot];
        if (b.size < bytes) {
            const std::size_t grown = bytes + bytes / 4 + 64;
            b.data.reset();
            b.size = 0;
            b.data.reset(static_cast<std::uint8_t*>(::operator new(grown, std::align_val_t{64})));
            b.size = grown;
        }
        return b.data.get();
    }

    template <class T>
    T* get_as(std::size_t slot, std::size_t count) {
        return reinterpret_cast<T*>(get(slot, count * sizeof(T)));
    }

private:
    struct Free {
        void operator()(std::uint8_t* p) const noexcept {
            ::operator delete(p, std::align_val_t{64});
        }
    };
    struct Buffer {
        std::unique_ptr<std::uint8_t, Free> data;
        std::size_t size = 0;
    };
    std::array<Buffer, kCount> buffers_;
};

}  // namespace qc
