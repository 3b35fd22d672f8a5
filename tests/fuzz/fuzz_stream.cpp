// tests/fuzz/fuzz_stream.cpp - a coder on hostile bytes. Built and run by tests/fuzz/run.sh.
//
// The input picks coder, width and count. Then either the rest is the payload itself, or the rest is symbols:
// they are encoded, a few bytes of the result are changed, and that is decoded, which reaches
// behind the headers. Whatever happens must end in a status: the sanitizers see to the rest.
#include <bit>

#include "entropy/bitpack.hpp"
#include "entropy/bloomier.hpp"
#include "fuzz.hpp"

namespace {

using namespace qc;

// Decodes in blocks, as the pipeline does; with skips, if asked.
void decode(const CoderKernel& coder, const std::vector<std::uint8_t>& payload, std::size_t count,
            unsigned bits, bool skip_first) {
    Workspace workspace;
    void* state = workspace.get(Workspace::kState0, coder.state_bytes);
    // Exactly as long as it is, so that any read past its end is seen.
    const std::vector<std::uint8_t> exact(payload.begin(), payload.end());
    if (!coder.open(state, exact, count, bits).ok()) return;
    for (std::size_t at = 0; at < count; at += kBlock) {
        const std::size_t n = std::min(kBlock, count - at);
        if (skip_first && at == 0) {
            if (!coder.skip(state, n).ok()) return;
            continue;
        }
        const std::uint8_t* symbols = nullptr;
        if (!coder.next(state, n, &symbols).ok()) return;
        for (std::size_t i = 0; i < n; ++i) {
            if (symbols[i] >> bits != 0) std::abort();
        }
    }
    (void)coder.finish(state).ok();
}

std::vector<std::uint8_t> encode_and_damage(const CoderKernel& coder, fuzz::Input& in, std::size_t count,
                                            unsigned bits) {
    const unsigned changes = in.byte() % 4;
    std::size_t places[3];
    std::uint8_t values[3];
    for (unsigned k = 0; k < 3; ++k) {
        places[k] = in.word();
        values[k] = in.byte();
    }
    const std::vector<std::uint8_t> seed = in.rest();
    std::vector<std::uint8_t> symbols(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t s = seed.empty() ? 0 : seed[i % seed.size()];
        symbols[i] = static_cast<std::uint8_t>((s >> (i / (seed.size() + 1) % 5)) & ((1u << bits) - 1));
    }
    std::vector<std::uint8_t> out(packed_bytes(count, bits) + 64);
    Workspace workspace;
    // Half of the streams along a trellis, in so many lanes; coders that know none take the symbols as they are.
    if (bits > 1 && places[2] % 2 != 0) {
        workspace.trellis = {3 + 2 * static_cast<unsigned>(values[2] % 3), 1u << values[1] % 9};
        fuzz::follow(workspace.trellis, symbols.data(), count);
    }
    const unsigned in_use = bloomier::values_in_use(symbols);
    if (coder.id != bloomier::kId) {
        out.resize(coder.encode(symbols, bits, workspace, out));
    } else if (in_use == 0) {
        out.clear();
    } else {
        const unsigned least = static_cast<unsigned>(std::bit_width(in_use));
        const unsigned word_bits = least + static_cast<unsigned>(places[0] % (bloomier::kMaxWordBits + 1 - least));
        out.resize(bloomier::encode(symbols, bits, {word_bits, changes}, workspace, out));
    }
    for (unsigned k = 0; k < changes && !out.empty(); ++k) out[places[k] % out.size()] ^= values[k];
    if (changes == 3 && !out.empty()) out.resize(places[0] % (out.size() + 1));
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in(data, size);
    const CoderKernel& coder = fuzz::pick<RegisterCoder>(in.byte());
    const std::uint8_t how = in.byte();
    const unsigned bits = how % 8 + 1;
    const std::size_t count = in.count();
    fuzz::pick_isa(how >> 5);
    const std::vector<std::uint8_t> payload =
        (how & 8) != 0 ? in.rest() : encode_and_damage(coder, in, count, bits);
    decode(coder, payload, count, bits, (how & 16) != 0);
    return 0;
}

QC_RANDOM_MAIN(16)
