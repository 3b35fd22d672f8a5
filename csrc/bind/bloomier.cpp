// bind/bloomier.cpp - the lossy coder: encoding with its options, and what a chunk says of its rate.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "core/bytes.hpp"
#include "entropy/bitpack.hpp"
#include "entropy/bloomier.hpp"
#include "entropy/stream.hpp"

namespace qc::bind {
namespace {

// The coded payload, or None where that is not shorter than storing the symbols.
py::object bloomier_encode(const Bytes& symbols, unsigned bits, unsigned word_bits, std::uint32_t seed) {
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    require(word_bits >= 1 && word_bits <= 8, "word_bits is 1..8");
    require(seed <= bloomier::kMaxSeed, "seed is below 2^28");
    const auto in = view(symbols);
    require(!in.empty() && in.size() <= kChunk, "a stream has 1..2^20 symbols");
    std::uint8_t all = 0;
    for (const std::uint8_t s : in) all |= s;
    require(all >> bits == 0, "a symbol is wider than bits");
    const unsigned values = bloomier::values_in_use(in);
    require(values >= 1 && values < 1u << word_bits, "values in use: 1 .. 2^word_bits - 1");
    thread_local Workspace workspace;
    thread_local Buffer buffer;
    const std::size_t room = packed_bytes(in.size(), bits);
    std::uint8_t* const out = buffer.reserve(room);
    std::size_t n = 0;
    {
        const py::gil_scoped_release release;
        n = bloomier::encode(in, bits, {word_bits, seed}, workspace, {out, room});
    }
    if (n == 0) return py::none();
    return py::bytes(reinterpret_cast<const char*>(out), n);
}

}  // namespace

void add_bloomier(py::module_& m) {
    m.def("bloomier_encode", &bloomier_encode, py::arg("symbols").noconvert(), py::arg("bits"),
          py::arg("word_bits"), py::arg("seed"));
}

}  // namespace qc::bind
