#include "core/resident.hpp"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace qc {
namespace {

constexpr std::size_t kStreamBytes = std::size_t{8} << 20;

#ifdef __linux__
bool is_resident(const std::uint8_t* at) noexcept {
    static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    unsigned char there = 1;
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(at) / page * page;
    return ::mincore(reinterpret_cast<void*>(begin), 1, &there) != 0 || (there & 1) != 0;
}
#else
bool is_resident(const std::uint8_t*) noexcept { return true; }
#endif

}  // namespace

bool goes_around(std::size_t size, const std::uint8_t* end) noexcept {
    return size >= kStreamBytes && is_resident(end - 1);
}

}  // namespace qc
