// bind/decode.cpp - from chunks to arrays.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <vector>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"

namespace qc::bind {
namespace {

// A file descriptor, or memory that `memory` keeps alive.
Source make_source(const py::object& source, Bytes& memory) {
    Source from;
    if (py::isinstance<py::int_>(source)) {
        from.descriptor = source.cast<int>();
    } else {
        memory = source.cast<Bytes>();
        from.memory = view(memory);
    }
    return from;
}

void decode(TensorJob job, const py::object& source, const Flat<std::uint64_t>& offsets,
            const Flat<std::uint64_t>& lengths, const Flat<std::uint64_t>& hashes, std::uint64_t key,
            std::uint64_t begin, std::uint64_t end, bool verify, Bytes out, std::uint8_t out_dtype,
            unsigned threads) {
    const auto chunks = static_cast<py::ssize_t>(job.spec.chunks());
    require(offsets.size() == chunks && lengths.size() == chunks && hashes.size() == chunks,
            "one offset, length and hash per chunk");
    const auto to = static_cast<DType>(out_dtype);
    require(to == job.spec.dtype || (is_float(to) && is_float(job.spec.dtype)),
            "no conversion between these dtypes");
    require(begin <= end && end <= job.spec.n, "no such range");
    require(static_cast<std::uint64_t>(out.size()) == (end - begin) * item_bytes(to),
            "out has another size than the range");
    require(reinterpret_cast<std::uintptr_t>(out.data()) % item_bytes(to) == 0, "out is not aligned");
    job.threads = threads;
    Bytes memory;
    const Source from = make_source(source, memory);
    const ChunkTable table{offsets.data(), lengths.data(), hashes.data(), key};
    std::uint8_t* const target = writable(out).data();
    JobStatus done;
    {
        const py::gil_scoped_release release;
        done = decode_tensor(job, from, table, begin, end, verify, target, to);
    }
    check(done.status, done.job + static_cast<std::size_t>(begin / kChunk));
}

// One chunk that the tensors of `jobs` share; an output may be None.
void decode_together(const std::vector<TensorJob>& jobs, const py::object& source,
                     std::uint64_t offset, std::uint64_t length, std::uint64_t hash,
                     std::uint64_t seed, bool verify, const std::vector<py::object>& outs,
                     const std::vector<std::uint8_t>& out_dtypes) {
    require(!jobs.empty() && outs.size() == jobs.size() && out_dtypes.size() == jobs.size(),
            "one output and dtype per tensor");
    std::vector<const TensorSpec*> specs;
    std::vector<PartOutput> outputs;
    std::uint64_t n = 0;
    for (std::size_t k = 0; k < jobs.size(); ++k) {
        const TensorJob& job = jobs[k];
        require(job.codec.quantizer == jobs[0].codec.quantizer && job.codec.coder == jobs[0].codec.coder,
                "tensors of one chunk have one codec");
        require(job.spec.n >= 1 && job.spec.n <= kChunk, "a tensor of 1..2^20 elements");
        n += job.spec.n;
        specs.push_back(&job.spec);
        const auto to = static_cast<DType>(out_dtypes[k]);
        require(to == job.spec.dtype || (is_float(to) && is_float(job.spec.dtype)),
                "no conversion between these dtypes");
        outputs.push_back({nullptr, to});
        if (outs[k].is_none()) continue;
        const Bytes out = outs[k].cast<Bytes>();
        require(static_cast<std::uint64_t>(out.size()) == job.spec.n * item_bytes(to),
                "out has another size than the tensor");
        outputs.back().at = const_cast<std::uint8_t*>(out.data());
    }
    require(n <= kChunk, "more than 2^20 elements in one chunk");
    Bytes memory;
    const Source from = make_source(source, memory);
    Status status;
    {
        const py::gil_scoped_release release;
        status = decode_shared(jobs[0].codec, specs, outputs, from, offset, length, hash, seed, verify);
    }
    check(status);
}

}  // namespace

void add_decode(py::module_& m, py::class_<TensorJob>& job) {
    job.def("decode", &decode, py::arg("source"), py::arg("offsets").noconvert(),
            py::arg("lengths").noconvert(), py::arg("hashes").noconvert(), py::arg("key"),
            py::arg("begin"), py::arg("end"), py::arg("verify"), py::arg("out").noconvert(),
            py::arg("out_dtype"), py::arg("threads"));
    m.def("decode_together", &decode_together, py::arg("jobs"), py::arg("source"), py::arg("offset"),
          py::arg("length"), py::arg("hash"), py::arg("seed"), py::arg("verify"), py::arg("outs"),
          py::arg("out_dtypes"));
}

}  // namespace qc::bind
