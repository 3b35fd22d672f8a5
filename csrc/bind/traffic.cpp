// bind/traffic.cpp - messages of 3LC.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <optional>
#include <vector>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "core/buffer.hpp"
#include "traffic/three_lc.hpp"

namespace qc::bind {
namespace {

DType traffic_dtype(std::uint8_t code) {
    const auto dtype = static_cast<DType>(code);
    require(dtype == DType::kF32 || dtype == DType::kBF16, "traffic is float32 or bfloat16");
    return dtype;
}

// The message, or its length where the caller has memory for it.
py::object three_lc_encode(const std::vector<std::uint64_t>& dims, const Bytes& gradient,
                           std::uint8_t dtype, float sparsity, Flat<float>& residual,
                           std::optional<Bytes> out) {
    const DType from = traffic_dtype(dtype);
    const auto in = view(gradient);
    const auto left = writable(residual);
    std::size_t n = 1;
    for (const std::uint64_t dim : dims) n *= static_cast<std::size_t>(dim);
    require(dims.size() <= three_lc::kMaxRank, "more than 32 dims");
    require(n == left.size() && in.size() == n * item_bytes(from), "sizes differ");
    require(sparsity >= 1 && sparsity < 2, "sparsity is 1..2");
    thread_local Buffer buffer;
    Status status;
    {
        const py::gil_scoped_release release;
        status = three_lc::encode(dims, in.data(), from, sparsity, left.data(), buffer);
    }
    check(status);
    const auto bytes = buffer.bytes();
    if (!out) return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    require(bytes.size() <= static_cast<std::size_t>(out->size()), "out is too small");
    std::memcpy(out->mutable_data(), bytes.data(), bytes.size());
    return py::int_(bytes.size());
}

py::tuple three_lc_header(const Bytes& bytes) {
    three_lc::Message message;
    check(three_lc::read_header(view(bytes), message));
    py::tuple dims(message.rank);
    for (std::size_t k = 0; k < message.rank; ++k) dims[k] = py::int_(message.dims[k]);
    return py::make_tuple(dims, message.scale);
}

void three_lc_decode(const Bytes& bytes, Bytes& out, std::uint8_t dtype) {
    const DType to = traffic_dtype(dtype);
    const auto in = view(bytes);
    const auto target = writable(out);
    three_lc::Message message;
    check(three_lc::read_header(in, message));
    require(target.size() == message.n * item_bytes(to), "out has another size");
    Status status;
    {
        const py::gil_scoped_release release;
        status = three_lc::decode(in, message, target.data(), to);
    }
    check(status);
}

}  // namespace

void add_traffic(py::module_& m) {
    m.def("three_lc_encode", &three_lc_encode, py::arg("dims"), py::arg("gradient").noconvert(),
          py::arg("dtype"), py::arg("sparsity"), py::arg("residual").noconvert(), py::arg("out").noconvert());
    m.def("three_lc_header", &three_lc_header, py::arg("bytes").noconvert());
    m.def("three_lc_decode", &three_lc_decode, py::arg("bytes").noconvert(),
          py::arg("out").noconvert(), py::arg("dtype"));
}

}  // namespace qc::bind
