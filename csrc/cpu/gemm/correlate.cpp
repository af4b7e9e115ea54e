// GEMM convolution, forward and backward_input (formula: patches.h). Layer: cpu/gemm, driver.
#include "../../core/dtype.h"
#include "../common/finish.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "apart.h"
#include "gemm.h"
#include "schedule.h"
#include "sums.h"
#include "weights.h"

namespace fastconv::cpu {
namespace {

// Packs the weights of one group, a share of them a job.
template <class T>
void pack_all_weights(const GemmSchedule<T>& p, const GemmArrays<T>& b, const T* weight) {
  const Correlation& s = p.s;
  const int64_t shares = p.channel_lanes ? p.panels.panels : ceil_div(s.M, M_ALIGNMENT);
  if (p.weight_count() == 0) return;
  const int threads = s.groups * p.weight_count() < SHARED_WEIGHTS ? 1 : p.threads;
  parallel_jobs(threads, s.groups * shares, [&](int64_t job, int) {
    const int64_t group = job / shares, share = job % shares;
    const int64_t m = p.channel_lanes ? p.panels.first(share) : share * M_ALIGNMENT;
    const T* from = weight + group * s.weight_group + m * s.weight.n;
    const int64_t row = p.channel_lanes ? p.terms.count() : p.weight_row();
    SumOf<T>* to = b.weights + group * p.weight_count() + m * row;
    const int64_t width = p.panels.width(share), count = min64(M_ALIGNMENT, s.M - m);
    if (p.channel_lanes)
      pack_weight_panel(p.rows, s, p.terms, from, p.panels.columns(share), to);
    else
      pack_weight_rows(p.rows, s, p.terms, from, count, to, p.weight_row());
    for (int64_t i = 0; i < p.chunks.count() && p.product.in_pairs(); ++i) {
      const TermChunk chunk = p.chunks[i];
      if (p.channel_lanes)
        p.product.pair_rows(chunk.count, width, width, to + chunk.k * width);
      else
        p.product.pair_columns(count, chunk.count, p.weight_row(), to + chunk.k);
    }
  });
}

// Writes c of a block to y, finished.
template <class T>
void write_block(const GemmSchedule<T>& p, const GemmJob& job, const SumOf<T>* c,
                 const Finishing<T>& finishing, T* y) {
  const Correlation& s = p.s;
  const int64_t M = job.M, m = job.group * s.M + job.m;
  const int64_t c_m = p.channel_lanes ? 1 : p.c_row(), c_p = p.channel_lanes ? p.c_row() : 1;
  y += m * s.y.c;
  const bool dense = s.y.h == s.w.outputs * s.y.w;  // rows of an image follow each other
  const int64_t image = s.h.outputs * s.w.outputs;
  const auto write_rows = [&](int64_t rows, int64_t columns, const SumOf<T>* from, int64_t step,
                              T* to, int64_t to_row) {
    if (finishing.none()) return p.k.write_rows(rows, columns, from, step, to, to_row);
    p.rows.finish({rows, columns, from, step, to, to_row, finishing.at(to)});
  };
  const auto write = [&](const SumOf<T>* from, T* to, int64_t pixels) {
    if (p.channel_lanes && s.y.c == 1) return write_rows(pixels, M, from, c_p, to, s.y.w);
    if (!p.channel_lanes && s.y.w == 1) return write_rows(M, pixels, from, c_m, to, s.y.c);
    for (int64_t i = 0; i < M; ++i)
      for (int64_t q = 0; q < pixels; ++q) {
        T* at = to + i * s.y.c + q * s.y.w;
        *at = finishing.element(from[i * c_m + q * c_p], at);
      }
  };
  if (dense) {
    for (int64_t at = 0, length = 0; at < job.count; at += length) {
      const int64_t n = (job.p + at) / image, q = (job.p + at) % image;
      length = min64(image - q, job.count - at);
      write(c + at * c_p, y + n * s.y.n + q * s.y.w, length);
    }
    return;
  }
  for_each_span(s, job.p, job.count, [&](const PixelSpan& span, int64_t at) {
    write(c + at * c_p, y + span.n * s.y.n + span.i * s.y.h + span.j * s.y.w, span.count);
  });
}

}  // namespace

template <class T>
int64_t gemm_workspace_bytes(const Correlation& s, int threads) {
  return GemmArrays<T>(GemmSchedule<T>(s, threads_of(s, threads)), nullptr).bytes;
}

template <class T>
void gemm_correlate(const Correlation& s, const T* x, const T* weight, const Epilogue<T>& epilogue,
                    T* y, void* workspace, int threads) {
  const GemmSchedule<T> p(s, threads_of(s, threads));
  const GemmArrays<T> b(p, workspace);
  const Finishing<T> finishing(epilogue, y);
  const T* bias = epilogue.bias;
  b.tables.fill(s);
  pack_all_weights(p, b, weight);
  if (bias)
    for (int64_t group = 0, row = p.bias_row(); group < s.groups; ++group)
      for (int64_t m = 0; m < row; ++m)
        b.bias[group * row + m] = m < s.M ? SumOf<T>(bias[group * s.M + m]) : 0;
  parallel_jobs(p.threads, p.jobs(), [&](int64_t i, int thread) {
    const GemmJob job(p, i);
    const SumOf<T>* c = sum_block(p, b, job, x, weight, bias, y, finishing, thread);
    if (!p.direct_to_y()) write_block(p, job, c, finishing, y);
  });
}

// Two phases whose pixels alternate in the rows of y: whole rows are written at once.
bool gemm_pairs(const Correlation& even, const Correlation& odd) {
  return even.y.w == 2 && even.w.outputs == odd.w.outputs;
}

// Both schedules have the same threads, and so cut pixels and channels alike.
int threads_of_pair(const Correlation& even, const Correlation& odd, int wanted) {
  const int first = threads_of(even, wanted), second = threads_of(odd, wanted);
  return first > second ? first : second;
}

template <class T>
int64_t gemm_pair_workspace_bytes(const Correlation& even, const Correlation& odd, int threads) {
  threads = threads_of_pair(even, odd, threads);
  return GemmArrays<T>(GemmSchedule<T>(even, threads), nullptr).bytes +
         GemmArrays<T>(GemmSchedule<T>(odd, threads), nullptr).bytes;
}

template <class T>
void gemm_correlate_pair(const Correlation (&s)[2], const T* x, const T* const (&weight)[2], T* y,
                         void* workspace, int threads) {
  threads = threads_of_pair(s[0], s[1], threads);
  const GemmSchedule<T> even(s[0], threads), odd(s[1], threads);
  const GemmArrays<T> a(even, workspace), b(odd, static_cast<char*>(workspace) + a.bytes);
  a.tables.fill(s[0]);
  b.tables.fill(s[1]);
  pack_all_weights(even, a, weight[0]);
  pack_all_weights(odd, b, weight[1]);
  const Finishing<T> none({}, y);
  parallel_jobs(threads, even.jobs(), [&](int64_t i, int thread) {
    const GemmJob job(even, i);
    const SumOf<T>* first =
        sum_block<T>(even, a, job, x, weight[0], nullptr, nullptr, none, thread);
    const SumOf<T>* second =
        sum_block<T>(odd, b, job, x, weight[1], nullptr, nullptr, none, thread);
    const int64_t row = even.c_row();
    T* to = y + (job.group * s[0].M + job.m) * s[0].y.c;
    for_each_span(s[0], job.p, job.count, [&](const PixelSpan& span, int64_t at) {
      even.k.interleave_pairs({job.M,
                               span.count,
                               {first + at, second + at},
                               {row, row},
                               to + span.n * s[0].y.n + span.i * s[0].y.h + span.j * 2,
                               s[0].y.c});
    });
  });
}

template <class T>
int64_t gemm_apart_workspace_bytes(const Conv2dShape& shape, int threads) {
  const Correlation s = apart_correlation(shape);
  const GemmSchedule<T> p(s, threads_of(s, threads), apart_cut(shape));
  return GemmArrays<T>(p, nullptr).bytes;
}

template <class T>
void gemm_apart(const Conv2dShape& shape, const T* grad_y, const T* w, T* grad_x, void* workspace,
                int threads) {
  const Correlation s = apart_correlation(shape);
  const GemmSchedule<T> p(s, threads_of(s, threads), apart_cut(shape));
  const GemmArrays<T> b(p, workspace);
  const CellWriter<T> cells(shape, p);
  const Finishing<T> none({}, grad_x);
  b.tables.fill(s);
  pack_all_weights(p, b, w);
  parallel_jobs(p.threads, p.jobs(), [&](int64_t i, int thread) {
    const GemmJob job(p, i);
    if (p.direct_to_y()) cells.clear(job, grad_x);
    const SumOf<T>* c = sum_block<T>(p, b, job, grad_y, w, nullptr, grad_x, none, thread);
    if (!p.direct_to_y()) cells.write(job, c, grad_x);
  });
}

#define INSTANTIATE(T)                                                                           \
  template int64_t gemm_workspace_bytes<T>(const Correlation&, int);                             \
  template void gemm_correlate(const Correlation&, const T*, const T*, const Epilogue<T>&, T*,   \
                               void*, int);                                                      \
  template int64_t gemm_pair_workspace_bytes<T>(const Correlation&, const Correlation&, int);    \
  template void gemm_correlate_pair(const Correlation(&)[2], const T*, const T* const(&)[2], T*, \
                                    void*, int);                                                 \
  template int64_t gemm_apart_workspace_bytes<T>(const Conv2dShape&, int);                       \
  template void gemm_apart(const Conv2dShape&, const T*, const T*, T*, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
