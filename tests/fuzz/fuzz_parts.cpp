// tests/fuzz/fuzz_parts.cpp - chunks of several tensors, of coefficients, of symbols in order of classes, on
// hostile bytes. Built and run by tests/fuzz/run.sh.
//
// The input picks one to four small tensors with blocks or profiles and the coder; a chunk is put together
// from sections and streams, changed in a few places, and decoded.
#include "core/bytes.hpp"
#include "entropy/bitpack.hpp"
#include "entropy/stream.hpp"
#include "fuzz.hpp"
#include "pipeline/parts.hpp"
#include "pipeline/plane.hpp"
#include "transform/dct.hpp"

namespace {

using namespace qc;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64};

TensorSpec make_spec(fuzz::Input& in, DType dtype, unsigned bits) {
    TensorSpec t;
    t.dtype = dtype;
    t.bits = bits;
    t.step = bits == 0 ? 0.25f : 0.0f;
    t.n = in.word() % 6000 + 1;
    t.inner = t.n;
    const unsigned how = in.byte();
    if (how % 3 == 1) {
        t.block = how / 3 % (kMaxBlock - 1) + 2;
    } else if (how % 3 == 2) {
        t.block = how / 3 % 7 + 2;
        t.columns = in.byte() + 1u;
    }
    if (t.columns == 0 && (in.byte() & 1) != 0) {
        t.profile = true;
        t.channels = in.byte() % 20 + 1u;
        t.positions = in.byte() % 20 + 1u;
    }
    return t;
}

void put(std::vector<std::uint8_t>& chunk, const CoderKernel& coder, fuzz::Input& in, std::size_t n,
         unsigned bits) {
    std::vector<std::uint8_t> symbols(n);
    const std::vector<std::uint8_t> seed = in.rest();
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint8_t s = seed.empty() ? 0 : seed[i % seed.size()];
        symbols[i] = static_cast<std::uint8_t>(s & ((1u << bits) - 1));
    }
    std::vector<std::uint8_t> out(2 + packed_bytes(n, bits) + 64);
    Workspace workspace;
    out.resize(put_stream(symbols.data(), n, bits, coder, workspace, out.data()));
    chunk.insert(chunk.end(), out.begin(), out.end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in(data, size);
    const Codec codec{find_quantizer(2), &fuzz::pick<RegisterCoder>(in.byte())};
    const std::uint8_t how = in.byte();
    fuzz::pick_isa(how >> 4);
    const DType dtype = kTypes[how % 4];
    const unsigned bits = (how & 8) != 0 ? in.byte() % 8 + 1u : 0;
    const unsigned width = bits != 0 ? bits : (in.byte() % 9 == 8 ? 16u : in.byte() % 8 + 1u);
    std::vector<TensorSpec> specs(how / 64 + 1u);
    for (TensorSpec& t : specs) t = make_spec(in, dtype, bits);

    std::vector<std::uint8_t> chunk;
    std::vector<Part> parts;
    std::size_t elements = 0;
    std::size_t codes = 0;
    for (const TensorSpec& t : specs) {
        const ChunkRange range{0, static_cast<std::size_t>(t.n)};
        parts.push_back({&t, range});
        elements += t.n;
        codes += static_cast<std::size_t>(profile_codes(t, range));
        const unsigned shifts = bits == 0 && width <= 8 ? in.byte() % 4 : 0;
        std::uint8_t form = bits == 0 ? 8 : 1;
        if (shifts != 0) form = static_cast<std::uint8_t>(form | (parts.size() > 1 && shifts == 1 ? 16 : 4));
        chunk.insert(chunk.end(), {form, static_cast<std::uint8_t>(width)});
        if (bits == 0) chunk.push_back(0);
        if (bits != 0) chunk.insert(chunk.end(), {0x00, 0x7F});
        if ((form & 4) != 0) {
            chunk.push_back(static_cast<std::uint8_t>(shifts));
            for (unsigned k = 0; k < shifts; ++k) chunk.push_back(in.byte());
        }
    }
    std::uint8_t place[8];
    for (std::uint8_t& p : place) p = in.byte();
    const std::size_t damage = in.byte() % 4;
    if (codes > 0) put(chunk, *codec.coder, in, codes, 6);
    for (unsigned k = 0; k < (width == 16 ? 2u : 1u); ++k) {
        put(chunk, *codec.coder, in, elements, std::min(width, 8u));
    }
    for (std::size_t k = 0; k < damage; ++k) {
        // Sections and the heads of streams lie in front: half of all wounds go there.
        const std::size_t reach = (place[k] & 1) != 0 ? std::min<std::size_t>(chunk.size(), 40) : chunk.size();
        chunk[(place[2 * k] * 257u + place[2 * k + 1]) % reach] ^= place[k + 4];
    }
    if (place[7] == 7) chunk.resize(place[6] * 257u % (chunk.size() + 1));

    std::vector<std::vector<std::uint8_t>> outs;
    std::vector<PartOutput> outputs;
    for (const TensorSpec& t : specs) {
        const DType to = kTypes[place[0] % 4];
        outs.emplace_back(t.n * item_bytes(to));
        const bool wanted = specs.size() == 1 || (place[1] >> outputs.size() & 1) == 0;
        outputs.push_back({wanted ? outs.back().data() : nullptr, to});
    }
    Workspace workspace;
    const std::vector<std::uint8_t> bytes(chunk.begin(), chunk.end());
    const bool ok = decode_parts(codec, parts, outputs, bytes, (place[1] & 16) != 0, workspace).ok();
    if (damage == 0 && place[7] != 7 && width < 8 && !ok && specs.size() == 1) std::abort();
    return 0;
}

QC_RANDOM_MAIN(60)
