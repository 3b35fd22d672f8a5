// core/buffer.hpp - bytes, 64-byte aligned, that only ever grow. Growing loses the contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "core/sanitized.hpp"
#if QC_SANITIZED
#include <sanitizer/asan_interface.h>
#endif

namespace qc {

class Buffer {
public:
    // At least n bytes, uninitialised where they are new.
    std::uint8_t* reserve(std::size_t n) {
        if (capacity_ < n) {
            const std::size_t grown = n + n / 4 + 64;
            data_.reset();
            capacity_ = 0;
            data_.reset(static_cast<std::uint8_t*>(::operator new(grown, std::align_val_t{64})));
            capacity_ = grown;
        }
#if QC_SANITIZED
        // What nobody asked for counts as outside.
        __asan_unpoison_memory_region(data_.get(), n);
        __asan_poison_memory_region(data_.get() + n, capacity_ - n);
#endif
        return data_.get();
    }

    // How many of them count.
    void resize(std::size_t n) noexcept { size_ = n; }
    std::span<const std::uint8_t> bytes() const noexcept { return {data_.get(), size_}; }

private:
    struct Free {
        void operator()(std::uint8_t* p) const noexcept {
            ::operator delete(p, std::align_val_t{64});
        }
    };
    std::unique_ptr<std::uint8_t, Free> data_;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
};

}  // namespace qc
