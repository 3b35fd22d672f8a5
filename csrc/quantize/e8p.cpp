// quantize/e8p.cpp - the quantizer `e8p`: eight weights in 16 bits, FORMAT.md, "e8p".
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/bytes.hpp"
#include "quantize/floats.hpp"
#include "quantize/quantizer.hpp"
#include "quantize/uniform_section.hpp"

namespace qc {
namespace {

constexpr unsigned kDim = 8;
constexpr std::uint64_t kOnes = 0x0101010101010101;

// Doubled patterns, so in quarters, one coordinate a byte; `odd` where signs multiply to -1.
struct Codebook {
    std::array<std::uint64_t, 256> pattern{};
    std::array<std::uint8_t, 256> odd{};
    std::array<std::uint64_t, 256> bytes{};  // of bits: 0 or 255
};

constexpr Codebook make_codebook() {
    Codebook book;
    unsigned n = 0;
    // First the 227 with squares that add up to at most 40, then 29 of those of five 3 and three 1.
    for (unsigned turn = 0; turn < 2; ++turn) {
        for (unsigned number = 0; number < 6561 && n < 256; ++number) {
            std::uint64_t pattern = 0;
            unsigned norm = 0;
            unsigned sum = 0;
            unsigned most = 0;
            for (unsigned i = kDim, rest = number; i-- > 0; rest /= 3) {
                const unsigned a = 1 + 2 * (rest % 3);
                pattern |= std::uint64_t{2 * a} << 8 * i;
                norm += a * a;
                sum += a;
                most = std::max(most, a);
            }
            if (turn == 0 ? norm > 40 : norm != 48 || most != 3) continue;
            book.pattern[n] = pattern;
            book.odd[n++] = static_cast<std::uint8_t>(sum / 2 % 2);
        }
    }
    for (unsigned b = 0; b < 256; ++b) {
        for (unsigned i = 0; i < 8; ++i) book.bytes[b] |= b >> i & 1 ? std::uint64_t{255} << 8 * i : 0;
    }
    return book;
}
constexpr Codebook kBook = make_codebook();
static_assert(kBook.pattern[1] == 0x0602020202020202 && kBook.pattern[227] == 0x0606060606020202);

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    const std::size_t start = in.at();
    std::uint8_t form = 0;
    QC_TRY(in.get(form, "e8p: form"));
    if (form > 1) return corrupt("e8p: unknown form", start);
    state.entries = range.entries(t);
    const bool scales16 = form == 1;
    std::span<const std::uint8_t> stored;
    QC_TRY(in.take(state.entries * (scales16 ? 2 : 4), stored, "e8p: scales"));
    float* const scales = workspace.get_as<float>(Workspace::kParams, state.entries);
    QC_TRY(read_scales(stored, scales16, state.entries, scales));
    state.scales = scales;
    state.planes = 2;
    state.bits[0] = state.bits[1] = 8;
    return kOkStatus;
}

Status next_plane(const TensorSpec&, ChunkRange range, ChunkState&, unsigned,
                  const std::uint8_t* const*, std::size_t& count, unsigned& bits) noexcept {
    count = (range.count + kDim - 1) / kDim;
    bits = 8;
    return kOkStatus;
}

// Points in quarters. No byte carries into the next: magnitudes are 2 to 10, and 1 is added or taken away.
void put_points(const std::uint8_t* low, const std::uint8_t* high, std::size_t vectors,
                std::int8_t* out) noexcept {
    for (std::size_t v = 0; v < vectors; ++v) {
        const unsigned free = low[v] & 0xFEu;
        const unsigned first = (static_cast<unsigned>(std::popcount(free)) ^ kBook.odd[high[v]]) & 1;
        const std::uint64_t minus = kBook.bytes[free | first];
        const std::uint64_t signed_pattern = (kBook.pattern[high[v]] ^ minus) + (minus & kOnes);
        const std::uint64_t up = signed_pattern + kOnes;
        const std::uint64_t down = signed_pattern - kOnes;
        store(reinterpret_cast<std::uint8_t*>(out) + kDim * v, (low[v] & 1) != 0 ? down : up);
    }
}

[[gnu::always_inline]] inline void to_floats(const std::int8_t* quarters, std::size_t n, float scale,
                                             float* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(quarters[i]) * 0.25f * scale;
}

using ScaleFn = void (*)(const std::int8_t* quarters, std::size_t n, float scale, float* out);

void scale_portable(const std::int8_t* quarters, std::size_t n, float scale, float* out) {
    to_floats(quarters, n, scale, out);
}
#if QC_X86
QC_TARGET("avx2")
void scale_avx2(const std::int8_t* quarters, std::size_t n, float scale, float* out) {
    to_floats(quarters, n, scale, out);
}
QC_TARGET_END
QC_TARGET("avx512f,avx512bw,avx512vl,avx512dq" QC_PREFER_512)
void scale_avx512(const std::int8_t* quarters, std::size_t n, float scale, float* out) {
    to_floats(quarters, n, scale, out);
}
QC_TARGET_END
constinit const Variants<ScaleFn> scale_points{scale_portable, scale_avx2, scale_avx512};
#else
constinit const Variants<ScaleFn> scale_points{scale_portable};
#endif

Status inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, std::uint8_t* out,
               DType out_dtype, Workspace& workspace) noexcept {
    constexpr std::size_t kGroup = 2048;
    const bool direct = out_dtype == DType::kF32;
    float* const values = direct ? reinterpret_cast<float*>(out)
                                 : workspace.get_as<float>(Workspace::kConvert, n);
    const auto scale = scale_points.pick();
    for (std::size_t i = 0; i < n; i += kGroup) {
        // Blocks begin with a vector: they are multiples of eight.
        const std::size_t m = std::min(kGroup, n - i);
        const std::size_t v = (at + i) / kDim;
        alignas(64) std::int8_t quarters[kGroup];
        put_points(planes[0] + v, planes[1] + v, (m + kDim - 1) / kDim, quarters);
        for (std::size_t k = 0; k < m;) {
            const std::uint64_t element = range.first + at + i + k;
            const std::size_t run =
                static_cast<std::size_t>(std::min<std::uint64_t>(t.inner - element % t.inner, m - k));
            scale(quarters + k, run, state.scales[range.entry(t, element)], values + i + k);
            k += run;
        }
    }
    if (!direct) from_f32.pick()(values, n, out, out_dtype);
    return kOkStatus;
}

constexpr QuantizerKernel kE8P{
    .name = "e8p", .id = 7, .open = open, .inverse = inverse, .next_plane = next_plane};
const RegisterQuantizer registered{kE8P};

}  // namespace
}  // namespace qc
