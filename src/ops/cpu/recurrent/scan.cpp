#include <algorithm>

#include <maskgrad/ops/cpu/gemm/gemm_parts.hpp>
#include <maskgrad/ops/cpu/gemm/row_products.hpp>
#include <maskgrad/ops/cpu/recurrent/cells.hpp>
#include <maskgrad/ops/cpu/recurrent/scan.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

template <class T>
using States = std::array<T*, 2>;

template <class T>
const T* read(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
template <class T>
T* write(Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
template <class T>
States<const T> read(const ScanStates& x) {
  return {read<T>(x[0]), read<T>(x[1])};
}
template <class T>
States<T> write(ScanStates& x) {
  return {write<T>(x[0]), write<T>(x[1])};
}

// Row i of a matrix of n columns; nullptr where there is none.
template <class T>
T* row_of(T* rows, std::int64_t i, std::int64_t n) {
  return rows ? rows + i * n : nullptr;
}

template <class T>
void copy_or_clear(const T* from, T* to, std::int64_t n) {
  from ? copy_row(from, to, n) : static_cast<void>(std::fill_n(to, n, T{}));
}

// c = a b, or c + a b, with a [rows, k], b [k, n] whose rows are `stride` apart, c [rows, n].
template <class T>
void multiply_step(std::int64_t rows, std::int64_t k, std::int64_t n, const T* a, const T* b,
                   std::int64_t stride, T* c, Use use) {
  if (rows == 0 || n == 0) return;
  sum_products<true>(rows, n, BatchSum(k), Strided<T>{a, k, 1}, b, stride, Sums<T>{c, n, use});
}

// The elements of what a scan reads and writes.
template <class T>
struct ForwardCall {
  const ScanPlan& plan;
  std::int64_t n;  // H
  const T *gates, *w, *bias;
  States<const T> start;
  T* output;
  States<T> last;
  T* kept;  // nullptr: nothing is kept
  States<T> before;
};

// Forward through the rows of one part.
template <class Cell, class T>
class Forward {
 public:
  Forward(const ForwardCall<T>& call, const ScanPart& part) : call_(call), part_(part), n_(call.n) {
    const std::size_t size = part.sequences.size() * static_cast<std::size_t>(n_);
    product_.resize(kWidth * size);
    if (call.kept) return;
    for (PoolVector<T>& states : states_) states.resize(size);
    kept_.resize(static_cast<std::size_t>(Cell::kKept * n_));
  }

  void run() {
    begin();
    std::int64_t row = part_.first_row;
    for (std::size_t t = 0; t < part_.counts.size(); ++t) {
      const std::int64_t count = part_.counts[t];
      const std::int64_t next = t + 1 < part_.counts.size() ? part_.counts[t + 1] : 0;
      const bool multiplies = t > 0 || call_.start[0];
      if (multiplies) {
        multiply_step<T>(count, n_, kWidth * n_, state(0, row, 0), call_.w, kWidth * n_,
                         product_.data(), Use::kStore);
      }
      for (std::int64_t i = 0; i < count; ++i) step(row, i, count, i < next, multiplies);
      row += count;
    }
  }

 private:
  static constexpr std::int64_t kWidth = Cell::kGates;

  // State s before the step of sequence i, of the rows that begin at `row`: those of all rows are
  // kept, or those of one step.
  T* state(std::size_t s, std::int64_t row, std::int64_t i) {
    return call_.kept ? call_.before[s] + (row + i) * n_ : states_[s].data() + i * n_;
  }
  T* last(std::size_t s, std::int64_t i) {
    return call_.last[s] + part_.sequences[static_cast<std::size_t>(i)] * n_;
  }

  // A sequence without a step ends with what it begins with.
  void begin() {
    const std::int64_t first = part_.counts.empty() ? 0 : part_.counts[0];
    for (std::size_t s = 0; s < Cell::kStates; ++s) {
      for (std::int64_t i = 0; i < std::ssize(part_.sequences); ++i) {
        const std::int64_t sequence = part_.sequences[static_cast<std::size_t>(i)];
        copy_or_clear(row_of(call_.start[s], sequence, n_),
                      i < first ? state(s, part_.first_row, i) : last(s, i), n_);
      }
    }
  }

  // The step of sequence i, one of `count` whose rows begin at `row`. The states after it are
  // those before its next step, if it goes on, or its last ones.
  void step(std::int64_t row, std::int64_t i, std::int64_t count, bool goes_on, bool multiplies) {
    const std::int64_t position = call_.plan.position(row + i);
    CellForward<T, Cell::kStates> f;
    f.gates = call_.gates + position * kWidth * n_;
    f.product = multiplies ? product_.data() + i * kWidth * n_ : nullptr;
    f.bias = call_.bias;
    for (std::size_t s = 0; s < Cell::kStates; ++s) {
      f.before[s] = state(s, row, i);
      f.after[s] = goes_on ? state(s, row + count, i) : last(s, i);
    }
    f.output = call_.output + position * n_;
    f.kept = call_.kept ? call_.kept + (row + i) * Cell::kKept * n_ : kept_.data();
    step_forward<Cell>(n_, f);
  }

  const ForwardCall<T>& call_;
  const ScanPart& part_;
  std::int64_t n_;
  PoolVector<T> product_, kept_;
  std::array<PoolVector<T>, Cell::kStates> states_;
};

// The elements of what a scan reads and writes backward.
template <class T>
struct BackwardCall {
  const ScanPlan& plan;
  std::int64_t n;       // H
  const T* transposed;  // w^T [kGates H, stride]
  std::int64_t stride;
  const T* kept;
  States<const T> before;
  const T* output;  // gradients that arrive
  States<const T> last;
  T* gates;  // gradients that are wanted
  States<T> start;
  T* products;  // the gradients of all products of steps, row by row
};

// Backward through the rows of one part, the last step first.
template <class Cell, class T>
class Backward {
 public:
  Backward(const BackwardCall<T>& call, const ScanPart& part)
      : call_(call), part_(part), n_(call.n) {
    for (PoolVector<T>& states : states_) {
      states.resize(part.sequences.size() * static_cast<std::size_t>(n_));
    }
  }

  void run() {
    for_each_state([&](std::size_t s, std::int64_t sequence, T* state) {
      copy_or_clear(row_of(call_.last[s], sequence, n_), state, n_);
    });
    std::int64_t row = part_.first_row;
    for (const std::int64_t count : part_.counts) row += count;
    for (std::size_t t = part_.counts.size(); t-- > 0;) {
      const std::int64_t count = part_.counts[t];
      row -= count;
      for (std::int64_t i = 0; i < count; ++i) step(row, i);
      if (t == 0 && !call_.start[0]) continue;
      multiply_step<T>(count, kWidth * n_, n_, call_.products + row * kWidth * n_, call_.transposed,
                       call_.stride, states_[0].data(), Cell::kCarriesH ? Use::kAdd : Use::kStore);
    }
    for_each_state([&](std::size_t s, std::int64_t sequence, const T* state) {
      if (call_.start[s]) copy_row(state, call_.start[s] + sequence * n_, n_);
    });
  }

 private:
  static constexpr std::int64_t kWidth = Cell::kGates;

  // f(the number of a state, that of a sequence, the gradient of the state)
  template <class F>
  void for_each_state(F f) {
    for (std::size_t s = 0; s < states_.size(); ++s) {
      for (std::int64_t i = 0; i < std::ssize(part_.sequences); ++i) {
        f(s, part_.sequences[static_cast<std::size_t>(i)], states_[s].data() + i * n_);
      }
    }
  }

  void step(std::int64_t row, std::int64_t i) {
    const std::int64_t position = call_.plan.position(row + i);
    CellBackward<T, Cell::kStates> f;
    f.output = row_of(call_.output, position, n_);
    f.kept = call_.kept + (row + i) * Cell::kKept * n_;
    for (std::size_t s = 0; s < states_.size(); ++s) {
      f.before[s] = call_.before[s] + (row + i) * n_;
      f.states[s] = states_[s].data() + i * n_;
    }
    f.product = call_.products + (row + i) * kWidth * n_;
    f.gates = row_of(call_.gates, position, kWidth * n_);
    step_backward<Cell>(n_, f);
  }

  const BackwardCall<T>& call_;
  const ScanPart& part_;
  std::int64_t n_;
  std::array<PoolVector<T>, Cell::kStates> states_;
};

template <class F>
void for_each_part(const ScanPlan& plan, F f) {
  parallel_for_parts(plan.parts(), plan.parts(), [&](std::int64_t part, std::int64_t end) {
    for (; part < end; ++part) f(plan.part(part));
  });
}

Tensor empty_like(const Tensor& x, const Shape& shape) {
  return Tensor::empty(shape, x.dtype(), x.device());
}

// dw = the sum over rows of before^T products, dbias = that of products; [1, N, ...] each.
void sum_over_rows(const Tensor& before, const Tensor& products, ScanGradients& gradients) {
  if (gradients.w.defined()) {
    sum_outer_products(before, products, false, gradients.w, gradients.bias);
  } else if (gradients.bias.defined()) {
    const Shape w = {before.dim(-1), products.dim(-1)};
    sum_of_rows(rows_times_each(before, 1, w), products, gradients.bias);
  }
}

template <class Cell>
void scan_on_cpu(const ScanPlan& plan, const ScanInputs& in, ScanResult& out) {
  dispatch_dtype(FloatingTypes{}, in.gates.dtype(), "scan", [&]<class T>(T) {
    const ForwardCall<T> call = {.plan = plan,
                                 .n = in.w.dim(0),
                                 .gates = read<T>(in.gates),
                                 .w = read<T>(in.w),
                                 .bias = read<T>(in.bias),
                                 .start = read<T>(in.start),
                                 .output = write<T>(out.output),
                                 .last = write<T>(out.last),
                                 .kept = write<T>(out.kept),
                                 .before = write<T>(out.before)};
    for_each_part(plan, [&](const ScanPart& part) { Forward<Cell, T>(call, part).run(); });
  });
}

template <class Cell>
void scan_back_on_cpu(const ScanPlan& plan, const ScanResult& result, const Tensor& w,
                      const ScanArrived& arrived, Tensor& products, ScanGradients& gradients) {
  const std::int64_t n = w.dim(0);
  dispatch_dtype(FloatingTypes{}, w.dtype(), "scan", [&]<class T>(T) {
    const Tensor transposed = transposed_by_all(w.data<T>(), n, Cell::kGates * n);
    const BackwardCall<T> call = {.plan = plan,
                                  .n = n,
                                  .transposed = read<T>(transposed),
                                  .stride = whole_vectors<T>(n),
                                  .kept = read<T>(result.kept),
                                  .before = read<T>(result.before),
                                  .output = read<T>(arrived.output),
                                  .last = read<T>(arrived.last),
                                  .gates = write<T>(gradients.gates),
                                  .start = write<T>(gradients.start),
                                  .products = write<T>(products)};
    for_each_part(plan, [&](const ScanPart& part) { Backward<Cell, T>(call, part).run(); });
  });
}

}  // namespace

template <class Cell>
ScanResult scan(const ScanPlan& plan, const ScanInputs& in, bool keeps) {
  const std::int64_t n = in.w.dim(0);
  ScanResult out;
  out.output = empty_like(in.gates, in.gates.shape().with_dim(-1, n));
  if (plan.rows() < in.gates.dim(0) * in.gates.dim(1)) out.output.fill(0.0);
  for (std::size_t s = 0; s < Cell::kStates; ++s) {
    out.last[s] = empty_like(in.gates, {plan.sequences(), n});
    if (keeps) out.before[s] = empty_like(in.gates, {1, plan.rows(), n});
  }
  if (keeps) out.kept = empty_like(in.gates, {plan.rows(), Cell::kKept * n});
  dispatch_device(
      in.gates.device(), kScanCuda<Cell>, [&] { scan_on_cpu<Cell>(plan, in, out); }, plan, in, out);
  return out;
}

template <class Cell>
void scan_back(const ScanPlan& plan, const ScanResult& result, const Tensor& w,
               const ScanArrived& arrived, ScanGradients& gradients) {
  Tensor& of_gates = gradients.gates;
  if (of_gates.defined() && plan.rows() < of_gates.dim(0) * of_gates.dim(1)) of_gates.fill(0.0);
  Tensor products = empty_like(w, {1, plan.rows(), w.dim(1)});
  const auto on_cpu = [&] {
    scan_back_on_cpu<Cell>(plan, result, w, arrived, products, gradients);
  };
  dispatch_device(w.device(), kScanBackCuda<Cell>, on_cpu, plan, result, w, arrived, products,
                  gradients);
  sum_over_rows(result.before[0], products, gradients);
}

template ScanResult scan<LstmCell>(const ScanPlan&, const ScanInputs&, bool);
template ScanResult scan<GruCell>(const ScanPlan&, const ScanInputs&, bool);
template void scan_back<LstmCell>(const ScanPlan&, const ScanResult&, const Tensor&,
                                  const ScanArrived&, ScanGradients&);
template void scan_back<GruCell>(const ScanPlan&, const ScanResult&, const Tensor&,
                                 const ScanArrived&, ScanGradients&);

}  // namespace maskgrad::ops
