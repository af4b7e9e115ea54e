// Turns buffers into typed pointers, after a check of their counts and alignment. Layer: runtime.
#pragma once

#include <stdexcept>
#include <string>

#include "../core/buffer.h"
#include "../core/dtype.h"

namespace fastconv::runtime {

// Returns the buffer as a pointer, or throws. With `optional` null is allowed and returned.
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

// The same for a buffer that a kernel writes completely. Device::will_write may prepare its memory.
template <class Device, class T>
T* checked_output(const char* name, Buffer buffer, int64_t expected, bool optional = false) {
  T* data = checked<T>(name, buffer, expected, optional);
  if (data) Device::will_write(data, expected * int64_t(sizeof(T)));
  return data;
}

// Returns the DType that a caller's number names, or throws.
inline DType checked_dtype(int number) {
  if (!is_dtype(number))
    throw std::invalid_argument("there are no kernels for element type " + std::to_string(number));
  return static_cast<DType>(number);
}

}  // namespace fastconv::runtime
