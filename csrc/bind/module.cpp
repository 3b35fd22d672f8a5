// bind/module.cpp - the `_core` extension: numpy arrays in, kernels, numpy arrays out. Nothing is decided here.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <cstring>

#include "bind/arrays.hpp"
#include "core/xxh3.hpp"
#include "entropy/bitpack.hpp"
#include "entropy/stream.hpp"
#include "pipeline/plane.hpp"
#include "pipeline/tensor.hpp"
#include "quantize/dithered.hpp"
#include "quantize/floats.hpp"
#include "quantize/lattice.hpp"
#include "quantize/uniform.hpp"
#include "simd/isa.hpp"
#include "transform/dct.hpp"

namespace qc::bind {
namespace {

TensorJob make_job(std::uint8_t quantizer, std::uint8_t coder, std::uint8_t dtype, std::uint64_t n,
                   std::uint64_t inner, std::uint64_t dim, unsigned bits, bool symmetric,
                   float step, std::uint64_t seed, unsigned points, bool dither, unsigned block,
                   std::uint64_t columns, bool profile, std::uint64_t channels, std::uint64_t positions) {
    TensorJob job{{find_quantizer(quantizer), find_coder(coder)},
                  {static_cast<DType>(dtype), n, inner, dim, bits, symmetric, step, seed, points, dither,
                   block, columns, profile, channels, positions},
                  1};
    require(block <= kMaxBlock, "block is 0..8");
    require(!profile || columns == 0, "a profile needs kernels, not blocks of a matrix");
    require(channels >= 1 && positions >= 1 && channels <= kChunk && positions <= kChunk,
            "channels and positions are 1..2^20");
    require(job.codec.quantizer != nullptr, "unknown quantizer id");
    require(job.codec.coder != nullptr, "unknown coder id");
    require(item_bytes(job.spec.dtype) != 0, "unknown dtype code");
    require(inner >= 1 && dim >= 1, "inner and dim are at least 1");
    require(bits <= 8 || bits == 16, "bits is 0..8 or 16");
    require(n <= std::uint64_t{1} << 48, "more than 2^48 elements");
    require(std::strcmp(job.codec.quantizer->name, "lossless") == 0 || is_float(job.spec.dtype),
            "this quantizer takes floating dtypes");
    const bool on_lattice = std::strcmp(job.codec.quantizer->name, "lattice") == 0;
    require(on_lattice ? points >= lattice::kZ && points <= lattice::kLeech
                       : points == lattice::kNone,
            "lattice is 1..4");
    require(!dither || (on_lattice && points != lattice::kLeech), "no dither for this quantizer");
    return job;
}

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
            status = job.codec.quantizer->forward(job.spec, range, in.data() + first * item, params,
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
    Source from;
    Bytes memory;
    if (py::isinstance<py::int_>(source)) {
        from.descriptor = source.cast<int>();
    } else {
        memory = source.cast<Bytes>();
        from.memory = view(memory);
    }
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
    Source from;
    Bytes memory;
    if (py::isinstance<py::int_>(source)) {
        from.descriptor = source.cast<int>();
    } else {
        memory = source.cast<Bytes>();
        from.memory = view(memory);
    }
    Status status;
    {
        const py::gil_scoped_release release;
        status = decode_shared(jobs[0].codec, specs, outputs, from, offset, length, hash, seed, verify);
    }
    check(status);
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
        status = job.codec.quantizer->forward(job.spec, {first, count}, in.data(), params, workspace, made);
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

// Encoders that search may take their time over coding as well.
py::bytes stream(std::uint8_t coder, const Bytes& symbols, unsigned bits, bool patient) {
    const CoderKernel* kernel = find_coder(coder);
    require(kernel != nullptr, "unknown coder id");
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    const auto in = view(symbols);
    require(!in.empty() && in.size() <= kChunk, "a stream has 1..2^20 symbols");
    thread_local Workspace workspace;
    thread_local Buffer buffer;
    workspace.patient = patient;
    std::uint8_t* const out = buffer.reserve(2 + packed_bytes(in.size(), bits));
    std::size_t n = 0;
    {
        const py::gil_scoped_release release;
        n = put_stream(in.data(), in.size(), bits, *kernel, workspace, out);
    }
    return {reinterpret_cast<const char*>(out), n};
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
    thread_local Buffer out;
    const std::size_t room = packed_bytes(in.size(), bits);
    const std::size_t n = kernel->encode(in, bits, workspace, {out.reserve(room), room});
    if (n == 0) return py::none();
    return py::bytes(reinterpret_cast<const char*>(out.reserve(room)), n);
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

// Between floating dtypes, by way of float32.
Bytes convert(const Bytes& data, std::uint8_t from, std::uint8_t to) {
    const auto a = static_cast<DType>(from);
    const auto b = static_cast<DType>(to);
    require(is_float(a) && is_float(b), "convert takes floating dtypes");
    const auto in = view(data);
    require(in.size() % item_bytes(a) == 0, "data is no whole number of elements");
    const std::size_t n = in.size() / item_bytes(a);
    std::vector<float> block(n);
    to_f32.pick()(in.data(), a, n, block.data());
    Bytes out(static_cast<py::ssize_t>(n * item_bytes(b)));
    from_f32.pick()(block.data(), n, out.mutable_data(), b);
    return out;
}

py::dict build_info() {
    py::dict info;
    info["compiler"] = __VERSION__;
    info["isa"] = isa_name(best_isa());
#ifdef NDEBUG
    info["asserts"] = false;
#else
    info["asserts"] = true;
#endif
#ifdef __SANITIZE_ADDRESS__
    info["sanitized"] = true;
#else
    info["sanitized"] = false;
#endif
    return info;
}

void set_isa(const std::string& name) {
    Isa level{};
    if (!isa_from_name(name.c_str(), level)) {
        throw py::value_error("QCODEC_ISA is '" + name + "': use portable, avx2 or avx512");
    }
    if (!set_active_isa(level)) {
        throw py::value_error("QCODEC_ISA is '" + name + "', but this CPU stops at " +
                              isa_name(best_isa()));
    }
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    if (const char* forced = std::getenv("QCODEC_ISA"); forced != nullptr && *forced != '\0') {
        set_isa(forced);
    }
    static PYBIND11_CONSTINIT py::gil_safe_call_once_and_store<py::object> failure;
    failure.call_once_and_store_result([&]() {
        return py::object(py::exception<Failure>(m, "KernelError"));
    });
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p) std::rethrow_exception(p);
        } catch (const Failure& f) {
            const py::tuple args = py::make_tuple(static_cast<int>(f.status.code), f.status.at,
                                                  f.status.what, f.job);
            PyErr_SetObject(failure.get_stored().ptr(), args.ptr());
        }
    });
    py::class_<TensorJob>(m, "Job")
        .def(py::init(&make_job), py::kw_only(), py::arg("quantizer"), py::arg("coder"),
             py::arg("dtype"), py::arg("n"), py::arg("inner") = 1, py::arg("dim") = 1,
             py::arg("bits") = 0, py::arg("symmetric") = true, py::arg("step") = 0.0f, py::arg("seed") = 0,
             py::arg("lattice") = 0, py::arg("dither") = false,
             py::arg("block") = 0, py::arg("columns") = 0, py::arg("profile") = false,
             py::arg("channels") = 1, py::arg("positions") = 1)
        .def("fit", &fit, py::arg("data").noconvert())
        .def("forward", &forward, py::arg("data").noconvert(), py::arg("scales").noconvert(),
             py::arg("zero_points").noconvert())
        .def("symbols", &symbols, py::arg("data").noconvert(), py::arg("scales").noconvert(),
             py::arg("zero_points").noconvert(), py::arg("first"))
        .def_property_readonly("ordered", [](const TensorJob& job) {
            return is_ordered(*job.codec.quantizer, job.spec);
        })
        .def_property_readonly("profile", [](const TensorJob& job) { return job.spec.profile; })
        .def_property_readonly("channels", [](const TensorJob& job) { return job.spec.channels; })
        .def_property_readonly("positions", [](const TensorJob& job) { return job.spec.positions; })
        .def_property_readonly("inner", [](const TensorJob& job) { return job.spec.inner; })
        .def_property_readonly("dim", [](const TensorJob& job) { return job.spec.dim; })
        .def_property_readonly("step", [](const TensorJob& job) { return job.spec.step; })
        .def_property_readonly("block", [](const TensorJob& job) { return job.spec.block; })
        .def("elements", &elements, py::arg("first"), py::arg("count"))
        .def("coefficients", &coefficients, py::arg("values").noconvert(), py::arg("first"))
        .def("classes", &classes, py::arg("first"), py::arg("count"), py::arg("codes").noconvert())
        .def("decode", &decode, py::arg("source"), py::arg("offsets").noconvert(),
             py::arg("lengths").noconvert(), py::arg("hashes").noconvert(), py::arg("key"),
             py::arg("begin"), py::arg("end"), py::arg("verify"), py::arg("out").noconvert(),
             py::arg("out_dtype"), py::arg("threads"));
    py::class_<Encoder>(m, "Encoder")
        .def(py::init<>())
        .def("encode", &Encoder::encode, py::arg("job"), py::arg("data").noconvert(),
             py::arg("scales").noconvert(), py::arg("zero_points").noconvert(), py::arg("first"),
             py::arg("count"), py::arg("threads"));
    m.def("decode_together", &decode_together, py::arg("jobs"), py::arg("source"), py::arg("offset"),
          py::arg("length"), py::arg("hash"), py::arg("seed"), py::arg("verify"), py::arg("outs"),
          py::arg("out_dtypes"));
    m.def("stream", &stream, py::arg("coder"), py::arg("symbols").noconvert(), py::arg("bits"),
          py::arg("patient"));
    m.def("dither", [](std::uint64_t seed, std::uint64_t first, std::size_t n) {
        Flat<float> out(static_cast<py::ssize_t>(n));
        fill_dither(seed, first, n, writable(out).data());
        return out;
    }, py::arg("seed"), py::arg("first"), py::arg("n"));
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
    m.def("xxh3_64", [](const py::buffer& data, std::uint64_t seed) {
        const py::buffer_info info = data.request();
        require(info.ndim == 1 && info.strides[0] == info.itemsize, "data is not contiguous");
        return xxh3_64(static_cast<const std::uint8_t*>(info.ptr),
                       static_cast<std::size_t>(info.size * info.itemsize), seed);
    }, py::arg("data"), py::arg("seed"));
    m.def("isa", [] { return isa_name(active_isa()); });
    m.def("best_isa", [] { return isa_name(best_isa()); });
    m.def("set_isa", &set_isa, py::arg("name"));
    m.def("quantizers", [] {
        py::dict d;
        for (auto* r = RegisterQuantizer::head; r != nullptr; r = r->next) d[r->kernel.name] = r->kernel.id;
        return d;
    });
    m.def("coders", [] {
        py::dict d;
        for (auto* r = RegisterCoder::head; r != nullptr; r = r->next) d[r->kernel.name] = r->kernel.id;
        return d;
    });
    m.def("build_info", &build_info);
}

}  // namespace qc::bind
