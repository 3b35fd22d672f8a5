// core/bytes.hpp - little-endian loads and stores, and a reader that cannot leave its span.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/status.hpp"

namespace qc {

static_assert(std::endian::native == std::endian::little,
              "loads and stores are written for little-endian machines");

template <class T>
inline T load(const std::uint8_t* p) noexcept {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
inline void store(std::uint8_t* p, T v) noexcept {
    std::memcpy(p, &v, sizeof v);
}

// FORMAT.md, "Conventions": at most 9 bytes, shortest form.
inline constexpr std::size_t kMaxVarint = 9;

inline std::size_t put_varint(std::uint8_t* out, std::uint64_t v) noexcept {
    std::size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = static_cast<std::uint8_t>(v | 0x80);
    out[n++] = static_cast<std::uint8_t>(v);
    return n;
}

class ByteReader {
public:
    explicit ByteReader(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes) {}

    std::size_t at() const noexcept { return at_; }
    std::size_t left() const noexcept { return bytes_.size() - at_; }

    template <class T>
    Status get(T& v, const char* what) noexcept {
        if (left() < sizeof(T)) return truncated(what, at_);
        v = load<T>(bytes_.data() + at_);
        at_ += sizeof(T);
        return kOkStatus;
    }

    Status take(std::uint64_t n, std::span<const std::uint8_t>& out, const char* what) noexcept {
        if (left() < n) return truncated(what, at_);
        out = bytes_.subspan(at_, static_cast<std::size_t>(n));
        at_ += static_cast<std::size_t>(n);
        return kOkStatus;
    }

    Status varint(std::uint64_t& v, const char* what) noexcept {
        v = 0;
        for (std::size_t k = 0; k < kMaxVarint; ++k) {
            if (left() == 0) return truncated(what, at_);
            const std::uint8_t b = bytes_[at_++];
            v |= static_cast<std::uint64_t>(b & 0x7F) << (7 * k);
            if (b < 0x80) {
                if (b == 0 && k > 0) return corrupt(what, at_ - 1);
                return kOkStatus;
            }
        }
        return corrupt(what, at_);
    }

private:
    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
};

}  // namespace qc
