// Buffers become typed pointers, after a check that each holds as many elements as its shape asks for.
// Layer: runtime.
#pragma once

#include <stdexcept>
#include <string>

#include "../core/buffer.h"
#include "../core/dtype.h"

namespace fastconv::runtime {

// `optional`: a null address is passed on.
template <class T>
T* checked(const char* name, Buffer buffer, int64_t expected, bool optional = false) {
  if (optional && buffer.at == 0) return nullptr;
  if (buffer.count != expected || (buffer.at == 0 && expected != 0))
    throw std::invalid_argument(std::string(name) + " holds " +
                                std::to_string(buffer.at ? buffer.count : 0) +
                                " elements, but the shape has " + std::to_string(expected));
  if (buffer.at % alignof(T) != 0)
    throw std::invalid_argument(std::string(name) + " is not aligned to its elements");
  return reinterpret_cast<T*>(buffer.at);
}

// A buffer that a kernel writes, all of it. Device::will_write may prepare its memory.
template <class Device, class T>
T* checked_output(const char* name, Buffer buffer, int64_t expected, bool optional = false) {
  T* data = checked<T>(name, buffer, expected, optional);
  if (data) Device::will_write(data, expected * int64_t(sizeof(T)));
  return data;
}

// A number from outside as a DType.
inline DType checked_dtype(int number) {
  if (!is_dtype(number))
    throw std::invalid_argument("there are no kernels for element type " + std::to_string(number));
  return static_cast<DType>(number);
}

}  // namespace fastconv::runtime
