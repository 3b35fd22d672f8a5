// core/bits.hpp - bit strings of FORMAT.md: bytes fill from bit 0, values put their low bit first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/bytes.hpp"

namespace qc {

inline constexpr std::size_t bytes_for_bits(std::uint64_t bits) noexcept {
    return static_cast<std::size_t>(bits / 8 + (bits % 8 != 0));
}

// Low `width` bits, 1 .. 7, of the eight bytes of a word to its lowest 8 * width bits, and back.
// Fields move in three steps: those of odd bytes, then pairs, then fours of them.
class EightFields {
public:
    explicit EightFields(unsigned width) noexcept
        : width_(width),
          one_(0x0001000100010001 * ((std::uint64_t{1} << width) - 1)),
          two_(0x0000000100000001 * ((std::uint64_t{1} << 2 * width) - 1)),
          four_((std::uint64_t{1} << 4 * width) - 1) {}

    std::uint64_t join(std::uint64_t x) const noexcept {
        x = (x & one_) | (x >> (8 - width_) & one_ << width_);
        x = (x & two_) | (x >> (16 - 2 * width_) & two_ << 2 * width_);
        return (x & four_) | (x >> (32 - 4 * width_) & four_ << 4 * width_);
    }
    std::uint64_t spread(std::uint64_t x) const noexcept {
        x = (x & four_) | (x & four_ << 4 * width_) << (32 - 4 * width_);
        x = (x & two_) | (x & two_ << 2 * width_) << (16 - 2 * width_);
        return (x & one_) | (x & one_ << width_) << (8 - width_);
    }

private:
    unsigned width_;
    std::uint64_t one_;
    std::uint64_t two_;
    std::uint64_t four_;
};

// From bit `at` of a bit string on, at least 57 bits; zeros where it has ended.
inline std::uint64_t bit_window(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
    const std::size_t byte = at / 8;
    std::uint64_t window = 0;
    if (byte + 8 <= bytes.size()) {
        window = load<std::uint64_t>(bytes.data() + byte);
    } else if (byte < bytes.size()) {
        std::memcpy(&window, bytes.data() + byte, bytes.size() - byte);
    }
    return window >> at % 8;
}

// Writes at most as many bits as its span holds; the caller sizes the span.
class BitWriter {
public:
    explicit BitWriter(std::uint8_t* out) noexcept : out_(out) {}

    // requires  count <= 32, value < 2^count
    void put(std::uint32_t value, unsigned count) noexcept {
        hold_ |= static_cast<std::uint64_t>(value) << held_;
        held_ += count;
        if (held_ < 32) return;
        store(out_ + n_, static_cast<std::uint32_t>(hold_));
        n_ += 4;
        held_ -= 32;
        hold_ >>= 32;
    }

    // Pads the last byte with zeros; returns the bytes written.
    std::size_t finish() noexcept {
        for (; held_ > 0; held_ -= std::min(held_, 8u), hold_ >>= 8) {
            out_[n_++] = static_cast<std::uint8_t>(hold_);
        }
        return n_;
    }

private:
    std::uint8_t* out_;
    std::size_t n_ = 0;
    std::uint64_t hold_ = 0;
    unsigned held_ = 0;
};

// Reads past the end give zeros and set overrun(): check it once, after a run of gets.
class BitReader {
public:
    explicit BitReader(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes) {}

    // requires  count <= 32
    std::uint32_t get(unsigned count) noexcept {
        while (held_ < count) {
            const std::uint64_t byte = at_ < bytes_.size() ? bytes_[at_] : 0;
            ++at_;
            hold_ |= byte << held_;
            held_ += 8;
        }
        const auto v = static_cast<std::uint32_t>(hold_ & ((std::uint64_t{1} << count) - 1));
        hold_ >>= count;
        held_ -= count;
        return v;
    }

    bool overrun() const noexcept { return at_ > bytes_.size(); }
    bool padding_is_zero() const noexcept { return hold_ == 0; }
    std::size_t bytes_used() const noexcept { return at_; }

private:
    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
    std::uint64_t hold_ = 0;
    unsigned held_ = 0;
};

}  // namespace qc
