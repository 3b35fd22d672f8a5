// tests/fuzz/fuzz_quantizer.cpp - chunks of every quantizer on hostile bytes. Built and run by tests/fuzz/run.sh.
//
// The input picks quantizer, coder, dtype, geometry and transform. A section that is near a legal one, or bytes of
// the input instead, is read as the decoder reads it; streams of the lengths and widths that it asks for follow.
// The chunk is changed in a few places and decoded, whole and in part.
#include "core/bytes.hpp"
#include "entropy/bitpack.hpp"
#include "entropy/stream.hpp"
#include "fuzz.hpp"
#include "pipeline/chunk.hpp"
#include "pipeline/order.hpp"
#include "quantize/lattice.hpp"

namespace {

using namespace qc;
using Bytes = std::vector<std::uint8_t>;

constexpr DType kFloats[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64};
enum Id : std::uint8_t { kLossless = 1, kUniform, kDithered, kLattice, kKmeans, kTernary, kE8P, kRounded, kTrellis };

// What bind/ and the container let through.
TensorSpec make_spec(fuzz::Input& in, std::uint8_t id, std::uint64_t first, std::size_t count) {
    TensorSpec t;
    t.dtype = kFloats[in.byte() % 4];
    t.n = first + count;
    t.inner = t.n;
    t.step = 0.25f;
    t.seed = in.word() << 31 ^ in.word();
    const unsigned how = in.byte();
    if (id == kLattice) {
        t.lattice = how % 4 + 1;
        t.dither = (how & 4) != 0 && t.lattice != lattice::kLeech;
    }
    if (id == kLossless && (how & 1) != 0) t.dtype = DType::kI64;
    if (id == kUniform || id == kKmeans || id == kE8P || id == kTrellis) {
        const bool grouped = (how & 1) != 0;
        if (grouped) {
            t.inner = (how & 2) != 0 ? 64 : in.byte() + 1u;
            t.dim = (how & 4) != 0 ? in.byte() % 32 + 1u : t.n / t.inner + 1;
        }
        if (id == kUniform && (grouped || (how & 8) != 0)) {
            t.bits = in.byte() % 9 + 1u;
            if (t.bits == 9) t.bits = 16;
            t.symmetric = (how & 16) != 0;
            t.step = 0;
        }
        if (grouped || t.bits != 0) return t;
    }
    t.most_entries = id == kKmeans ? in.byte() + 1u : 256;
    const unsigned transform = in.byte();
    if (id == kLossless || id == kRounded || id == kE8P) return t;
    if (transform % 4 == 1) {
        t.block = transform / 4 % 7 + 2;
    } else if (transform % 4 == 2) {
        t.block = transform / 4 % 7 + 2;
        t.columns = in.byte() + 1u;
    }
    if (t.columns == 0 && (transform & 128) != 0 && (id == kUniform || id == kTrellis)) {
        t.profile = true;
        t.channels = in.byte() % 40 + 1u;
        t.positions = in.byte() % 20 + 1u;
    }
    return t;
}

void append(Bytes& to, std::initializer_list<unsigned> bytes) {
    for (const unsigned b : bytes) to.push_back(static_cast<std::uint8_t>(b));
}

// A section that is legal but for a byte here and there.
Bytes make_section(fuzz::Input& in, std::uint8_t id, const TensorSpec& t, ChunkRange range) {
    Bytes s;
    const std::uint64_t entries = range.entries(t);
    const unsigned how = in.byte();
    const auto values = [&](unsigned n) {
        for (unsigned k = 0; k < n; ++k) append(s, {in.byte(), in.byte(), in.byte() % 2u, 0});
    };
    const auto scales = [&](bool narrow, std::uint64_t n) {
        for (std::uint64_t e = 0; e < n; ++e) narrow ? append(s, {in.byte(), 0x78}) : append(s, {in.byte(), 1, 0x80, 0x3C});
    };
    const auto codes = [&](unsigned bits) {
        append(s, {bits});
        for (std::uint64_t k = 0; k < entries * bits / 8; ++k) append(s, {in.byte()});
        if (entries * bits % 8 != 0) append(s, {0});
    };
    if (id == kUniform || id == kDithered) {
        const unsigned width = t.bits != 0 ? t.bits : how % 9 == 8 ? 16 : how % 9 + 1;
        const unsigned escapes = t.bits == 0 && width >= 8 ? in.byte() % 8 : 0;
        const unsigned shifts = t.bits == 0 && width <= 8 && id == kUniform ? in.byte() % 4 : 0;
        const unsigned form = t.bits == 0 ? 8 : how % 3 == 2 ? 32 : how % 3;
        append(s, {form | (shifts != 0 ? 4u : 0u), width});
        if (t.bits == 0) append(s, {escapes});
        if (form == 32) {
            append(s, {0, 0x0D});
            codes(in.byte() % 7);
        } else if (form < 2) {
            scales(form == 1, entries);
        }
        if (!t.symmetric) {
            for (std::uint64_t e = 0; e < entries; ++e) append(s, {in.byte()});
        }
        if (shifts != 0) append(s, {shifts});
        for (unsigned k = 0; k < shifts; ++k) append(s, {in.byte()});
        values(escapes);
    } else if (id == kLattice) {
        const lattice::Form form = lattice::kForms[t.lattice];
        append(s, {0, 0, 0x80, 0x3C});
        unsigned wide = 0;
        for (unsigned k = form.bit_streams; k < form.streams; ++k) {
            const unsigned width = (how & 1) != 0 ? 8 : in.byte() % 8 + 1u;
            wide += width == 8;
            append(s, {width});
        }
        unsigned escapes = 0;
        for (unsigned k = 0; k < wide; ++k) {
            append(s, {(how & 2) != 0 ? in.byte() % 4u : 0u});
            escapes += s.back();
        }
        values(escapes);
    } else if (id == kKmeans) {
        const unsigned width = how % 8 + 1;
        const unsigned size = std::min({1u << width, t.most_entries, 1u + in.byte()});
        append(s, {width - 1 + 8, size - 1});
        for (std::uint64_t e = 0; e < entries; ++e) {
            for (unsigned k = 0; k < size; ++k) append(s, {k % 256, 0x3F});
        }
    } else if (id == kTernary) {
        scales(false, 1);
    } else if (id == kE8P) {
        append(s, {how % 2});
        scales(how % 2 == 1, entries);
    } else if (id == kTrellis) {
        const unsigned shifts = how / 8 % 4, patches = how / 32;
        const bool grouped = t.dim > 1;
        append(s, {(grouped ? 8u : 1u) | (shifts != 0 ? 2u : 0u), how % 6 + 3});
        if (grouped) {
            scales(false, 1);
            codes(how / 4 % 7);
        }
        if (shifts != 0) append(s, {shifts});
        for (unsigned k = 0; k < shifts; ++k) append(s, {in.byte()});
        append(s, {patches});
        for (unsigned k = 0; k < patches; ++k) append(s, {in.byte(), k, 0, 0});
        values(patches);
    }
    return s;
}

std::size_t escapes_of(std::uint8_t id, const ChunkState& state, unsigned plane) {
    if (id == kLattice) return static_cast<const lattice::State*>(state.own)->escapes[plane];
    return id == kUniform || id == kDithered ? state.escapes.size() / 4 : 0;
}

// The streams that the section asks for: false where it is refused.
bool add_streams(fuzz::Input& in, const Codec& codec, const TensorSpec& t, ChunkRange range, Bytes& chunk) {
    const std::uint8_t id = codec.quantizer->id;
    Workspace opened, workspace;
    ByteReader reader(chunk);
    ChunkState state;
    if (!codec.quantizer->open(t, range, reader, opened, state).ok()) return false;
    const Bytes section(chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(reader.at()));
    const unsigned how = in.byte();
    const Bytes seed = in.rest();
    Bytes streams, planes[Workspace::kPlanes];
    const std::uint8_t* at[Workspace::kPlanes] = {};
    const auto put = [&](const Bytes& symbols, std::size_t n, unsigned bits) {
        Bytes out(2 + packed_bytes(n, bits) + 64);
        out.resize(put_stream(symbols.data(), n, bits, *codec.coder, workspace, out.data()));
        streams.insert(streams.end(), out.begin(), out.end());
    };
    const std::uint64_t codes = profile_codes(t, range);
    if (codes > 0) {
        Bytes symbols(codes);
        for (std::size_t i = 0; i < codes; ++i) symbols[i] = seed.empty() ? 0 : seed[i % seed.size()] % 64;
        put(symbols, symbols.size(), 6);
    }
    for (unsigned k = 0; k < state.planes; ++k) {
        std::size_t n = range.count;
        unsigned bits = state.bits[k];
        if (codec.quantizer->next_plane != nullptr &&
            !codec.quantizer->next_plane(t, range, state, k, at, n, bits).ok()) {
            return false;
        }
        Bytes& symbols = planes[k];
        symbols.resize(n + kPlaneSlack);
        const std::size_t escapes = escapes_of(id, state, k);
        for (std::size_t i = 0; i < n; ++i) {
            const unsigned s = seed.empty() ? 1 : seed[i % seed.size()] >> (i / (seed.size() + 1) % 5);
            symbols[i] = static_cast<std::uint8_t>(s & ((1u << bits) - 1));
            if (bits == 8 && id != kE8P) symbols[i] = i < escapes ? 0 : std::max<std::uint8_t>(symbols[i], 1);
            if (id == kTernary && symbols[i] == 3) symbols[i] = 1;
        }
        if (id == kTrellis && (how & 1) != 0) {
            workspace.trellis = {3 + how / 2 % 3 * 2, 1u << how / 8 % 9};
            fuzz::follow(workspace.trellis, symbols.data(), n);
        }
        at[k] = symbols.data();
        if (n > 0) put(symbols, n, bits);
    }
    chunk = section;
    chunk.insert(chunk.end(), streams.begin(), streams.end());
    return true;
}

void decode(const Codec& codec, const TensorSpec& t, ChunkRange range, const Bytes& chunk, std::size_t begin,
            std::size_t end, DType to, bool around) {
    Workspace workspace;
    Bytes out((end - begin) * item_bytes(to));
    const Bytes exact(chunk.begin(), chunk.end());
    (void)decode_chunk(codec, t, range, exact, begin, end, out.data(), to, around, nullptr, workspace).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in(data, size);
    const Codec codec{&fuzz::pick<RegisterQuantizer>(in.byte()), &fuzz::pick<RegisterCoder>(in.byte())};
    const std::uint8_t how = in.byte();
    fuzz::pick_isa(how >> 6);
    // Chunks of larger tensors as well, up to the largest.
    const unsigned log = how & 31;
    const std::uint64_t first = log < 4 ? 0 : kChunk << std::min(log - 4, 27u);
    const ChunkRange range{first, in.count()};
    const TensorSpec t = make_spec(in, codec.quantizer->id, first, range.count);
    const unsigned damage = in.byte() % 5;
    std::uint8_t place[8];
    for (std::uint8_t& p : place) p = in.byte();

    Bytes chunk = (how & 32) != 0 ? in.rest() : make_section(in, codec.quantizer->id, t, range);
    add_streams(in, codec, t, range, chunk);
    for (unsigned k = 0; k < damage && !chunk.empty(); ++k) {
        // Sections and the heads of streams lie in front: half of all wounds go there.
        const std::size_t reach = k % 2 == 0 ? std::min<std::size_t>(chunk.size(), 24) : chunk.size();
        chunk[(place[k] * 257u + place[k + 1]) % reach] ^= place[k + 2];
    }
    if (damage == 4) chunk.resize(place[0] * 257u % (chunk.size() + 1));
    const DType to = is_float(t.dtype) ? kFloats[place[7] % 4] : t.dtype;
    const bool around = (place[7] & 4) != 0;
    decode(codec, t, range, chunk, 0, range.count, to, around);
    const std::size_t begin = place[6] * 131u % range.count;
    decode(codec, t, range, chunk, begin, range.count - (range.count - begin) / 3, to, around);
    return 0;
}

QC_RANDOM_MAIN(64)
