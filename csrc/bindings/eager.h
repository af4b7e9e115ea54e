// The short way of plain eager calls: from tensors to the result without Python code in between.
// Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include "host.h"

namespace fastconv::bindings {

void bind_eager(pybind11::module_& m);
// The host that reaches torch through Python objects.
void bind_python_host(pybind11::module_& m);

// Returns a new reference as an object. If it is null, throws the Python error that is set.
inline pybind11::object owned(PyObject* result) {
  if (!result) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

inline bool truth(const pybind11::object& value) { return PyObject_IsTrue(value.ptr()) == 1; }

constexpr const char* PLAN_CAPSULE = "fastconv.plan";
const Plan& plan_in(PyObject* capsule);

// Returns what f() returns; of an exception it sets the Python error and returns null.
template <class F>
PyObject* translated(const F& f) {
  try {
    return f().release().ptr();
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

// A function registered as METH_FASTCALL. Its call takes half the time of a call through pybind11.
using FastFunction = PyObject* (*)(PyObject * self, PyObject* const* args, Py_ssize_t n);
inline PyMethodDef fast_method(const char* name, FastFunction function) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
          METH_FASTCALL, nullptr};
}

using FastBody = pybind11::object (*)(PyObject* const*, Py_ssize_t);

template <FastBody body, int ARGUMENTS>
PyObject* fastcall(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n != ARGUMENTS) {
    PyErr_Format(PyExc_TypeError, "expected %d arguments, got %zd", ARGUMENTS, n);
    return nullptr;
  }
  return translated([&] { return body(args, n); });
}

template <FastBody body, int ARGUMENTS>
PyMethodDef fast_method(const char* name) {
  return fast_method(name, &fastcall<body, ARGUMENTS>);
}

}  // namespace fastconv::bindings
