#include "core/resident.hpp"

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace qc {

#ifdef __linux__
bool is_resident(const void* at) noexcept {
    static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    unsigned char there = 1;
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(at) / page * page;
    return ::mincore(reinterpret_cast<void*>(begin), 1, &there) != 0 || (there & 1) != 0;
}
#else
bool is_resident(const void*) noexcept { return true; }
#endif

}  // namespace qc
