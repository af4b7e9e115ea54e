// Dilated convolution as small layers without dilation (formula: residues.h). Layer: cpu/dilated,
// driver.
//
// Loops, outermost first:
//   residues      batches of small images of equal extents
//     chunk       so many of them that their copies take CHUNK_BYTES
//       copy      the small images of the source, and of an addend
//       compute   by a path for layers without dilation, `Inner`
//       copy      the results back
#include <cstring>

#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../gemm/gemm.h"
#include "../winograd/winograd.h"
#include "dilated.h"
#include "residues.h"

namespace fastconv::cpu {
namespace {

// Larger chunks transform filters less often, smaller ones stay nearer to a core.
constexpr int64_t CHUNK_BYTES = int64_t(8) << 20;
constexpr int64_t MOST_IMAGE_BYTES = int64_t(32) << 20;  // of one small image and its result

// A share of one small image: a matrix of runs, which are rows of planes, or pixels. Strides: c walks
// rows, h columns, w a run.
struct Share {
  int64_t rows, columns, run;
  int64_t large, small;  // offsets of the first run
  Strides in_large, in_small;
  bool whole;             // whether the runs fill the share of the copy, which is
  int64_t begin, length;  // these elements
};

// Calls f(share) for the shares of the small images [first, first + count).
template <class F>
void for_each_share(const SmallImages& of, int64_t first, int64_t count, int threads, const F& f) {
  // Of an image, if there are few: planes, or rows of pixels.
  constexpr int64_t SHARES = 4, FEW_IMAGES = 64;
  const int64_t shares = count < FEW_IMAGES ? SHARES : 1;
  const Strides& l = of.large;
  const int64_t step_h = l.h * of.h.dilation, step_w = l.w * of.w.dilation;
  parallel_jobs(threads, count * shares, [&](int64_t job, int) {
    const int64_t image = job / shares, share = job % shares;
    const SmallImages::Place at = of.place(first + image);
    const int64_t large = at.n * l.n + at.rows.at * l.h + at.columns.at * l.w;
    const int64_t small =
        image * of.small.n + at.rows.first * of.small.h + at.columns.first * of.small.w;
    const bool whole = at.rows.count == of.H && at.columns.count == of.W;
    const auto cut = [&](int64_t extent) {
      const int64_t begin = share * extent / shares;
      return Window{begin, (share + 1) * extent / shares};
    };
    if (of.channels_last) {
      // Rows of zeros belong to the share of the row that they follow, or to the first one.
      const Window rows = cut(at.rows.count);
      const int64_t begin = share == 0 ? 0 : at.rows.first + rows.first;
      const int64_t end = share == shares - 1 ? of.H : at.rows.first + rows.end;
      f(Share{rows.end - rows.first, at.columns.count, of.C, large + rows.first * step_h,
              small + rows.first * of.small.h, Strides{0, step_h, step_w, 1},
              Strides{0, of.small.h, of.small.w, 1}, whole, image * of.small.n + begin * of.small.h,
              (end - begin) * of.small.h});
      return;
    }
    const Window planes = cut(of.C);
    f(Share{planes.end - planes.first, at.rows.count, at.columns.count, large + planes.first * l.c,
            small + planes.first * of.small.c, Strides{0, l.c, step_h, step_w}, of.small, whole,
            image * of.small.n + planes.first * of.small.c,
            (planes.end - planes.first) * of.small.c});
  });
}

// Copies a matrix of runs between two layouts.
template <class T>
void copy_runs(int64_t rows, int64_t columns, int64_t length, const T* from, const Strides& in,
               T* to, const Strides& out) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t q = 0; q < columns; ++q) {
      const T* a = from + r * in.c + q * in.h;
      T* b = to + r * out.c + q * out.h;
      if (in.w == 1 && out.w == 1)
        std::memcpy(b, a, length * sizeof(T));
      else
        for (int64_t i = 0; i < length; ++i) b[i * out.w] = a[i * in.w];
    }
}

// Copies the small images [first, first + count) out of the tensor `large`.
template <class T>
void copy_out_of(const SmallImages& of, int64_t first, int64_t count, const T* large, T* small,
                 int threads) {
  for_each_share(of, first, count, threads, [&](const Share& s) {
    if (!s.whole) std::memset(small + s.begin, 0, s.length * sizeof(T));
    copy_runs(s.rows, s.columns, s.run, large + s.large, s.in_large, small + s.small, s.in_small);
  });
}
// Copies them back.
template <class T>
void copy_into(const SmallImages& of, int64_t first, int64_t count, const T* small, T* large,
               int threads) {
  for_each_share(of, first, count, threads, [&](const Share& s) {
    copy_runs(s.rows, s.columns, s.run, small + s.small, s.in_small, large + s.large, s.in_large);
  });
}

// What differs between the directions: the tensor that is read and the one that is written.
template <class T>
struct Forward {
  using Buffers = ForwardBuffers<T>;
  static SmallImages source(const Conv2dShape& s, const Residues& of) {
    return SmallImages::of_x(s, of);
  }
  static SmallImages result(const Conv2dShape& s, const Residues& of) {
    return SmallImages::of_y(s, of);
  }
  static const T* read(const Buffers& b) { return b.x; }
  static const T* addend(const Buffers& b) { return b.epilogue.addend; }
  static T* written(const Buffers& b) { return b.y; }
  // An addend has been copied to `result`.
  static Buffers inner(const Buffers& b, const T* source, T* result) {
    Buffers small{source, b.w, b.epilogue, result};
    if (b.epilogue.addend) small.epilogue.addend = result;
    return small;
  }
};
template <class T>
struct BackwardInput {
  using Buffers = BackwardInputBuffers<T>;
  static SmallImages source(const Conv2dShape& s, const Residues& of) {
    return SmallImages::of_y(s, of);
  }
  static SmallImages result(const Conv2dShape& s, const Residues& of) {
    return SmallImages::of_x(s, of);
  }
  static const T* read(const Buffers& b) { return b.grad_y; }
  static const T* addend(const Buffers&) { return nullptr; }
  static T* written(const Buffers& b) { return b.grad_x; }
  static Buffers inner(const Buffers& b, const T* source, T* result) {
    return {source, b.w, result};
  }
};

template <class T>
int64_t image_bytes(const Conv2dShape& small) {
  return (small.IC * small.IH * small.IW + small.OC * small.OH() * small.OW()) * int64_t(sizeof(T));
}

// The chunks of a batch of small images.
struct Chunks {
  int64_t images, count;

  Chunks(int64_t of, int64_t bytes_of_image)
      : images(of), count(ceil_div(of, max64(1, CHUNK_BYTES / bytes_of_image))) {}
  int64_t first(int64_t i) const { return i * images / count; }
  int64_t most() const { return ceil_div(images, count); }
};

template <class T, class Direction, Division DIVISION, Path<typename Direction::Buffers> (*INNER)()>
struct Dilated {
  using Buffers = typename Direction::Buffers;

  static WhyNot supports(const Conv2dShape& s) {
    const int64_t d_h = dilation_of(s.KH, s.dilation_h), d_w = dilation_of(s.KW, s.dilation_w);
    if (d_h == 1 && d_w == 1) return "the filter is not dilated";
    if (s.stride_h != 1 || s.stride_w != 1) return "the stride is not 1";
    if (s.x_count() == 0 || s.y_count() == 0 || s.w_count() == 0) return "a tensor is empty";
    if (d_h > min64(s.IH, s.OH()) || d_w > min64(s.IW, s.OW()))
      return "the dilation is larger than the map";
    if (!product_below(100'000, d_h, d_w, 1)) return "the dilation is very large";
    WhyNot why = HOLDS;
    for_each_residues<DIVISION>(s, [&](const Residues& of) {
      const Conv2dShape one = of.layer(s, 1);
      if (why) return;
      if (image_bytes<T>(one) > MOST_IMAGE_BYTES) why = "the maps are very large";
      const Chunks chunks(of.images(s), image_bytes<T>(one));
      if (!why) why = INNER().supports(of.layer(s, chunks.most()));
    });
    return why;
  }

  // Bytes of the copies, and of all.
  struct Bytes {
    int64_t source = 0, result = 0, inner = 0;
    int64_t all() const { return source + result + inner; }
  };
  static Bytes bytes(const Conv2dShape& s, const Context& context) {
    Bytes b;
    for_each_residues<DIVISION>(s, [&](const Residues& of) {
      const Chunks chunks(of.images(s), image_bytes<T>(of.layer(s, 1)));
      const int64_t most = chunks.most();
      const auto dense = [&](const SmallImages& images) {
        return round_up(most * images.small.n * int64_t(sizeof(T)), CACHE_LINE);
      };
      b.source = max64(b.source, dense(Direction::source(s, of)));
      b.result = max64(b.result, dense(Direction::result(s, of)));
      for (int64_t images = max64(1, most - 1); images <= most; ++images)
        b.inner = max64(b.inner, INNER().workspace_bytes(of.layer(s, images), context));
    });
    return b;
  }
  static int64_t workspace_bytes(const Conv2dShape& s, const Context& context) {
    return bytes(s, context).all();
  }

  static bool run(const Conv2dShape& s, const Buffers& b, void* workspace, const Context& context) {
    const Bytes sizes = bytes(s, context);
    char* base = static_cast<char*>(workspace);
    T* source = reinterpret_cast<T*>(base);
    T* result = reinterpret_cast<T*>(base + sizes.source);
    void* rest = base + sizes.source + sizes.result;
    const Path<Buffers> inner = INNER();
    const int threads = threads_for(s.multiply_adds(), context.threads);
    bool stands = true;
    for_each_residues<DIVISION>(s, [&](const Residues& of) {
      const SmallImages in = Direction::source(s, of), out = Direction::result(s, of);
      const Chunks chunks(of.images(s), image_bytes<T>(of.layer(s, 1)));
      for (int64_t i = 0; i < chunks.count; ++i) {
        const int64_t first = chunks.first(i), count = chunks.first(i + 1) - first;
        copy_out_of(in, first, count, Direction::read(b), source, threads);
        if (const T* addend = Direction::addend(b))
          copy_out_of(out, first, count, addend, result, threads);
        stands &= inner.run(of.layer(s, count), Direction::inner(b, source, result), rest, context);
        copy_into<T>(out, first, count, result, Direction::written(b), threads);
      }
    });
    return stands;
  }

  static Path<Buffers> path(const char* name) {
    return {name, supports, always, workspace_bytes, run, INNER().is_plain_sum};
  }
};

}  // namespace

template <class T>
Path<ForwardBuffers<T>> dilated_winograd_forward_path() {
  return Dilated<T, Forward<T>, Division::whole, winograd_forward_path<T>>::path(
      "dilated-winograd");
}
template <class T>
Path<ForwardBuffers<T>> dilated_small_map_forward_path() {
  return Dilated<T, Forward<T>, Division::equal, small_map_forward_path<T>>::path(
      "dilated-small-map");
}
template <class T>
Path<BackwardInputBuffers<T>> dilated_winograd_backward_input_path() {
  return Dilated<T, BackwardInput<T>, Division::whole, winograd_backward_input_path<T>>::path(
      "dilated-winograd");
}
template <class T>
Path<BackwardInputBuffers<T>> dilated_small_map_backward_input_path() {
  return Dilated<T, BackwardInput<T>, Division::equal, small_map_backward_input_path<T>>::path(
      "dilated-small-map");
}

#define INSTANTIATE(T)                                                           \
  template Path<ForwardBuffers<T>> dilated_winograd_forward_path();              \
  template Path<ForwardBuffers<T>> dilated_small_map_forward_path();             \
  template Path<BackwardInputBuffers<T>> dilated_winograd_backward_input_path(); \
  template Path<BackwardInputBuffers<T>> dilated_small_map_backward_input_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
