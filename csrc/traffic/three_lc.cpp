// traffic/three_lc.cpp - messages; and the portable kernels, which define the right answer.
#include "traffic/three_lc.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/bytes.hpp"
#include "core/resident.hpp"
#include "core/workspace.hpp"
#include "entropy/base3.hpp"
#include "quantize/floats.hpp"

#if QC_X86
#include <immintrin.h>
#endif

namespace qc::three_lc {
namespace {

constexpr std::uint32_t kInfinity = 0x7F800000;

// Bytes whose digits are collected before their runs are coded: many pages of each part in a row suit
// the prefetchers, and the bytes must stay in L1.
constexpr std::size_t kBlock = 16384;
// Fractions of which all five digits are written before the next ones are read.
constexpr std::size_t kDecodeBlock = 16384;
constexpr std::uint8_t kOnesFraction = 128;  // ceil(121 * 256 / 243)

template <DType kFrom>
float element(const std::uint8_t* p, std::size_t i) noexcept {
    if constexpr (kFrom == DType::kF32) return load<float>(p + 4 * i);
    return f32_from_bf16(load<std::uint16_t>(p + 2 * i));
}

std::uint32_t magnitude(float v) noexcept { return std::bit_cast<std::uint32_t>(v) & 0x7FFFFFFF; }

template <DType kFrom>
std::uint32_t largest_of(const std::uint8_t* gradient, const float* residual,
                         std::size_t n) noexcept {
    std::uint32_t most = 0;
    for (std::size_t i = 0; i < n; ++i) {
        most = std::max(most, magnitude(residual[i] + element<kFrom>(gradient, i)));
    }
    return most;
}

template <DType kFrom>
void digits_of(const std::uint8_t* gradient, float* residual, std::size_t n, Step step,
               std::uint8_t* bytes) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const float v = residual[i] + element<kFrom>(gradient, i);
        const bool up = v > step.half, down = v < -step.half;
        residual[i] = up ? v - step.scale : down ? v + step.scale : v;
        bytes[i] = static_cast<std::uint8_t>(3 * bytes[i] + 1 + up - down);
    }
}

std::uint32_t largest(const std::uint8_t* gradient, DType from, const float* residual,
                      std::size_t n) noexcept {
    return from == DType::kF32 ? largest_of<DType::kF32>(gradient, residual, n)
                               : largest_of<DType::kBF16>(gradient, residual, n);
}

void digits(const std::uint8_t* gradient, DType from, float* residual, std::size_t n, Step step,
            std::uint8_t* bytes) noexcept {
    return from == DType::kF32 ? digits_of<DType::kF32>(gradient, residual, n, step, bytes)
                               : digits_of<DType::kBF16>(gradient, residual, n, step, bytes);
}

void values(const std::uint8_t* fractions, std::size_t n, unsigned k, float scale,
            std::uint8_t* out, DType to, bool) noexcept {
    constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
    const float table[] = {-scale, 0.0f, scale};
    for (std::size_t i = 0; i < n; ++i) {
        const float v = table[(fractions[i] * kPowers[k] & 0xFF) * 3 >> 8];
        if (to == DType::kF32) {
            store(out + 4 * i, v);
        } else {
            store(out + 2 * i, bf16_from_f32(v));
        }
    }
}

const Kernels& kernels() noexcept {
#if QC_X86
    static constexpr Variants<const Kernels*> variants{&kPortable, &kAvx2, &kAvx512};
#else
    static constexpr Variants<const Kernels*> variants{&kPortable};
#endif
    return *variants.pick();
}

// M of WIRE.md, step 2: rounding towards zero keeps it below twice the maximum in bfloat16 too.
float scale_of(float most, float sparsity, DType dtype) noexcept {
    if (most < kMinScale) return 0.0f;
    const float scale = std::min(sparsity * most, std::numeric_limits<float>::max());
    if (dtype == DType::kF32) return scale;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scale) & 0xFFFF0000u);
}

// Codes the runs of blocks that follow one another; a run may go on in the next.
class Shortener {
public:
    explicit Shortener(std::uint8_t* out) noexcept : out_(out) {}

    void add(const std::uint8_t* bytes, std::size_t n) noexcept {
        std::size_t first = 0, last = n;
        while (first < n && bytes[first] == base3::kOnes) ++first;
        ones_ += first;
        if (first == n) return;
        while (bytes[last - 1] == base3::kOnes) --last;
        flush();
        out_ += base3::kernels().shorten(bytes + first, last - first, out_);
        ones_ = n - last;
    }

    std::uint8_t* finish() noexcept {
        flush();
        return out_;
    }

private:
    void flush() noexcept {
        if (ones_ != 0) out_ = base3::put_run(ones_, out_);
        ones_ = 0;
    }

    std::uint8_t* out_;
    std::size_t ones_ = 0;
};

std::size_t header_bytes(std::span<const std::uint64_t> dims, std::uint8_t* out) noexcept {
    std::size_t at = 0;
    out[at++] = static_cast<std::uint8_t>(dims.size());
    for (const std::uint64_t dim : dims) at += put_varint(out + at, dim);
    return at;
}

std::size_t bytes_of(std::span<const std::uint8_t> payload) noexcept {
    std::size_t n = 0;
    for (const std::uint8_t byte : payload) n += base3::expanded_bytes(byte);
    return n;
}

}  // namespace

constinit const Kernels kPortable{largest, digits, values};

Status encode(std::span<const std::uint64_t> dims, const std::uint8_t* gradient, DType from,
              float sparsity, float* residual, Buffer& out) {
    std::size_t n = 1;
    for (const std::uint64_t dim : dims) n *= static_cast<std::size_t>(dim);
    const Kernels& kernel = kernels();
    const std::uint32_t most = kernel.largest(gradient, from, residual, n);
    if (most >= kInfinity) {
        std::size_t at = 0;
        const std::size_t item = item_bytes(from);
        while (kernel.largest(gradient + at * item, from, residual + at, 1) < kInfinity) ++at;
        return {Code::kInput, at, "gradient + residual is not finite"};
    }
    Step step{scale_of(std::bit_cast<float>(most), sparsity, from), 0};
    step.half = step.scale == 0 ? std::numeric_limits<float>::infinity() : step.scale / 2;

    const std::size_t part = base3::part_symbols(n), item = item_bytes(from);
    std::uint8_t* const begin =
        out.reserve(1 + dims.size() * kMaxVarint + 4 + part + base3::kSlack);
    std::size_t at = header_bytes(dims, begin);
    store(begin + at, step.scale);
    at += 4;
    if (most == 0 && n > 0) {  // what is left stays zero
        out.resize(static_cast<std::size_t>(base3::put_run(part, begin + at) - begin));
        return kOkStatus;
    }
    alignas(64) std::uint8_t bytes[kBlock + base3::kSlack];
    Shortener shortener(begin + at);
    for (std::size_t first = 0; first < part; first += kBlock) {
        const std::size_t m = std::min(kBlock, part - first);
        std::fill(bytes, bytes + m, std::uint8_t{0});
        for (std::size_t k = 0; k < 5; ++k) {
            const std::size_t from_element = k * part + first;
            const std::size_t inside = from_element < n ? std::min(m, n - from_element) : 0;
            if (inside != 0) {
                kernel.digits(gradient + from_element * item, from, residual + from_element,
                              inside, step, bytes);
            }
            for (std::size_t i = inside; i < m; ++i) {
                bytes[i] = static_cast<std::uint8_t>(3 * bytes[i] + 1);
            }
        }
        shortener.add(bytes, m);
    }
    out.resize(static_cast<std::size_t>(shortener.finish() - begin));
    return kOkStatus;
}

Status read_header(std::span<const std::uint8_t> bytes, Message& message) noexcept {
    ByteReader in(bytes);
    std::uint8_t rank = 0;
    QC_TRY(in.get(rank, "rank"));
    if (rank > kMaxRank) return {Code::kLimit, 0, "more than 32 dims"};
    message.rank = rank;
    std::uint64_t product = 1;
    bool empty = false;
    for (std::size_t k = 0; k < rank; ++k) {
        QC_TRY(in.varint(message.dims[k], "dims"));
        if (message.dims[k] == 0) {
            empty = true;
        } else if (message.dims[k] > kMaxElements / product) {
            return {Code::kLimit, in.at(), "more than 2^48 elements"};
        } else {
            product *= message.dims[k];
        }
    }
    message.n = empty ? 0 : product;
    QC_TRY(in.get(message.scale, "M"));
    const float scale = message.scale;
    const bool zero = std::bit_cast<std::uint32_t>(scale) == 0;
    if (!zero && !(scale >= kMinScale && scale <= std::numeric_limits<float>::max())) {
        return corrupt("M is no scale", in.at() - 4);
    }
    message.payload = in.at();
    const std::uint64_t part = message.n / 5 + (message.n % 5 != 0);
    if (in.left() > part) return corrupt("bytes after the last value", in.at() + part);
    if (in.left() < part / base3::kMaxRun + (part % base3::kMaxRun != 0)) {
        return truncated("fewer digits than values", bytes.size());
    }
    return kOkStatus;
}

Status decode(std::span<const std::uint8_t> bytes, const Message& message, std::uint8_t* out,
              DType to) {
    const auto n = static_cast<std::size_t>(message.n);
    const std::size_t part = base3::part_symbols(n), item = item_bytes(to);
    const auto payload = bytes.subspan(message.payload);
    thread_local Workspace workspace;
    std::uint8_t* const fractions = workspace.get(Workspace::kCoder2, part + base3::kSlack);
    if (const Status status = base3::kernels().expand(payload, part, fractions); !status.ok()) {
        if (bytes_of(payload) < part) {
            return truncated("fewer digits than values", bytes.size());
        }
        return corrupt("digits after the last value", message.payload + status.at);
    }
    if (!base3::padding_is_one(fractions, n)) {
        return corrupt("padding is not zero", bytes.size() - 1);
    }
    if (message.scale == 0 && !std::all_of(fractions, fractions + part, [](std::uint8_t f) {
            return f == kOnesFraction;
        })) {
        return corrupt("values other than zero, and M = 0", message.payload);
    }
    const ValuesFn values = kernels().values;
    const bool stream =
        reinterpret_cast<std::uintptr_t>(out) % item == 0 && goes_around(n * item, out + n * item);
    for (std::size_t first = 0; first < part; first += kDecodeBlock) {
        const std::size_t m = std::min(kDecodeBlock, part - first);
        for (unsigned k = 0; k < 5; ++k) {
            const std::size_t to_element = k * part + first;
            if (to_element >= n) break;
            values(fractions + first, std::min(m, n - to_element), k, message.scale,
                   out + to_element * item, to, stream);
        }
    }
#if QC_X86
    if (stream) _mm_sfence();
#endif
    return kOkStatus;
}

}  // namespace qc::three_lc
