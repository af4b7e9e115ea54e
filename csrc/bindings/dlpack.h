// The part of DLPack's C interface by which a library reads addresses, extents and strides of
// another library's tensors. It needs no header of the other library. Layer: bindings. Source: the
// DLPack 1.x standard, `DLPackExchangeAPI` (https://dmlc.github.io/dlpack).
#pragma once

#include <cstdint>

namespace fastconv::bindings::dlpack {

constexpr uint32_t MAJOR_VERSION = 1;
constexpr int32_t CPU = 1;
constexpr uint8_t FLOAT = 2, BFLOAT = 4;

struct Version {
  uint32_t major, minor;
};

struct Tensor {
  char* data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  const int64_t* shape;
  const int64_t* strides;  // in elements
  uint64_t byte_offset;
};

struct ExchangeApi {
  Version version;
  const ExchangeApi* previous;
  const void* allocate;
  const void* from_object;
  const void* to_object;
  // Fills in `view` of a tensor object, which still owns its memory. Returns -1 with a Python error
  // set if the tensor has no such view. The pointer may be null.
  int (*view_of_object)(void* object, Tensor* view);
  const void* current_work_stream;
};

}  // namespace fastconv::bindings::dlpack
