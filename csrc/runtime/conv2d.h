// Runs the path of conv2d that choice.h chooses. The functions are templates over the device (cpu.h)
// and the buffers of a direction (../core/conv2d.h). Layer: runtime.
#pragma once

#include <type_traits>
#include <string>
#include <utility>

#include "../core/conv2d.h"
#include "../core/dtype.h"
#include "choice.h"
#include "filter_cache.h"
#include "verbose.h"

namespace fastconv::runtime {

// Returns the first plain sum below `path`, which runs if the result of `path` is not valid.
template <class Path>
const Path& plain_sum_below(const Path& path, const Conv2dShape& shape) {
  const Path* next = &path + 1;
  while (!next->is_plain_sum || next->supports(shape) != HOLDS) ++next;
  return *next;
}

// Runs `path`, and then a plain sum if the result is not valid.
template <class Device, class Path, class Buffers>
void run_until_it_stands(const Path& path, const Conv2dShape& shape, const Buffers& io, void* space,
                         const typename Device::Context& context) {
  if (path.run(shape, io, space, context)) return;
  const Path& plain = plain_sum_below(path, shape);
  const int64_t bytes = plain.workspace_bytes(shape, context);
  plain.run(shape, io, Device::workspace(bytes, context), context);
}

// Returns whether the path uses cached filters for this shape and the cache can hold them.
template <class Path>
bool caches_filters(const Path& path, const Conv2dShape& shape) {
  const int64_t bytes = path.transformed_filters ? path.transformed_filters->bytes(shape) : 0;
  return 0 < bytes && bytes <= filter_cache().bound();
}

// Returns the transformed filters of io.w from the cache. Makes and inserts them if they are
// missing.
template <class Device, class T>
FilterCache::Filters filters_of(
    const TransformedFilters<ForwardBuffers<T>, typename Device::Context>& transformed,
    const Conv2dShape& s, const ForwardBuffers<T>& io, void* space,
    const typename Device::Context& context) {
  // Everything that the filters depend on except the content of w. `transformed` identifies path,
  // device and element type. The instruction set is the same for the whole process.
  const FilterCache::Key key{reinterpret_cast<intptr_t>(io.w),
                             reinterpret_cast<intptr_t>(&transformed),
                             s.OC,
                             s.group_IC(),
                             s.KH,
                             s.KW,
                             s.groups,
                             s.w_channels_last,
                             transformed.kind(s)};
  const auto content = [&] {
    return Device::checksum(io.w, s.w_count() * int64_t(sizeof(T)), context);
  };
  const uint64_t sum = content();
  if (FilterCache::Filters found = filter_cache().find(key, sum)) return found;
  const int64_t bytes = transformed.bytes(s);
  FilterCache::Filters filters = Device::allocate(bytes, context);
  transformed.transform(s, io, filters.get(), space, context);
  // Another thread may have written to w meanwhile. Then the filters are used but not kept.
  if (content() == sum) filter_cache().insert(key, sum, bytes, filters);
  return filters;
}

// Runs conv2d by the path `name`, or with "" by the chosen path. With `cache_filters`, for
// inference, filters are transformed only if w is new or has changed, and kept.
template <class Device, template <class> class Buffers, class T>
void run_conv2d(const char* direction, const Conv2dShape& shape, Buffers<T> io,
                const typename Device::Context& context, const std::string& name,
                bool cache_filters = false) {
  const auto& path = choose<Device, Buffers<T>>(shape, name);
  const VerboseLine line(direction, Element<T>::NAME, shape, path.name,
                         [&] { return estimates<Device, Buffers<T>>(shape); });
  const typename Device::EndOfCall end;
  if constexpr (std::is_same_v<Buffers<T>, ForwardBuffers<T>>)
    if (cache_filters && caches_filters(path, shape)) {
      const auto& transformed = *path.transformed_filters;
      void* space = Device::workspace(transformed.workspace_bytes(shape, context), context);
      const auto filters = filters_of<Device>(transformed, shape, io, space, context);
      io.transformed_filters = static_cast<const SumOf<T>*>(filters.get());
      return run_until_it_stands<Device>(path, shape, io, space, context);
    }
  void* space = Device::workspace(path.workspace_bytes(shape, context), context);
  run_until_it_stands<Device>(path, shape, io, space, context);
}

// Returns the bytes of workspace of the path `name`, or with "" of the chosen path. If its result
// is not valid, a plain sum runs with a workspace of its own size.
template <class Device, class Buffers>
int64_t workspace_bytes(const Conv2dShape& shape, const typename Device::Context& context,
                        const std::string& name) {
  return choose<Device, Buffers>(shape, name).workspace_bytes(shape, context);
}

// Returns the bytes of workspace of a call that keeps filters, and the bytes of the filters.
template <class Device, class T>
std::pair<int64_t, int64_t> bytes_with_cached_filters(const Conv2dShape& shape,
                                                      const typename Device::Context& context,
                                                      const std::string& name) {
  const auto& path = choose<Device, ForwardBuffers<T>>(shape, name);
  if (!caches_filters(path, shape)) return {path.workspace_bytes(shape, context), 0};
  const auto& transformed = *path.transformed_filters;
  return {transformed.workspace_bytes(shape, context), transformed.bytes(shape)};
}

}  // namespace fastconv::runtime
