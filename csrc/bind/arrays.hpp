// bind/arrays.hpp - numpy arrays to spans. Every length, alignment and dtype is checked here, once.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "core/status.hpp"

namespace qc::bind {

namespace py = pybind11;

// Flat, contiguous, no conversion: the Python side has made it so.
template <class T>
using Flat = py::array_t<T, py::array::c_style>;

using Bytes = Flat<std::uint8_t>;

inline void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

template <class T>
std::span<const T> view(const Flat<T>& a) {
    return {a.data(), static_cast<std::size_t>(a.size())};
}

template <class T>
std::span<T> writable(Flat<T>& a) {
    return {a.mutable_data(), static_cast<std::size_t>(a.size())};
}

// A kernel's refusal on its way to Python, which adds file and tensor and picks the error class.
struct Failure {
    Status status;
    std::size_t job = 0;
};

inline void check(Status status, std::size_t job = 0) {
    if (!status.ok()) throw Failure{status, job};
}

}  // namespace qc::bind
