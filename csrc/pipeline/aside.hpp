// pipeline/aside.hpp - work that waits until it costs nothing.
//
// Memory takes lines that go around the caches more slowly than loops make them, and some hundred of them wait in the
// core meanwhile. What is done between a few of them and the next few fills that time.
#pragma once

#include <cstddef>

namespace qc {

// A piece of work for each 64 lines or so, or none.
class Aside {
public:
    static constexpr std::size_t kSymbols = 1024;  // 64 lines of float32

    Aside() = default;
    // requires  `of` outlives this
    template <class T>
    explicit Aside(T& of) noexcept
        : work_([](void* what) noexcept { static_cast<T*>(what)->work_aside(); }), of_(&of) {}

    explicit operator bool() const noexcept { return work_ != nullptr; }
    void operator()() const noexcept { work_(of_); }

private:
    void (*work_)(void*) noexcept = nullptr;
    void* of_ = nullptr;
};

}  // namespace qc
