// bind/module.cpp - the `_core` extension: numpy arrays in, kernels, numpy arrays out. Nothing is decided here.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdlib>
#include <cstring>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "core/sanitized.hpp"
#include "core/xxh3.hpp"
#include "pipeline/order.hpp"
#include "pipeline/tensor.hpp"
#include "quantize/lattice.hpp"
#include "quantize/scale_grid.hpp"
#include "simd/isa.hpp"
#include "transform/dct.hpp"

namespace qc::bind {
namespace {

TensorJob make_job(std::uint8_t quantizer, std::uint8_t coder, std::uint8_t dtype, std::uint64_t n,
                   std::uint64_t inner, std::uint64_t dim, unsigned bits, bool symmetric,
                   float step, std::uint64_t seed, unsigned points, bool dither, unsigned block,
                   std::uint64_t columns, bool profile, std::uint64_t channels, std::uint64_t positions,
                   unsigned most_entries) {
    TensorJob job{{find_quantizer(quantizer), find_coder(coder)},
                  {static_cast<DType>(dtype), n, inner, dim, bits, symmetric, step, seed, points, dither,
                   block, columns, profile, channels, positions, most_entries},
                  1};
    require(block != 1 && block <= kMaxBlock, "block is 0 or 2..8");
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
            "only lossless takes dtypes that are not floating");
    require(most_entries >= 1 && most_entries <= 256, "a codebook has 1..256 entries");
    const bool on_lattice = std::strcmp(job.codec.quantizer->name, "lattice") == 0;
    require(on_lattice ? points >= lattice::kZ && points <= lattice::kLeech
                       : points == lattice::kNone,
            "lattice is 1..4");
    require(!dither || (on_lattice && points != lattice::kLeech), "no dither for this quantizer");
    return job;
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
    info["sanitized"] = QC_SANITIZED == 1;
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
    py::class_<TensorJob> job(m, "Job");
    job.def(py::init(&make_job), py::kw_only(), py::arg("quantizer"), py::arg("coder"),
            py::arg("dtype"), py::arg("n"), py::arg("inner") = 1, py::arg("dim") = 1,
            py::arg("bits") = 0, py::arg("symmetric") = true, py::arg("step") = 0.0f,
            py::arg("seed") = 0, py::arg("lattice") = 0, py::arg("dither") = false,
            py::arg("block") = 0, py::arg("columns") = 0, py::arg("profile") = false,
            py::arg("channels") = 1, py::arg("positions") = 1, py::arg("most_entries") = 256)
        .def_property_readonly("ordered", [](const TensorJob& job) {
            return is_ordered(*job.codec.quantizer, job.spec);
        })
        .def_property_readonly("scatters", [](const TensorJob& job) {
            return job.codec.quantizer->scatter != nullptr && job.spec.block == 0;
        })
        .def_property_readonly("dtype", [](const TensorJob& job) { return static_cast<int>(job.spec.dtype); })
        .def_property_readonly("inner", [](const TensorJob& job) { return job.spec.inner; })
        .def_property_readonly("profile", [](const TensorJob& job) { return job.spec.profile; })
        .def_property_readonly("channels", [](const TensorJob& job) { return job.spec.channels; })
        .def_property_readonly("positions", [](const TensorJob& job) { return job.spec.positions; })
        .def_property_readonly("step", [](const TensorJob& job) { return job.spec.step; })
        .def_property_readonly("dim", [](const TensorJob& job) { return job.spec.dim; })
        .def_property_readonly("block", [](const TensorJob& job) { return job.spec.block; });
    m.def("scale_grid", [] {
        Flat<float> out(kMaxScaleCode - kMinScaleCode + 1);
        for (std::uint32_t c = kMinScaleCode; c <= kMaxScaleCode; ++c) {
            out.mutable_data()[c - kMinScaleCode] = scale_of_code(c);
        }
        return out;
    });
    add_encode(m, job);
    add_decode(m, job);
    add_streams(m);
    add_traffic(m);
    add_bloomier(m);
    add_search(m);
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
