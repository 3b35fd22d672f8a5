// core/status.hpp - how kernels report: what went wrong, and where. No exceptions below bind/.
#pragma once

#include <cstdint>

namespace qc {

enum class Code : std::uint8_t {
    kOk = 0,
    kInput = 1,        // the caller's data: NaN, infinity, out of reach of the step
    kTruncated = 2,    // a section or stream ends too early
    kCorrupt = 3,      // bytes that no writer writes
    kUnsupported = 4,  // a kernel, dtype or form this build does not have
    kLimit = 5,        // beyond a limit of the format
    kIo = 6,           // the operating system refused; `at` is errno
};

struct [[nodiscard]] Status {
    Code code = Code::kOk;
    std::uint64_t at = 0;      // element for kInput, byte within the chunk otherwise
    const char* what = "";     // a literal: "huffman: code lengths do not add up"

    constexpr bool ok() const noexcept { return code == Code::kOk; }
};

inline constexpr Status kOkStatus{};

constexpr Status corrupt(const char* what, std::uint64_t at = 0) noexcept {
    return {Code::kCorrupt, at, what};
}
constexpr Status truncated(const char* what, std::uint64_t at = 0) noexcept {
    return {Code::kTruncated, at, what};
}

}  // namespace qc

#define QC_TRY(expression)                                     \
    do {                                                       \
        if (const ::qc::Status qc_try_status = (expression); !qc_try_status.ok()) \
            return qc_try_status;                              \
    } while (false)
