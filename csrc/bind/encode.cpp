// bind/encode.cpp - from arrays to chunks, and the steps between that searches take part in.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstring>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "quantize/uniform.hpp"
#include "transform/dct.hpp"

namespace qc::bind {
namespace {

Params make_params(const TensorJob& job, const Flat<float>& scales,
                   const Flat<std::int32_t>& zero_points) {
    const bool uniform = std::strcmp(job.codec.quantizer->name, "uniform") == 0;
    const std::uint64_t dim = uniform ? job.spec.dim : 0;
    require(view(scales).size() == dim, "one scale per group");
    require(view(zero_points).size() == (job.spec.symmetric ? 0 : dim), "one zero point per group");
    return {view(scales), view(zero_points)};
}

void check_data(const TensorJob& job, const Bytes& data) {
    require(static_cast<std::uint64_t>(data.size()) == job.spec.n * item_bytes(job.spec.dtype),
            "data has another size than the tensor");
}

py::tuple fit(const TensorJob& job, const Bytes& data) {
    check_data(job, data);
    Flat<float> scales(static_cast<py::ssize_t>(job.spec.dim));
    Flat<std::int32_t> zeros(job.spec.symmetric ? 0 : static_cast<py::ssize_t>(job.spec.dim));
    const auto in = view(data);
    const auto s = writable(scales);
    const auto z = writable(zeros);
    Status status;
    {
        const py::gil_scoped_release release;
        status = fit_uniform(job.spec, in.data(), s, z);
    }
    check(status);
    return py::make_tuple(scales, zeros);
}

// Buffers of encoded chunks, reused from call to call: fresh pages would cost as much as encoding.
class Encoder {
public:
    // Chunks [first, first + count) as memoryviews, valid until the next call or the encoder's end.
    py::list encode(TensorJob job, const Bytes& data, const Flat<float>& scales,
                    const Flat<std::int32_t>& zero_points, std::uint64_t first, std::uint64_t count,
                    unsigned threads) {
        check_data(job, data);
        const Params params = make_params(job, scales, zero_points);
        require(first + count <= job.spec.chunks() && first <= first + count, "no such chunks");
        job.threads = threads;
        chunks_.resize(std::max<std::size_t>(chunks_.size(), count));
        const auto in = view(data);
        JobStatus done;
        {
            const py::gil_scoped_release release;
            done = encode_tensor(job, in.data(), params, first, {chunks_.data(), count});
        }
        check(done.status, done.job + first);
        py::list out;
        for (std::size_t k = 0; k < count; ++k) {
            out.append(py::memoryview::from_memory(
                static_cast<const void*>(chunks_[k].bytes().data()),
                static_cast<py::ssize_t>(chunks_[k].bytes().size())));
        }
        return out;
    }

private:
    std::vector<Buffer> chunks_;
};

// Symbol planes of the whole tensor, shape (planes, n): what the coder would see.
py::object forward(const TensorJob& job, const Bytes& data, const Flat<float>& scales,
                   const Flat<std::int32_t>& zero_points) {
    check_data(job, data);
    const Params params = make_params(job, scales, zero_points);
    const auto in = view(data);
    const auto n = static_cast<py::ssize_t>(job.spec.n);
    std::vector<std::vector<std::uint8_t>> planes;
    Status status;
    std::uint64_t chunk = 0;
    {
        const py::gil_scoped_release release;
        Workspace workspace;
        const std::size_t item = item_bytes(job.spec.dtype);
        for (; chunk < job.spec.chunks() && status.ok(); ++chunk) {
            const std::uint64_t first = chunk * kChunk;
            const ChunkRange range{first, static_cast<std::size_t>(std::min<std::uint64_t>(
                                              kChunk, job.spec.n - first))};
            ChunkSymbols made;
            status = job.codec.quantizer->symbols(job.spec, range, in.data() + first * item, params,
                                                  workspace, made);
            if (!status.ok()) break;
            if (planes.size() < made.planes) planes.resize(made.planes, std::vector<std::uint8_t>(job.spec.n));
            for (unsigned k = 0; k < made.planes; ++k) {
                std::memcpy(planes[k].data() + first, made.symbols[k], range.count);
            }
        }
    }
    check(status, chunk);
    py::array_t<std::uint8_t> out({static_cast<py::ssize_t>(planes.size()), n});
    for (std::size_t k = 0; k < planes.size(); ++k) {
        std::memcpy(out.mutable_data(static_cast<py::ssize_t>(k), 0), planes[k].data(), planes[k].size());
    }
    return out;
}

// Section and planes of elements [first, first + count) of the tensor, given as they are in memory.
py::tuple symbols(const TensorJob& job, const Bytes& data, const Flat<float>& scales,
                  const Flat<std::int32_t>& zero_points, std::uint64_t first) {
    const Params params = make_params(job, scales, zero_points);
    const std::size_t item = item_bytes(job.spec.dtype);
    const auto in = view(data);
    const std::size_t count = in.size() / item;
    require(count >= 1 && count <= kChunk && in.size() % item == 0, "data of 1..2^20 elements");
    require(first <= job.spec.n && count <= job.spec.n - first, "no such elements");
    Workspace workspace;
    ChunkSymbols made;
    Status status;
    {
        const py::gil_scoped_release release;
        status = job.codec.quantizer->symbols(job.spec, {first, count}, in.data(), params, workspace, made);
    }
    check(status);
    py::list planes;
    py::list bits;
    for (unsigned k = 0; k < made.planes; ++k) {
        planes.append(Bytes(static_cast<py::ssize_t>(count), made.symbols[k]));
        bits.append(made.bits[k]);
    }
    return py::make_tuple(py::bytes(reinterpret_cast<const char*>(made.section.data()), made.section.size()),
                          planes, bits);
}

// Elements [first, first + values.size()) in the order of coefficients, transformed.
Flat<float> coefficients(const TensorJob& job, const Flat<float>& values, std::uint64_t first) {
    const auto in = view(values);
    require(job.spec.block >= 1 && in.size() <= kChunk, "at most 2^20 values, and a block");
    Flat<float> out(static_cast<py::ssize_t>(in.size()));
    const auto to = writable(out);
    {
        const py::gil_scoped_release release;
        forward_dct(in.data(), BlockGrid(job.spec.block, job.spec.columns, first, in.size()), to.data());
    }
    return out;
}

// Classes of the elements of a chunk, in whose order its symbols are coded.
Bytes classes(const TensorJob& job, std::uint64_t first, std::size_t count, const Bytes& codes) {
    require(count >= 1 && count <= kChunk && first <= job.spec.n && count <= job.spec.n - first,
            "no such elements");
    const Part part{&job.spec, {first, count}};
    require(view(codes).size() == profile_codes(job.spec, part.range), "another number of codes");
    Bytes out(static_cast<py::ssize_t>(count));
    element_classes(*job.codec.quantizer, part, codes.data(), writable(out).data());
    return out;
}

// A plane of the symbols of a chunk in the order of classes, where the kernel needs no list of them.
Bytes scatter(const TensorJob& job, const Bytes& plane, std::uint64_t first) {
    const auto in = view(plane);
    require(job.codec.quantizer->scatter != nullptr && job.spec.block == 0, "a quantizer with classes of its own");
    require(in.size() >= 1 && in.size() <= kChunk && first <= job.spec.n && in.size() <= job.spec.n - first &&
                first % kChunk == 0,
            "no such elements");
    Bytes out(static_cast<py::ssize_t>(in.size()));
    job.codec.quantizer->scatter(job.spec, {first, in.size()}, in.data(), writable(out).data());
    return out;
}

// In which order the symbols of elements of these classes are coded.
Flat<std::int64_t> order_of(const Bytes& classes) {
    const auto in = view(classes);
    require(in.size() <= kChunk, "classes of one chunk");
    Flat<std::int64_t> out(static_cast<py::ssize_t>(in.size()));
    coding_order(in, writable(out).data());
    return out;
}

// Elements at which the coefficients of a chunk stand, by their number in the tensor.
Flat<std::int64_t> elements(const TensorJob& job, std::uint64_t first, std::size_t count) {
    require(count <= kChunk && first <= job.spec.n && count <= job.spec.n - first, "no such elements");
    Flat<std::int64_t> out(static_cast<py::ssize_t>(count));
    std::int64_t* to = writable(out).data();
    const auto put = [&](std::size_t at, std::size_t n) {
        for (std::size_t k = 0; k < n; ++k) *to++ = static_cast<std::int64_t>(first + at + k);
    };
    if (job.spec.block == 0) {
        put(0, count);
        return out;
    }
    const BlockGrid grid(job.spec.block, job.spec.columns, first, count);
    for (std::size_t b = 0; b < grid.blocks(); ++b) {
        for (unsigned r = 0; r < grid.side(); ++r) put(grid.row_of_block(b, r), grid.side());
    }
    grid.for_rest(put);
    return out;
}

}  // namespace

void add_encode(py::module_& m, py::class_<TensorJob>& job) {
    job.def("fit", &fit, py::arg("data").noconvert())
        .def("forward", &forward, py::arg("data").noconvert(), py::arg("scales").noconvert(),
             py::arg("zero_points").noconvert())
        .def("symbols", &symbols, py::arg("data").noconvert(), py::arg("scales").noconvert(),
             py::arg("zero_points").noconvert(), py::arg("first"))
        .def("elements", &elements, py::arg("first"), py::arg("count"))
        .def("coefficients", &coefficients, py::arg("values").noconvert(), py::arg("first"))
        .def("scatter", &scatter, py::arg("plane").noconvert(), py::arg("first"))
        .def("classes", &classes, py::arg("first"), py::arg("count"), py::arg("codes").noconvert());
    m.def("coding_order", &order_of, py::arg("classes").noconvert());
    py::class_<Encoder>(m, "Encoder")
        .def(py::init<>())
        .def("encode", &Encoder::encode, py::arg("job"), py::arg("data").noconvert(),
             py::arg("scales").noconvert(), py::arg("zero_points").noconvert(), py::arg("first"),
             py::arg("count"), py::arg("threads"));
}

}  // namespace qc::bind
