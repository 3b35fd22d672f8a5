// quantize/lossless.cpp - elements as byte planes: FORMAT.md, "lossless".
//
// A rotation by one bit puts the sign of a float below its mantissa, so that the top plane is the exponent
// (of bfloat16 and float32, exactly) and codes well; zigzag does the same for small integers.
#include "core/bits.hpp"
#include "quantize/floats.hpp"
#include "quantize/lossless.hpp"
#include "quantize/quantizer.hpp"

namespace qc {
namespace {

Status forward(const TensorSpec& t, ChunkRange range, const std::uint8_t* data, const Params&,
               Workspace& workspace, ChunkSymbols& out) {
    const std::size_t bytes = item_bytes(t.dtype);
    std::uint8_t* planes = workspace.get(Workspace::kSymbols, bytes * kChunk);
    std::uint8_t* plane[Workspace::kPlanes];
    for (std::size_t k = 0; k < bytes; ++k) plane[k] = planes + k * kChunk;
    split_planes.pick()(data, bytes, mapping_of(t.dtype), range.count, plane);
    out.section = {};
    out.planes = static_cast<unsigned>(bytes);
    for (unsigned k = 0; k < out.planes; ++k) {
        out.bits[k] = 8;
        out.symbols[k] = plane[k];
    }
    return kOkStatus;
}

Status open(const TensorSpec& t, ChunkRange, ByteReader&, Workspace&, ChunkState& state) {
    state.planes = static_cast<unsigned>(item_bytes(t.dtype));
    for (unsigned k = 0; k < state.planes; ++k) state.bits[k] = 8;
    return kOkStatus;
}

Status inverse(const TensorSpec& t, ChunkRange, ChunkState&, const std::uint8_t* const* planes,
               std::size_t, std::size_t n, std::uint8_t* out, DType out_dtype,
               Workspace& workspace) noexcept {
    const std::size_t bytes = item_bytes(t.dtype);
    const Mapping m = mapping_of(t.dtype);
    const auto merge = merge_planes.pick();
    if (t.dtype == out_dtype) {
        merge(planes, bytes, m, n, out);
        return kOkStatus;
    }
    // To another floating dtype, by way of float32; float64 shares the slot behind the floats.
    auto* block = workspace.get_as<float>(Workspace::kConvert, 3 * 8192);
    auto* words = reinterpret_cast<std::uint8_t*>(block + 8192);
    merge(planes, bytes, m, n, words);
    to_f32.pick()(words, t.dtype, n, block);
    from_f32.pick()(block, n, out, out_dtype);
    return kOkStatus;
}

bool rotated_planes(const TensorSpec& t) noexcept {
    return mapping_of(t.dtype) == Mapping::kRotate;
}

constexpr QuantizerKernel kLossless{.name = "lossless",
                                    .id = 1,
                                    .forward = forward,
                                    .open = open,
                                    .inverse = inverse,
                                    .rotated_planes = rotated_planes};
const RegisterQuantizer registered{kLossless};

// The same planes of floats whose last mantissa bits an encoder has rounded away.
constexpr QuantizerKernel kRounded{.name = "rounded",
                                    .id = 8,
                                    .forward = forward,
                                    .open = open,
                                    .inverse = inverse,
                                    .rotated_planes = rotated_planes};
const RegisterQuantizer registered_rounded{kRounded};

}  // namespace

namespace {

template <class T>
T map_word(T x, Mapping m) noexcept {
    constexpr unsigned top = 8 * sizeof(T) - 1;
    const T sign = static_cast<T>(x >> top);
    if (m == Mapping::kRotate) return static_cast<T>(static_cast<T>(x << 1) | sign);
    if (m == Mapping::kZigzag) return static_cast<T>(static_cast<T>(x << 1) ^ static_cast<T>(0 - sign));
    return x;
}

template <class T>
void split(const std::uint8_t* in, Mapping m, std::size_t n, std::uint8_t* const* planes) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const T y = map_word(load<T>(in + i * sizeof(T)), m);
        for (std::size_t k = 0; k < sizeof(T); ++k) {
            planes[k][i] = static_cast<std::uint8_t>(y >> (8 * (sizeof(T) - 1 - k)));
        }
    }
}

template <class T>
void merge(const std::uint8_t* const* planes, Mapping m, std::size_t n,
                  std::uint8_t* out) noexcept {
    constexpr unsigned top = 8 * sizeof(T) - 1;
    for (std::size_t i = 0; i < n; ++i) {
        T y = 0;
        for (std::size_t k = 0; k < sizeof(T); ++k) {
            y = static_cast<T>(static_cast<T>(y << 8 * (sizeof(T) > 1)) | planes[k][i]);
        }
        const T low = static_cast<T>(y & 1);
        T x = y;
        if (m == Mapping::kRotate) x = static_cast<T>(y >> 1 | static_cast<T>(low << top));
        if (m == Mapping::kZigzag) x = static_cast<T>((y >> 1) ^ static_cast<T>(0 - low));
        store(out + i * sizeof(T), x);
    }
}

}  // namespace

void split_planes_portable(const std::uint8_t* in, std::size_t bytes, Mapping m, std::size_t n,
                           std::uint8_t* const* planes) {
    switch (bytes) {
        case 1: split<std::uint8_t>(in, m, n, planes); break;
        case 2: split<std::uint16_t>(in, m, n, planes); break;
        case 4: split<std::uint32_t>(in, m, n, planes); break;
        default: split<std::uint64_t>(in, m, n, planes); break;
    }
}

void merge_planes_portable(const std::uint8_t* const* planes, std::size_t bytes, Mapping m,
                           std::size_t n, std::uint8_t* out) {
    switch (bytes) {
        case 1: merge<std::uint8_t>(planes, m, n, out); break;
        case 2: merge<std::uint16_t>(planes, m, n, out); break;
        case 4: merge<std::uint32_t>(planes, m, n, out); break;
        default: merge<std::uint64_t>(planes, m, n, out); break;
    }
}

#if QC_X86
constinit const Variants<MergeFn> merge_planes{merge_planes_portable, merge_planes_avx2,
                                               merge_planes_avx512};
constinit const Variants<SplitFn> split_planes{split_planes_portable, split_planes_avx2,
                                               split_planes_avx512};
#else
constinit const Variants<MergeFn> merge_planes{merge_planes_portable};
constinit const Variants<SplitFn> split_planes{split_planes_portable};
#endif

}  // namespace qc
