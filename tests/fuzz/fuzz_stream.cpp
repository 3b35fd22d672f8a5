// tests/fuzz/fuzz_stream.cpp - a coder on hostile bytes. Built and run by tests/fuzz/run.sh.
//
// The input picks coder, width and count. Then either the rest is the payload itself, or the rest is symbols:
// they are encoded, a few bytes of the result are changed, and that is decoded, which reaches
// behind the headers. Whatever happens must end in a status: the sanitizers see to the rest.
#include <cstdint>
#include <cstdio>
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

#include "entropy/bitpack.hpp"
#include "entropy/bloomier.hpp"
#include "entropy/coder.hpp"
#include "entropy/trellis.hpp"
#include "simd/isa.hpp"

namespace {

using namespace qc;

class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    std::uint8_t byte() { return at_ < end_ ? *at_++ : 0; }
    std::size_t word() { return byte() | static_cast<std::size_t>(byte()) << 8; }
    std::vector<std::uint8_t> rest() const { return {at_, end_}; }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

const CoderKernel& coder_of(unsigned number) {
    unsigned n = 0;
    for (const RegisterCoder* r = RegisterCoder::head; r != nullptr; r = r->next) ++n;
    const RegisterCoder* r = RegisterCoder::head;
    for (unsigned k = number % n; k > 0; --k) r = r->next;
    return r->kernel;
}

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

// Makes each symbol of the kind that its lane's state wants.
void follow(const Trellis& trellis, std::vector<std::uint8_t>& symbols) {
    unsigned states[256] = {};
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        unsigned& state = states[i % trellis.lanes];
        symbols[i] = static_cast<std::uint8_t>((symbols[i] & ~1u) | (state & 1));
        state = trellis::next_state(trellis.memory, state, symbols[i] >> 1 & 1);
    }
}

std::vector<std::uint8_t> encode_and_damage(const CoderKernel& coder, Input& in, std::size_t count,
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
        follow(workspace.trellis, symbols);
    }
    const unsigned in_use = bloomier::values_in_use(symbols);
    if (coder.id != bloomier::kId) {
        out.resize(coder.encode(symbols, bits, workspace, out));
    } else if (in_use == 0) {
        out.clear();
    } else {
        const unsigned least = static_cast<unsigned>(std::bit_width(in_use));
        out.resize(bloomier::encode(symbols, bits, {least + places[0] % (9 - least), changes}, workspace, out));
    }
    for (unsigned k = 0; k < changes && !out.empty(); ++k) out[places[k] % out.size()] ^= values[k];
    if (changes == 3 && !out.empty()) out.resize(places[0] % (out.size() + 1));
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const CoderKernel& coder = coder_of(in.byte());
    const std::uint8_t how = in.byte();
    const unsigned bits = how % 8 + 1;
    const std::size_t count = in.word() % 20000 + 1;
    set_active_isa(static_cast<Isa>(std::min((how >> 5) % 3, static_cast<int>(best_isa()))));
    const std::vector<std::uint8_t> payload =
        (how & 8) != 0 ? in.rest() : encode_and_damage(coder, in, count, bits);
    decode(coder, payload, count, bits, (how & 16) != 0);
    return 0;
}

#ifndef QC_LIBFUZZER
// Without libFuzzer: random inputs for the given number of seconds.
int main(int argc, char** argv) {
    const long seconds = argc > 1 ? std::atol(argv[1]) : 10;
    std::mt19937_64 random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
    const std::time_t end = std::time(nullptr) + seconds;
    std::vector<std::uint8_t> input;
    long runs = 0;
    for (; std::time(nullptr) < end; ++runs) {
        input.resize(random() % 400);
        const unsigned narrow = random() % 8;  // few distinct bytes make compressible symbols
        for (std::uint8_t& b : input) b = static_cast<std::uint8_t>(random() >> narrow);
        for (std::size_t i = 16; i < input.size(); ++i) input[i] >>= narrow;
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%ld inputs, nothing found\n", runs);
    return 0;
}
#endif
