// The key of a kind of call in a hash table. It is a row of integers: operator, element type,
// sizes, strides and arguments. Layer: bindings.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

#include "host.h"
#include "../runtime/recent.h"

namespace fastconv::bindings {

class CallKey {
 public:
  // Enough for every operator: 2 + 2 * (1 + 8) + 2 for tensors, 7 arguments of at most 3.
  static constexpr int CAPACITY = 48;

  void add(int64_t value) {
    if (count < CAPACITY) values[count] = value;
    ++count;
  }

  void add(const View& t) {
    add(static_cast<int64_t>(t.dtype) * 8 + t.ndim);
    for (int i = 0; i < t.ndim; ++i) add(t.sizes[i]);
    for (int i = 0; i < t.ndim; ++i) add(t.strides[i]);
  }

  // Adds an argument of torch.nn.functional: None, a bool, an int, a tuple of two, "same" or
  // "valid". Any other object makes the key invalid, even if it compares equal to one of these.
  void add_argument(PyObject* value) {
    if (value == Py_None) return add(NONE);
    if (PyBool_Check(value)) return add(value == Py_True ? TRUE : FALSE);
    if (PyLong_CheckExact(value)) return add(ONE_INT), add_int(value);
    if (PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) <= 2) {
      add(TUPLE + PyTuple_GET_SIZE(value));
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) {
        PyObject* item = PyTuple_GET_ITEM(value, i);
        if (item == Py_None)
          add(NONE_IN_TUPLE);
        else
          add_int(item);
      }
      return;
    }
    if (PyUnicode_CheckExact(value)) {
      if (PyUnicode_CompareWithASCIIString(value, "same") == 0) return add(SAME);
      if (PyUnicode_CompareWithASCIIString(value, "valid") == 0) return add(VALID);
    }
    count = CAPACITY + 1;
  }

  bool valid() const { return count <= CAPACITY; }

  bool operator==(const CallKey& other) const {
    if (count != other.count) return false;
    for (int i = 0; i < count; ++i)
      if (values[i] != other.values[i]) return false;
    return true;
  }

  struct Hash {
    size_t operator()(const CallKey& key) const { return runtime::hash_of(key.values, key.count); }
  };

 private:
  static constexpr int64_t NONE_IN_TUPLE = INT64_MIN;
  enum Tag : int64_t { NONE, FALSE, TRUE, ONE_INT, SAME, VALID, TUPLE };

  void add_int(PyObject* value) {
    int overflow = 1;
    const int64_t number =
        PyLong_CheckExact(value) ? PyLong_AsLongLongAndOverflow(value, &overflow) : 0;
    if (overflow || number == NONE_IN_TUPLE)
      count = CAPACITY + 1;
    else
      add(number);
  }

  int count = 0;
  int64_t values[CAPACITY];
};

}  // namespace fastconv::bindings
