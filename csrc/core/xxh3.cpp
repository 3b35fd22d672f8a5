#include "core/xxh3.hpp"

#include <algorithm>
#include <bit>

#include "core/bytes.hpp"

namespace qc {
namespace {

constexpr std::uint64_t kPrime32_1 = 0x9E3779B1u;
constexpr std::uint64_t kPrime32_2 = 0x85EBCA77u;
constexpr std::uint64_t kPrime32_3 = 0xC2B2AE3Du;
constexpr std::uint64_t kPrime64_1 = 0x9E3779B185EBCA87u;
constexpr std::uint64_t kPrime64_2 = 0xC2B2AE3D27D4EB4Fu;
constexpr std::uint64_t kPrime64_3 = 0x165667B19E3779F9u;
constexpr std::uint64_t kPrime64_4 = 0x85EBCA77C2B2AE63u;
constexpr std::uint64_t kPrime64_5 = 0x27D4EB2F165667C5u;
constexpr std::uint64_t kPrimeMx1 = 0x165667919E3779F9u;
constexpr std::uint64_t kPrimeMx2 = 0x9FB21C651E98DF25u;

// The default secret: arbitrary bytes fixed by the algorithm.
alignas(64) constexpr std::uint8_t kSecret[kXxh3SecretBytes] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

std::uint64_t word(const std::uint8_t* p) noexcept { return load<std::uint64_t>(p); }
std::uint64_t half(const std::uint8_t* p) noexcept { return load<std::uint32_t>(p); }

std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t avalanche(std::uint64_t h) noexcept {
    h ^= h >> 37;
    h *= kPrimeMx1;
    return h ^ h >> 32;
}

std::uint64_t avalanche_xxh64(std::uint64_t h) noexcept {
    h ^= h >> 33;
    h *= kPrime64_2;
    h ^= h >> 29;
    h *= kPrime64_3;
    return h ^ h >> 32;
}

std::uint64_t mix16(const std::uint8_t* in, const std::uint8_t* secret, std::uint64_t seed) noexcept {
    return fold(word(in) ^ (word(secret) + seed), word(in + 8) ^ (word(secret + 8) - seed));
}

std::uint64_t hash_to_16(const std::uint8_t* in, std::size_t n, std::uint64_t seed) noexcept {
    if (n > 8) {
        const std::uint64_t low = word(in) ^ ((word(kSecret + 24) ^ word(kSecret + 32)) + seed);
        const std::uint64_t high =
            word(in + n - 8) ^ ((word(kSecret + 40) ^ word(kSecret + 48)) - seed);
        return avalanche(n + __builtin_bswap64(low) + high + fold(low, high));
    }
    if (n >= 4) {
        seed ^= static_cast<std::uint64_t>(__builtin_bswap32(static_cast<std::uint32_t>(seed))) << 32;
        std::uint64_t h = (half(in + n - 4) + (half(in) << 32)) ^
                          ((word(kSecret + 8) ^ word(kSecret + 16)) - seed);
        h ^= std::rotl(h, 49) ^ std::rotl(h, 24);
        h *= kPrimeMx2;
        h ^= (h >> 35) + n;
        h *= kPrimeMx2;
        return h ^ h >> 28;
    }
    if (n > 0) {
        const std::uint64_t combined = static_cast<std::uint64_t>(in[0]) << 16 |
                                       static_cast<std::uint64_t>(in[n >> 1]) << 24 |
                                       in[n - 1] | n << 8;
        return avalanche_xxh64(combined ^ ((half(kSecret) ^ half(kSecret + 4)) + seed));
    }
    return avalanche_xxh64(seed ^ word(kSecret + 56) ^ word(kSecret + 64));
}

std::uint64_t hash_to_128(const std::uint8_t* in, std::size_t n, std::uint64_t seed) noexcept {
    std::uint64_t acc = n * kPrime64_1;
    for (std::size_t k = (n - 1) / 32 + 1; k-- > 0;) {
        acc += mix16(in + 16 * k, kSecret + 32 * k, seed);
        acc += mix16(in + n - 16 * (k + 1), kSecret + 32 * k + 16, seed);
    }
    return avalanche(acc);
}

std::uint64_t hash_to_240(const std::uint8_t* in, std::size_t n, std::uint64_t seed) noexcept {
    std::uint64_t acc = n * kPrime64_1;
    for (std::size_t k = 0; k < 8; ++k) acc += mix16(in + 16 * k, kSecret + 16 * k, seed);
    acc = avalanche(acc);
    for (std::size_t k = 8; k < n / 16; ++k) {
        acc += mix16(in + 16 * k, kSecret + 16 * (k - 8) + 3, seed);
    }
    return avalanche(acc + mix16(in + n - 16, kSecret + 136 - 17, seed));
}

constexpr std::size_t kMaxShort = 240;

}  // namespace

Xxh3::Xxh3(std::span<const std::uint8_t> data, std::uint64_t seed) noexcept
    : data_(data),
      seed_(seed),
      blocks_end_(data.size() <= kMaxShort ? 0 : (data.size() - 1) / kXxh3Block * kXxh3Block),
      lanes_{kPrime32_3, kPrime64_1, kPrime64_2, kPrime64_3,
             kPrime64_4, kPrime32_2, kPrime64_5, kPrime32_1} {
    for (std::size_t k = 0; k < kXxh3SecretBytes; k += 16) {
        store(secret_ + k, word(kSecret + k) + seed);
        store(secret_ + k + 8, word(kSecret + k + 8) - seed);
    }
}

void Xxh3::advance(std::size_t end) noexcept {
    end = std::min(end, blocks_end_);
    if (end < at_ + kXxh3Block) return;
    const std::size_t blocks = (end - at_) / kXxh3Block;
    xxh3_blocks.pick()(data_.data() + at_, blocks, secret_, lanes_);
    at_ += blocks * kXxh3Block;
}

std::uint64_t Xxh3::finish() noexcept {
    const std::size_t n = data_.size();
    if (n <= 16) return hash_to_16(data_.data(), n, seed_);
    if (n <= 128) return hash_to_128(data_.data(), n, seed_);
    if (n <= kMaxShort) return hash_to_240(data_.data(), n, seed_);
    advance(blocks_end_);
    const std::uint8_t* const rest = data_.data() + blocks_end_;
    for (std::size_t k = 0; k < (n - 1 - blocks_end_) / 64; ++k) {
        xxh3_stripe(rest + 64 * k, secret_ + 8 * k, lanes_);
    }
    xxh3_stripe(data_.data() + n - 64, secret_ + kXxh3SecretBytes - 64 - 7, lanes_);
    std::uint64_t h = n * kPrime64_1;
    for (std::size_t k = 0; k < 4; ++k) {
        h += fold(lanes_[2 * k] ^ word(secret_ + 11 + 16 * k),
                  lanes_[2 * k + 1] ^ word(secret_ + 19 + 16 * k));
    }
    return avalanche(h);
}

std::uint64_t xxh3_64(const std::uint8_t* data, std::size_t length, std::uint64_t seed) noexcept {
    return Xxh3({data, length}, seed).finish();
}

}  // namespace qc
