// Buffers as arguments from Python, for every device's bindings. Layer: bindings.
#pragma once

#include "../core/buffer.h"

#include <pybind11/pybind11.h>

// In Python a Buffer is (address, elements), or None for a tensor that does not exist.
template <>
struct pybind11::detail::type_caster<fastconv::Buffer> {
  PYBIND11_TYPE_CASTER(fastconv::Buffer, const_name("tuple[int, int] | None"));

  bool load(handle source, bool) {
    if (source.is_none()) return true;
    if (!PyTuple_Check(source.ptr()) || PyTuple_GET_SIZE(source.ptr()) != 2) return false;
    const size_t at = PyLong_AsSize_t(PyTuple_GET_ITEM(source.ptr(), 0));
    const long long count = PyLong_AsLongLong(PyTuple_GET_ITEM(source.ptr(), 1));
    if (PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    value = {at, count};
    return true;
  }
};
