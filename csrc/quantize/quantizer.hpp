// quantize/quantizer.hpp - the contract between a quantizer kernel and the rest of qcodec.
//
// A quantizer turns the elements of one chunk into a section (parameters, side data) and symbol planes,
// and back. It knows no coder and no Python. Checks marked [binding] are done once in bind/; checks
// marked [kernel] need a pass over the data.
//
// To add one: write quantize/<name>.cpp, fill a QuantizerKernel, end the file with a
// RegisterQuantizer. setup.py lists csrc, so no build file changes. Its id, name and section are in
// FORMAT.md, "Stages".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/bytes.hpp"
#include "core/status.hpp"
#include "core/workspace.hpp"
#include "quantize/dequantize.hpp"
#include "quantize/dtype.hpp"

namespace qc {

inline constexpr std::size_t kChunk = std::size_t{1} << 20;  // elements, FORMAT.md "Chunk"
inline constexpr std::size_t kPlaneSlack = 64;  // bytes behind whole planes that `inverse` may load

// What a kernel must know of a tensor. Element i has the parameters of group (i / inner) % dim.
struct TensorSpec {
    DType dtype = DType::kF32;
    std::uint64_t n = 0;
    std::uint64_t inner = 1;      // >= 1 [binding]
    std::uint64_t dim = 1;        // >= 1 [binding]
    unsigned bits = 0;            // 1..8 or 16; 0 where a step is given
    bool symmetric = true;
    float step = 0;               // of the codec's config, where one is given there
    std::uint64_t seed = 0;       // of the dither
    unsigned lattice = 0;         // a number of quantize/lattice.hpp
    bool dither = false;          // of `lattice`

    // FORMAT.md, "dct" and "Order": blocks of block x block coefficients, 2..8 (0: none), of rows of `columns`
    // elements (0: of consecutive ones); a profile of scales by row, channel and position.
    unsigned block = 0;
    std::uint64_t columns = 0;
    bool profile = false;
    std::uint64_t channels = 1;
    std::uint64_t positions = 1;

    unsigned most_entries = 256;  // of a codebook

    std::uint64_t chunks() const noexcept { return n / kChunk + (n % kChunk != 0); }
};

// Elements [first, first + count) of a tensor: one chunk.
struct ChunkRange {
    std::uint64_t first;
    std::size_t count;

    // How many parameter entries the chunk holds, and the one that an element takes.
    std::uint64_t entries(const TensorSpec& t) const noexcept {
        const std::uint64_t met = (first + count - 1) / t.inner - first / t.inner + 1;
        return met < t.dim ? met : t.dim;
    }
    std::uint64_t entry(const TensorSpec& t, std::uint64_t element) const noexcept {
        return (element / t.inner - first / t.inner) % t.dim;
    }
};

// Parameters of a whole tensor, one per group, as an encoder fitted them.
struct Params {
    std::span<const float> scales;
    std::span<const std::int32_t> zero_points;  // empty where symmetric
};

// What `forward` made of a chunk: the section's bytes and the symbol planes, in workspace slots.
struct ChunkSymbols {
    std::span<const std::uint8_t> section;
    unsigned planes = 0;
    unsigned bits[Workspace::kPlanes] = {};
    const std::uint8_t* symbols[Workspace::kPlanes] = {};
};

// What `open` read from a chunk. Kernels keep their own fields here; the pipeline reads the planes.
struct ChunkState {
    unsigned planes = 0;
    unsigned bits[Workspace::kPlanes] = {};

    unsigned width = 0;
    std::uint64_t entries = 0;
    const float* scales = nullptr;               // entries
    const std::int32_t* zero_points = nullptr;   // entries, or null: `zero_point` for all
    std::int32_t zero_point = 0;
    std::span<const std::uint8_t> escapes;       // i32 each: where there are some, the symbol 0 stands for the next
    std::size_t escapes_used = 0;
    bool sequential = false;                     // symbols may not be skipped undecoded
    std::span<const std::uint8_t> patched;       // elements, u32 each, whose values are others than their symbols'
    std::span<const std::uint8_t> patches;       // those values, i32 each
    std::span<const std::uint8_t> shifts;        // of reconstruction points, FORMAT.md "uniform"
    bool pointwise = false;                      // elements depend on their symbol alone
    const std::uint8_t* table = nullptr;         // element of each symbol, in `table_dtype`
    DType table_dtype = DType::kF32;
    const float* points = nullptr;               // entries of all codebooks
    const std::uint32_t* starts = nullptr;       // where each codebook begins; the last one's end
    bool stream_stores = false;                  // elements go around the caches, where the kernel can
    void* own = nullptr;                         // whatever else a kernel keeps, in a workspace slot

    // fn(number of the patch, element) for those of [begin, end) that are patched.
    template <class Fn>
    void for_patched(std::size_t begin, std::size_t end, Fn fn) const {
        const std::size_t patches_in_all = patched.size() / 4;
        const auto element = [&](std::size_t k) { return load<std::uint32_t>(patched.data() + 4 * k); };
        std::size_t k = 0;
        for (std::size_t step = kChunk; step > 0; step /= 2) {
            if (k + step <= patches_in_all && element(k + step - 1) < begin) k += step;
        }
        for (; k < patches_in_all && element(k) < end; ++k) fn(k, element(k));
    }
};

// What every symbol stands for: 256 elements of a dtype, aligned to 64, of which `size` are legal.
struct SymbolTable {
    const std::uint8_t* elements;
    unsigned size;
};

// What symbols stand for where every group has a table: elements of two bytes, or of four whose lower two are zero.
struct GroupTables {
    static constexpr unsigned kBytes = 512;
    const std::uint8_t* planes;  // of each table the lower of the two upper bytes of 256 elements, then the upper
    const std::uint8_t* tables;  // of each of the chunk's entries: its table
};

struct QuantizerKernel {
    const char* name;  // equals the Python class attribute `name`
    std::uint8_t id;   // FORMAT.md, "Stages"

    // Elements of a chunk -> section and planes, in slots kParams, kSymbols, kEscapes. Null where the encoder
    // searches, and brings symbols along.
    //   requires  data holds range.count elements of t.dtype, aligned to their size   [binding]
    //   fails     kInput, at = element of the tensor                                  [kernel]
    Status (*forward)(const TensorSpec& t, ChunkRange range, const std::uint8_t* data,
                      const Params& params, Workspace&, ChunkSymbols& out) = nullptr;

    // Reads the section. Runs on untrusted bytes.
    Status (*open)(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace&,
                   ChunkState& state);

    // Symbols of elements [at, at + n) of the chunk, in order -> elements of out_dtype.
    //   requires  n <= kBlock; out_dtype == t.dtype, or both are floating             [binding]
    //   ensures   the same bits on every CPU (FORMAT.md, "Arithmetic")
    Status (*inverse)(const TensorSpec& t, ChunkRange range, ChunkState& state,
                      const std::uint8_t* const* planes, std::size_t at, std::size_t n,
                      std::uint8_t* out, DType out_dtype, Workspace&) noexcept;

    // Null, or: symbols of elements at, at + stride, ... -> n float32, where there is one plane without escapes.
    void (*inverse_every)(const TensorSpec& t, ChunkRange range, const ChunkState& state, const std::uint8_t* symbols,
                          std::size_t at, std::size_t stride, std::size_t n, float* out) noexcept = nullptr;

    // After the last element of the chunk. Null where there is nothing left to check.
    Status (*finish)(const ChunkState& state) noexcept = nullptr;

    // Whether an element is its planes' bytes, the first plane's highest, rotated right by one bit. Null where never.
    bool (*rotated_planes)(const TensorSpec& t) noexcept = nullptr;

    // Where all elements are q * scale of one plane, but for escapes: the runs from element `at` of the chunk on, for
    // loops that fuse. Null, or false, where they are not.
    bool (*runs)(const TensorSpec& t, ChunkRange range, const ChunkState& state, std::size_t at,
                 Runs& runs) noexcept = nullptr;

    // Null, or: the classes 0..255 of the chunk's elements, in whose order symbols are coded.
    void (*classes)(const TensorSpec& t, ChunkRange range, std::uint8_t* out) noexcept = nullptr;

    // Where there are classes: symbols of elements [at, at + n) from a plane of the chunk in their order. `at` is a
    // multiple of kBlock.
    void (*gather)(const TensorSpec& t, ChunkRange range, const std::uint8_t* plane, std::size_t at,
                   std::size_t n, std::uint8_t* out) noexcept = nullptr;
    // The inverse, for a whole chunk.
    void (*scatter)(const TensorSpec& t, ChunkRange range, const std::uint8_t* symbols,
                    std::uint8_t* plane) noexcept = nullptr;

    // Null where every plane has a symbol of each element. Else: how many symbols plane k has, given
    // those before it, and of how many bits. `inverse` then gets whole planes, and elements in order.
    Status (*next_plane)(const TensorSpec& t, ChunkRange range, ChunkState& state, unsigned k,
                         const std::uint8_t* const* planes, std::size_t& count,
                         unsigned& bits) noexcept = nullptr;

    // Where all elements are those of one table by one plane, but for escapes: that table in dtype `to`, for loops that
    // fuse. Null, or false, where they are not.
    bool (*table)(ChunkState& state, DType to, Workspace&, SymbolTable& table) noexcept = nullptr;

    // The same where entries have tables of their own, and elements of `to` two or four bytes.
    bool (*group_tables)(ChunkState& state, DType to, Workspace&, GroupTables& tables) noexcept = nullptr;

    // Null, or: puts right those of elements [at, at + n) that are not what the table has.
    void (*patch)(const ChunkState& state, std::size_t at, std::size_t n, std::uint8_t* out,
                  DType out_dtype) noexcept = nullptr;

    // Whether `inverse` itself heeds `stream_stores` for elements of a dtype; else a copy of what it wrote does. Null
    // where never.
    bool (*streams)(const TensorSpec& t, const ChunkState& state, DType to) noexcept = nullptr;

    Status symbols(const TensorSpec& t, ChunkRange range, const std::uint8_t* data, const Params& params,
                   Workspace& workspace, ChunkSymbols& out) const {
        if (forward == nullptr) return {Code::kInput, range.first, "symbols are chosen by the caller"};
        return forward(t, range, data, params, workspace, out);
    }
    Status close(const ChunkState& state) const noexcept {
        return finish == nullptr ? kOkStatus : finish(state);
    }
};

class RegisterQuantizer {
public:
    explicit RegisterQuantizer(const QuantizerKernel& k) noexcept : kernel(k), next(head) {
        head = this;
    }

    const QuantizerKernel& kernel;
    const RegisterQuantizer* const next;
    static inline const RegisterQuantizer* head = nullptr;
};

inline const QuantizerKernel* find_quantizer(std::uint8_t id) noexcept {
    for (const RegisterQuantizer* r = RegisterQuantizer::head; r != nullptr; r = r->next) {
        if (r->kernel.id == id) return &r->kernel;
    }
    return nullptr;
}

}  // namespace qc
