// tests/fuzz/fuzz_chunk.cpp - whole chunks of the encoders in csrc on hostile bytes. Built and run by tests/fuzz/run.sh.
//
// The input picks dtype, quantizer, coder and geometry; a chunk of a small tensor is encoded,
// changed in a few places or replaced, and decoded, whole and in part.
#include "fuzz.hpp"
#include "pipeline/chunk.hpp"
#include "quantize/uniform.hpp"

namespace {

using namespace qc;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64,
                            DType::kI32, DType::kU8,  DType::kI64,  DType::kBool};

void decode(const Codec& codec, const TensorSpec& t, ChunkRange range,
            const std::vector<std::uint8_t>& chunk, std::size_t begin, std::size_t end, DType to,
            bool around) {
    Workspace workspace;
    std::vector<std::uint8_t> out((end - begin) * item_bytes(to));
    const std::vector<std::uint8_t> exact(chunk.begin(), chunk.end());
    Xxh3 hash(exact, 1);
    (void)decode_chunk(codec, t, range, exact, begin, end, out.data(), to, around, &hash, workspace)
        .ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in(data, size);
    TensorSpec t;
    t.dtype = kTypes[in.byte() % 8];
    const std::uint8_t how = in.byte();
    const bool uniform = is_float(t.dtype) && (how & 1) != 0;
    const Codec codec{find_quantizer(uniform ? 2 : 1), &fuzz::pick<RegisterCoder>(in.byte())};
    t.n = in.count();
    t.inner = std::max<std::uint64_t>(in.byte() % 2 == 0 ? in.byte() : 64, 1);
    t.dim = (t.n + t.inner - 1) / t.inner;
    t.bits = in.byte() % 10;
    if (t.bits == 9) t.bits = 16;
    t.symmetric = (how & 2) != 0 || t.bits == 0;
    if (t.bits == 0) {
        t.inner = t.n;
        t.dim = 1;
    }
    fuzz::pick_isa(how >> 4);

    const std::size_t damage = in.byte() % 5;
    std::uint8_t place[8];
    for (std::uint8_t& p : place) p = in.byte();
    const std::size_t item = item_bytes(t.dtype);
    std::vector<std::uint8_t> tensor(t.n * item);
    const std::vector<std::uint8_t> seed = in.rest();
    for (std::size_t i = 0; i < tensor.size(); ++i) {
        tensor[i] = seed.empty() ? 0 : seed[i % seed.size()];
        if (is_float(t.dtype) && i % item == item - 1) tensor[i] &= 0xBF;  // finite
    }
    std::vector<float> scales(t.dim, 0.01f);
    std::vector<std::int32_t> zeros(t.symmetric ? 0 : t.dim);
    const ChunkRange range{0, static_cast<std::size_t>(t.n)};
    Workspace workspace;
    Buffer made;
    if (uniform && t.bits != 0 && !fit_uniform(t, tensor.data(), scales, zeros).ok()) return 0;
    if (!encode_chunk(codec, t, range, tensor.data(), {scales, zeros}, workspace, made).ok()) return 0;
    std::vector<std::uint8_t> chunk(made.bytes().begin(), made.bytes().end());
    for (std::size_t k = 0; k < damage; ++k) {
        chunk[(place[2 * k % 8] * 257u + place[(2 * k + 1) % 8]) % chunk.size()] ^= place[k];
    }
    if (damage == 4) chunk.resize(place[0] * 257u % (chunk.size() + 1));
    const DType to = is_float(t.dtype) ? kTypes[place[7] % 4] : t.dtype;
    decode(codec, t, range, chunk, 0, range.count, to, (how & 8) != 0);
    const std::size_t begin = place[6] * 131u % range.count;
    decode(codec, t, range, chunk, begin, range.count - (range.count - begin) / 3, to, (how & 8) != 0);
    return 0;
}

QC_RANDOM_MAIN(20)
