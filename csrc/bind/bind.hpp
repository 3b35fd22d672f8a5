// bind/bind.hpp - the parts that the `_core` extension is put together from.
#pragma once

#include <pybind11/pybind11.h>

#include "pipeline/tensor.hpp"

namespace qc::bind {

void add_encode(pybind11::module_& m, pybind11::class_<TensorJob>& job);
void add_decode(pybind11::module_& m, pybind11::class_<TensorJob>& job);
void add_streams(pybind11::module_& m);
void add_traffic(pybind11::module_& m);
void add_bloomier(pybind11::module_& m);
void add_search(pybind11::module_& m);

}  // namespace qc::bind
