// entropy/rans_escapes.cpp - lists of escaped symbols, and the escapes themselves, a few of them at a look.
#include "entropy/rans_escapes.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bits.hpp"

namespace qc::rans {
namespace {

constexpr unsigned kStepBits = 8;
constexpr unsigned kMostInStep = 3;
constexpr std::size_t kWorthSteps = 1024;  // escapes: to plan the steps takes as long as to read so many one by one

// The place that a window begins with, and the bits that it takes. After too many ones it is beyond every list.
unsigned read_place(const Stream& s, std::uint64_t window, unsigned& length) noexcept {
    const bool ranked = s.escape_code == EscapeCode::kRanked;
    const unsigned width = s.escape_width;
    const unsigned ones = ranked ? std::min<unsigned>(std::countr_one(window), kMostRankedOnes + 1) : 0;
    const unsigned before = ranked ? ones + 1 : 0;
    length = before + width;
    return ones << width | (static_cast<unsigned>(window >> before) & ((1u << width) - 1));
}

// For each value of the next bits: up to three symbols that are whole in them, a byte each, and in the last byte their
// number in the upper half, their bits in the lower. None where the first is longer, or out of range.
void plan_steps(Stream& s) noexcept {
    for (unsigned value = 0; value >> kStepBits == 0; ++value) {
        std::uint32_t step = 0;
        unsigned count = 0;
        unsigned used = 0;
        for (; count < kMostInStep; ++count) {
            unsigned length = 0;
            const unsigned place = read_place(s, value >> used, length);
            if (used + length > kStepBits || place >= s.escape_list_size) break;
            step |= std::uint32_t{s.escape_list[place]} << (8 * count);
            used += length;
        }
        s.escape_steps[value] = step | count << 28 | used << 24;
    }
}

// Of n places of the list, most of them, as symbols; returns of how many. `out` has room for one more.
std::size_t read_steps(Stream& s, std::size_t n, std::uint8_t* out) noexcept {
    constexpr unsigned kWindow = 57;  // bits of one
    std::uint8_t* const begin = out;
    const std::uint8_t* const end = out + n;
    while (out + kMostInStep <= end) {
        std::uint64_t window = bit_window(s.escape_bits, s.escape_at);
        unsigned used = 0;
        while (used + kStepBits <= kWindow && out + kMostInStep <= end) {
            const std::uint32_t step = s.escape_steps[window & ((1u << kStepBits) - 1)];
            if (step >> 28 == 0) break;
            store(out, step);
            out += step >> 28;
            const unsigned length = step >> 24 & 15;
            window >>= length;
            used += length;
        }
        s.escape_at += used;
        if (used + kStepBits <= kWindow) break;
    }
    return static_cast<std::size_t>(out - begin);
}

// n places of the list, as symbols; false where one is out of range.
bool read_places(Stream& s, std::size_t n, std::uint8_t* out) noexcept {
    const std::uint8_t* const end = out + n;
    bool right = true;
    while (out < end) {
        if (s.has_escape_steps) out += read_steps(s, static_cast<std::size_t>(end - out), out);
        if (out == end) break;
        unsigned length = 0;
        const unsigned place = read_place(s, bit_window(s.escape_bits, s.escape_at), length);
        right = right && place < s.escape_list_size;
        *out++ = s.escape_list[place & 0xFF];
        s.escape_at += length;
    }
    return right;
}

// Fills `escapes` up: called where fewer than a block of them wait there.
Status read_escapes(Stream& s) noexcept {
    const auto waiting = static_cast<std::size_t>(s.escapes_end - s.escape);
    std::memmove(s.escapes, s.escape, waiting);
    const std::size_t n = std::min(kEscapeRoom - waiting, s.escapes_unread);
    std::uint8_t* out = s.escapes + waiting;
    bool right = true;
    if (s.escape_code == EscapeCode::kByte) {
        const std::uint8_t* in = s.escape_bits.data() + s.escape_at / 8;
        const unsigned raw_bits = s.raw_bits;
        const unsigned symbol_bits = s.symbol_bits;
        std::uint8_t wrong = 0;
        for (std::size_t k = 0; k < n; ++k) {
            out[k] = static_cast<std::uint8_t>(in[k] << raw_bits);
            wrong |= static_cast<std::uint8_t>(in[k] >> symbol_bits);
        }
        s.escape_at += 8 * n;
        right = wrong == 0;
    } else {
        right = read_places(s, n, out);
    }
    s.escapes_unread -= n;
    s.escape = s.escapes;
    s.escapes_end = s.escapes + waiting + n;
    if (!right) return corrupt("rans: escaped symbol out of range");
    if (s.escapes_unread == 0) {
        if (bytes_for_bits(s.escape_at) != s.escape_bits.size()) return corrupt("rans: bytes of the escapes");
        if (bit_window(s.escape_bits, s.escape_at) != 0) return corrupt("rans: padding after the escapes");
    }
    return kOkStatus;
}

}  // namespace

Status open_escapes(Stream& s, ByteReader& in, unsigned symbol_bits, bool ranked, unsigned order,
                    std::uint64_t& bytes) noexcept {
    std::uint64_t n = 0;
    QC_TRY(in.varint(n, "rans: number of escapes"));
    if (n > s.count) return corrupt("rans: more escapes than symbols", in.at());
    s.escapes_unread = static_cast<std::size_t>(n);
    s.escape_at = 0;
    s.escape = s.escapes_end = s.escapes;
    bytes = 0;
    if (n == 0) return ranked ? corrupt("rans: ranked escapes, but there are none", 2) : kOkStatus;
    std::uint8_t size = 0;
    QC_TRY(in.get(size, "rans: list of escaped symbols"));
    s.symbol_bits = symbol_bits;
    s.escape_list_size = size;
    s.escape_code = ranked ? EscapeCode::kRanked : size == 0 ? EscapeCode::kByte : EscapeCode::kPlace;
    s.escape_width = ranked ? order : size == 0 ? 8 : width_of(size);
    if (ranked && (size == 0 || (size - 1u) >> s.escape_width > kMostRankedOnes)) {
        return corrupt("rans: list of ranked escapes empty or too long", in.at() - 1);
    }
    unsigned after = 0;
    bool listed[256] = {};
    for (unsigned k = 0; k < size; ++k) {
        std::uint8_t symbol = 0;
        QC_TRY(in.get(symbol, "rans: list of escaped symbols"));
        if (symbol < after || symbol >> symbol_bits != 0 || listed[symbol]) {
            return corrupt("rans: list of escaped symbols out of order or range", in.at() - 1);
        }
        listed[symbol] = true;
        if (!ranked) after = symbol;
        s.escape_list[k] = static_cast<std::uint8_t>(symbol << s.raw_bits);
    }
    std::memset(s.escape_list + size, 0, sizeof s.escape_list - size);
    bytes = bytes_for_bits(n * s.escape_width);
    s.has_escape_steps = s.escape_code != EscapeCode::kByte && n >= kWorthSteps;
    if (s.has_escape_steps) plan_steps(s);
    return ranked ? in.varint(bytes, "rans: bytes of the escapes") : kOkStatus;
}

Status keep_escapes(Stream& s) noexcept {
    if (s.escape > s.escapes_end) return corrupt("rans: read on after an error");
    if (s.escapes_unread > 0 && static_cast<std::size_t>(s.escapes_end - s.escape) < kBlock) return read_escapes(s);
    return kOkStatus;
}

}  // namespace qc::rans
