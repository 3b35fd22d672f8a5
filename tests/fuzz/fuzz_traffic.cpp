// tests/fuzz/fuzz_traffic.cpp - messages of 3LC: hostile ones, and those that the encoder makes.
//
// The input is a message, or elements of a gradient whose message is then changed and decoded. Buffers are
// exactly as long as they must be: the sanitizers see to the rest.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

#include "simd/isa.hpp"
#include "traffic/three_lc.hpp"

namespace {

using namespace qc;

bool decode(const std::vector<std::uint8_t>& bytes, DType to, std::vector<std::uint8_t>& out) {
    const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
    three_lc::Message message;
    if (!three_lc::read_header(exact, message).ok() || message.n > 100'000) return false;
    out = std::vector<std::uint8_t>(message.n * item_bytes(to));
    return three_lc::decode(exact, message, out.data(), to).ok();
}

void check(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return;
    set_active_isa(static_cast<Isa>(std::min<int>(data[0] % 3, static_cast<int>(best_isa()))));
    const DType dtype = (data[0] & 4) != 0 ? DType::kF32 : DType::kBF16;
    std::vector<std::uint8_t> bytes(data + 4, data + size), out;
    if ((data[0] & 8) != 0) {
        decode(bytes, dtype, out);
        return;
    }
    const std::size_t times = 1 + data[1] % 64 * (data[2] % 64), item = item_bytes(dtype);
    std::vector<std::uint8_t> gradient;
    for (std::size_t k = 0; k < times; ++k) {
        gradient.insert(gradient.end(), bytes.begin(), bytes.end());
    }
    gradient.resize(gradient.size() / item * item);
    gradient.shrink_to_fit();
    const std::uint64_t dims[] = {gradient.size() / item};
    std::vector<float> residual(dims[0]);
    Buffer buffer;
    const float sparsity = 1 + static_cast<float>(data[3]) / 256;
    if (!three_lc::encode(dims, gradient.data(), dtype, sparsity, residual.data(), buffer).ok()) {
        for (const float left : residual) {
            if (left != 0) std::abort();
        }
        return;
    }
    std::vector<std::uint8_t> made(buffer.bytes().begin(), buffer.bytes().end());
    if (dims[0] <= 100'000 && !decode(made, dtype, out)) std::abort();
    made[data[2] % made.size()] ^= data[3];
    decode(made, dtype, out);
}

}  // namespace

#ifdef QC_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check(data, size);
    return 0;
}
#else
int main(int, char** arguments) {
    const std::time_t end = std::time(nullptr) + std::atol(arguments[1]);
    std::mt19937 random(1);
    std::size_t runs = 0;
    for (; std::time(nullptr) < end; ++runs) {
        std::vector<std::uint8_t> data(random() % 600);
        const unsigned spread = random() % 256 + 1;
        for (auto& byte : data) byte = static_cast<std::uint8_t>(random() % spread);
        if (!data.empty()) data[0] = static_cast<std::uint8_t>(random());
        // Now and then a header that is right.
        if (data.size() > 10 && random() % 2 == 0) {
            const std::uint8_t header[] = {1, static_cast<std::uint8_t>(random() % 128), 0, 0, 0xE0, 0x3F};
            std::memcpy(data.data() + 4, header, sizeof header);
            data.resize(10 + random() % (header[1] / 5 + 2));
        }
        check(data.data(), data.size());
    }
    std::printf("fuzz_traffic: %zu inputs\n", runs);
}
#endif
