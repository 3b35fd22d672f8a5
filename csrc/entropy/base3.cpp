// entropy/base3.cpp - the portable kernels, and what surrounds all of them.
#include "entropy/base3.hpp"

#include <algorithm>

namespace qc::base3 {
namespace {

bool join(const std::uint8_t* symbols, std::size_t part, std::size_t n,
          std::uint8_t* bytes) noexcept {
    const std::uint8_t *s0 = symbols, *s1 = s0 + part, *s2 = s1 + part, *s3 = s2 + part,
                       *s4 = s3 + part;
    std::uint8_t largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        largest = std::max({largest, s0[i], s1[i], s2[i], s3[i], s4[i]});
        bytes[i] =
            static_cast<std::uint8_t>(81 * s0[i] + 27 * s1[i] + 9 * s2[i] + 3 * s3[i] + s4[i]);
    }
    return largest <= 2;
}

std::size_t shorten(const std::uint8_t* bytes, std::size_t n, std::uint8_t* out) noexcept {
    std::uint8_t* o = out;
    for (std::size_t i = 0; i < n;) {
        if (bytes[i] != kOnes) {
            *o++ = bytes[i++];
            continue;
        }
        const std::size_t first = i;
        while (i < n && bytes[i] == kOnes) ++i;
        o = put_run(i - first, o);
    }
    return static_cast<std::size_t>(o - out);
}

Status expand(std::span<const std::uint8_t> payload, std::size_t n,
              std::uint8_t* fractions) noexcept {
    constexpr std::size_t kStep = 8;
    std::uint8_t *out = fractions, *const end = fractions + n;
    std::size_t at = 0;
    while (payload.size() - at >= kStep &&
           static_cast<std::size_t>(end - out) >= kStep * kMaxRun) {
        for (std::size_t k = 0; k < kStep; ++k) out = expand_byte(payload[at + k], out);
        at += kStep;
    }
    return expand_rest(payload, at, out, end);
}

template <unsigned kPower>
void digit_of(const std::uint8_t* fractions, std::size_t n, std::uint8_t* symbols) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const unsigned fraction = fractions[i] * kPower & 0xFF;
        symbols[i] = static_cast<std::uint8_t>(fraction * 3 >> 8);
    }
}

void digit(const std::uint8_t* fractions, std::size_t n, unsigned k,
           std::uint8_t* symbols) noexcept {
    switch (k) {
        case 0: return digit_of<1>(fractions, n, symbols);
        case 1: return digit_of<3>(fractions, n, symbols);
        case 2: return digit_of<9>(fractions, n, symbols);
        case 3: return digit_of<27>(fractions, n, symbols);
        default: return digit_of<81>(fractions, n, symbols);
    }
}

// Symbols that are looked at before memory is asked for.
constexpr std::size_t kPeek = 4096;

#if QC_X86
constinit const Variants<const Kernels*> variants{&kPortable, &kAvx2, &kAvx512};
#else
constinit const Variants<const Kernels*> variants{&kPortable};
#endif

}  // namespace

constinit const Kernels kPortable{join, shorten, expand, digit};

const Kernels& kernels() noexcept { return *variants.pick(); }

Status expand_rest(std::span<const std::uint8_t> payload, std::size_t at, std::uint8_t* out,
                   std::uint8_t* end) noexcept {
    for (; at < payload.size(); ++at) {
        if (static_cast<std::size_t>(end - out) < expanded_bytes(payload[at])) {
            return corrupt("zero_run: digits go on after the last symbol", at);
        }
        out = expand_byte(payload[at], out);
    }
    if (out != end) return corrupt("zero_run: digits end before the last symbol", at);
    return kOkStatus;
}

std::span<const std::uint8_t> encode(std::span<const std::uint8_t> symbols,
                                     Workspace& workspace) {
    const std::size_t n = symbols.size(), part = part_symbols(n), padding = 5 * part - n;
    const auto head = symbols.first(std::min(n, kPeek));
    if (std::any_of(head.begin(), head.end(), [](std::uint8_t s) { return s > 2; })) return {};
    const Kernels& k = kernels();
    std::uint8_t* const bytes = workspace.get(Workspace::kCoder2, 2 * (part + kSlack));
    std::uint8_t* const out = bytes + part + kSlack;
    // In the last bytes one or more parts may lie beyond the end.
    const std::size_t whole = part > padding ? part - padding : 0;
    bool ternary = k.join(symbols.data(), part, whole, bytes);
    for (std::size_t i = whole; i < part; ++i) {
        unsigned byte = 0;
        for (std::size_t at = i; at < 5 * part; at += part) {
            const unsigned symbol = at < n ? symbols[at] : 1;
            ternary = ternary && symbol <= 2;
            byte = 3 * byte + symbol;
        }
        bytes[i] = static_cast<std::uint8_t>(byte);
    }
    if (!ternary) return {};
    return {out, k.shorten(bytes, part, out)};
}

bool padding_is_one(const std::uint8_t* fractions, std::size_t count) noexcept {
    const std::size_t part = part_symbols(count);
    for (std::size_t at = count; at < 5 * part; ++at) {
        std::uint8_t symbol = 0;
        digit(fractions + at % part, 1, static_cast<unsigned>(at / part), &symbol);
        if (symbol != 1) return false;
    }
    return true;
}

}  // namespace qc::base3
