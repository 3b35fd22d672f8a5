// bind/search.cpp - searches of encoders that are native.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "entropy/trellis.hpp"
#include "quantize/magnitudes.hpp"
#include "search/trellis.hpp"

namespace qc::bind {
namespace {

// Symbols of a chunk's values in coding order, their bits, the lanes of the walk, and shifts of points.
py::tuple walk_trellis(const Flat<float>& values, const Flat<float>& weights, unsigned memory, float scale,
                       float rdo, bool patient) {
    const auto in = view(values);
    const auto importance = view(weights);
    require(!in.empty() && in.size() <= kChunk, "1..2^20 values");
    require(importance.empty() || importance.size() == in.size(), "one weight for each value");
    require(trellis::is_memory(memory), "memory is 3, 5 or 7");
    require(std::isnormal(scale) && scale > 0 && rdo >= 0 && std::isfinite(rdo), "scale and rdo");
    thread_local Workspace workspace;
    workspace.patient = patient;
    trellis::Walk walk{};
    {
        const py::gil_scoped_release release;
        walk = trellis::choose(in, importance.empty() ? nullptr : importance.data(), {memory, scale, rdo}, workspace);
    }
    py::array_t<std::int8_t> shifts(static_cast<py::ssize_t>(walk.n_shifts));
    std::memcpy(shifts.mutable_data(), walk.shifts.data(), walk.n_shifts);
    return py::make_tuple(Bytes(static_cast<py::ssize_t>(in.size()), walk.symbols), walk.bits, walk.lanes, shifts);
}

// Indices of the first `most` values that are not within -limit .. limit.
Flat<std::int64_t> beyond(const Flat<float>& values, float limit, std::size_t most) {
    constexpr std::size_t kAtOnce = std::size_t{1} << 14;
    const auto in = view(values);
    require(limit >= 0, "a limit of 0 or more");
    std::vector<std::int64_t> found;
    {
        const py::gil_scoped_release release;
        const auto count = magnitudes.pick()->beyond;
        for (std::size_t at = 0; at < in.size() && found.size() < most; at += kAtOnce) {
            const auto some = in.subspan(at, std::min(kAtOnce, in.size() - at));
            if (count(some.data(), some.size(), limit) == 0) continue;
            for (std::size_t k = 0; k < some.size() && found.size() < most; ++k) {
                if (!(std::abs(some[k]) <= limit)) found.push_back(static_cast<std::int64_t>(at + k));
            }
        }
    }
    return Flat<std::int64_t>(static_cast<py::ssize_t>(found.size()), found.data());
}

}  // namespace

void add_search(py::module_& m) {
    m.def("largest", [](const Flat<float>& values) {
        const auto in = view(values);
        return magnitudes.pick()->largest(in.data(), in.size());
    }, py::arg("values").noconvert());
    m.def("beyond", &beyond, py::arg("values").noconvert(), py::arg("limit"), py::arg("most"));
    m.def("walk_trellis", &walk_trellis, py::arg("values").noconvert(), py::arg("weights").noconvert(),
          py::arg("memory"), py::arg("scale"), py::arg("rdo"), py::arg("patient"));
}

}  // namespace qc::bind
