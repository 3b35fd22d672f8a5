// bind/streams.cpp - coders, packing and conversion of single arrays.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <bit>
#include <cstring>
#include <vector>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "core/bytes.hpp"
#include "entropy/bitpack.hpp"
#include "entropy/coder.hpp"
#include "entropy/stream.hpp"
#include "entropy/trellis.hpp"
#include "pipeline/plane.hpp"
#include "quantize/dithered.hpp"
#include "quantize/floats.hpp"
#include "quantize/lattice.hpp"

namespace qc::bind {
namespace {

// What `encode` writes to at most `room` bytes, of which it says how many it took; none where it refuses.
template <class Encode>
py::object bytes_of(std::size_t room, Encode encode) {
    PyObject* made = PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(room));
    if (made == nullptr) throw py::error_already_set();
    auto* const at = reinterpret_cast<std::uint8_t*>(PyBytes_AS_STRING(made));
    std::size_t n = 0;
    try {
        const py::gil_scoped_release release;
        n = encode(at);
    } catch (...) {
        Py_DECREF(made);
        throw;
    }
    if (_PyBytes_Resize(&made, static_cast<py::ssize_t>(n)) != 0) throw py::error_already_set();
    py::object result = py::reinterpret_steal<py::object>(made);
    return n > 0 ? result : py::none();
}

// Encoders that search may take their time over coding as well.
py::object stream(std::uint8_t coder, const Bytes& symbols, unsigned bits, bool patient, unsigned memory,
                 unsigned lanes) {
    const CoderKernel* kernel = find_coder(coder);
    require(kernel != nullptr, "unknown coder id");
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    const auto in = view(symbols);
    require(!in.empty() && in.size() <= kChunk, "a stream has 1..2^20 symbols");
    thread_local Workspace workspace;
    require(memory == 0 || (trellis::is_memory(memory) && lanes <= 256 && std::has_single_bit(lanes)),
            "memory is 3, 5 or 7, and lanes a power of 2 up to 256");
    workspace.patient = patient;
    workspace.trellis = {memory, lanes};
    return bytes_of(2 + packed_bytes(in.size(), bits), [&](std::uint8_t* out) {
        return put_stream(in.data(), in.size(), bits, *kernel, workspace, out);
    });
}

// The first `count` symbols of a stream in any of its modes, and the bytes that it takes.
py::tuple read_stream(std::uint8_t coder, const Bytes& bytes, std::size_t count, unsigned bits) {
    const CoderKernel* kernel = find_coder(coder);
    require(kernel != nullptr, "unknown coder id");
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    require(count >= 1 && count <= kChunk, "a stream has 1..2^20 symbols");
    thread_local Workspace workspace;
    ByteReader in(view(bytes));
    Bytes out(static_cast<py::ssize_t>(count));
    check(read_whole_stream(in, *kernel, count, bits, workspace, writable(out).data()));
    return py::make_tuple(out, in.at());
}

py::object stream_encode(std::uint8_t coder, const Bytes& symbols, unsigned bits) {
    const CoderKernel* kernel = find_coder(coder);
    require(kernel != nullptr, "unknown coder id");
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    const auto in = view(symbols);
    require(!in.empty() && in.size() <= kChunk, "a stream has 1..2^20 symbols");
    std::uint8_t all = 0;
    for (const std::uint8_t s : in) all |= s;
    require(all >> bits == 0, "a symbol is wider than bits");
    // Kept from call to call, as whole tensors do (core/threads.hpp).
    thread_local Workspace workspace;
    const std::size_t room = packed_bytes(in.size(), bits);
    return bytes_of(room, [&](std::uint8_t* out) { return kernel->encode(in, bits, workspace, {out, room}); });
}

Bytes stream_decode(std::uint8_t coder, const Bytes& payload, std::size_t count, unsigned bits) {
    const CoderKernel* kernel = find_coder(coder);
    require(kernel != nullptr, "unknown coder id");
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    require(count >= 1 && count <= kChunk, "a stream has 1..2^20 symbols");
    thread_local Workspace workspace;
    std::uint8_t* state = workspace.get(Workspace::kState0, kernel->state_bytes);
    Bytes out(static_cast<py::ssize_t>(count));
    check(kernel->open(state, view(payload), count, bits));
    for (std::size_t at = 0; at < count; at += kBlock) {
        const std::size_t n = std::min(kBlock, count - at);
        const std::uint8_t* symbols = nullptr;
        check(kernel->next(state, n, &symbols));
        std::memcpy(out.mutable_data() + at, symbols, n);
    }
    check(kernel->finish(state));
    return out;
}

Bytes pack(const Bytes& symbols, unsigned bits) {
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    const auto in = view(symbols);
    Bytes out(static_cast<py::ssize_t>(packed_bytes(in.size(), bits)));
    pack_symbols.pick()(in.data(), bits, in.size(), out.mutable_data());
    return out;
}

Bytes unpack(const Bytes& packed, unsigned bits, std::size_t n) {
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    require(view(packed).size() == packed_bytes(n, bits), "packed has another size than n symbols");
    Bytes out(static_cast<py::ssize_t>(n));
    unpack_symbols.pick()(packed.data(), bits, n, out.mutable_data());
    return out;
}

// Integers of `dithered`, for values less than 2^24 - 1 steps from zero.
Flat<std::int32_t> levels(const Flat<float>& values, std::uint64_t seed, std::uint64_t first, float step) {
    const auto in = view(values);
    Flat<std::int32_t> out(static_cast<py::ssize_t>(in.size()));
    const auto to = writable(out);
    {
        const py::gil_scoped_release release;
        dithered_levels(seed, first, in, step, to.data());
    }
    return out;
}

// Between floating dtypes, by way of float32.
Bytes convert(const Bytes& data, std::uint8_t from, std::uint8_t to) {
    const auto a = static_cast<DType>(from);
    const auto b = static_cast<DType>(to);
    require(is_float(a) && is_float(b), "convert takes floating dtypes");
    const auto in = view(data);
    require(in.size() % item_bytes(a) == 0, "data is no whole number of elements");
    const std::size_t n = in.size() / item_bytes(a);
    Bytes out(static_cast<py::ssize_t>(n * item_bytes(b)));
    if (n == 0) return out;  // kernels copy from and to no null pointer
    std::vector<float> block(n);
    to_f32.pick()(in.data(), a, n, block.data());
    from_f32.pick()(block.data(), n, out.mutable_data(), b);
    return out;
}

}  // namespace

void add_streams(py::module_& m) {
    m.def("stream", &stream, py::arg("coder"), py::arg("symbols").noconvert(), py::arg("bits"),
          py::arg("patient"), py::arg("memory") = 0, py::arg("lanes") = 0);
    m.def("dither", [](std::uint64_t seed, std::uint64_t first, std::size_t n) {
        Flat<float> out(static_cast<py::ssize_t>(n));
        fill_dither(seed, first, n, writable(out).data());
        return out;
    }, py::arg("seed"), py::arg("first"), py::arg("n"));
    m.def("dithered_levels", &levels, py::arg("values").noconvert(), py::arg("seed"), py::arg("first"),
          py::arg("step"));
    m.def("lattice_dither", [](unsigned points, std::uint64_t seed, std::uint64_t first, std::size_t n) {
        require(points >= lattice::kZ && points <= lattice::kE8, "no dither for this lattice");
        const std::size_t dim = lattice::kForms[points].dim;
        require(n % dim == 0 && first % dim == 0 && n <= kChunk + dim, "whole vectors of one chunk");
        Flat<float> out(static_cast<py::ssize_t>(n));
        const auto to = writable(out);
        std::fill(to.begin(), to.end(), 0.0f);
        lattice::subtract_dither(static_cast<lattice::Kind>(points), seed, first, n / dim, to.data());
        for (float& u : to) u = -u;
        return out;
    }, py::arg("lattice"), py::arg("seed"), py::arg("first"), py::arg("n"));
    m.def("read_stream", &read_stream, py::arg("coder"), py::arg("bytes").noconvert(),
          py::arg("count"), py::arg("bits"));
    m.def("stream_encode", &stream_encode, py::arg("coder"), py::arg("symbols").noconvert(),
          py::arg("bits"));
    m.def("stream_decode", &stream_decode, py::arg("coder"), py::arg("payload").noconvert(),
          py::arg("count"), py::arg("bits"));
    m.def("pack", &pack, py::arg("symbols").noconvert(), py::arg("bits"));
    m.def("unpack", &unpack, py::arg("packed").noconvert(), py::arg("bits"), py::arg("n"));
    m.def("convert", &convert, py::arg("data").noconvert(), py::arg("from_dtype"),
          py::arg("to_dtype"));
}

}  // namespace qc::bind
