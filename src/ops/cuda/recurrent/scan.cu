// Recurrent networks, a step of all sequences at a time: the product of their states, in the order
// of the CPU's sums, then the cell, a thread for each element.
//
// States are in the order of their sequences' lengths, the longest first. So the sequences that
// have a step are the first ones. What is kept for the gradient is in the order of the plan's rows,
// which is that of sums over them.
#include <maskgrad/ops/cpu/recurrent/scan.hpp>
#include <maskgrad/ops/cuda/gemm/multiply.hpp>
#include <maskgrad/ops/cuda/rows.hpp>

namespace maskgrad::ops {
namespace {

using cuda_gemm::Factor;
using cuda_gemm::Products;

// Loads and stores of one element.
template <class T>
struct OneLane {
  using V = T;
  MASKGRAD_RULE T load(const T* from) const { return *from; }
  MASKGRAD_RULE void store(T x, T* to) const { *to = x; }
};

// The sequences that have a step: how many, of H elements each, and their rows and positions.
struct Step {
  std::int64_t count, n;
  const std::int64_t *rows, *positions;
};

// A thread's element of a step.
struct Place {
  std::int64_t sequence, element, row, position;
};
__device__ Place place_of(const Step& step, std::int64_t thread) {
  const std::int64_t sequence = thread / step.n;
  return {sequence, thread % step.n, step.rows[sequence], step.positions[sequence]};
}

template <class Cell, class T>
struct Forward {
  Step step;
  const T *gates, *bias;
  const T* product;          // [count, kGates H]; nullptr: all h are 0
  T* states[Cell::kStates];  // [sequences, H]: before the step, then after it
  T* output;
  T* before[Cell::kStates];  // nullptr: nothing is kept
  T* kept;                   // of all rows, or of the step where nothing is kept
};

template <class Cell, class T>
__global__ void forward_kernel(Forward<Cell, T> f) {
  const std::int64_t thread = cuda::thread_number(), n = f.step.n;
  if (thread >= f.step.count * n) return;
  const auto [sequence, element, row, position] = place_of(f.step, thread);
  const bool keeps = f.before[0] != nullptr;
  CellForward<T, Cell::kStates> cell;
  cell.gates = f.gates + position * Cell::kGates * n;
  cell.product = f.product ? f.product + sequence * Cell::kGates * n : nullptr;
  cell.bias = f.bias;
  for (int s = 0; s < Cell::kStates; ++s) {
    cell.before[s] = cell.after[s] = f.states[s] + sequence * n;
    if (keeps) f.before[s][row * n + element] = cell.before[s][element];
  }
  cell.output = f.output + position * n;
  cell.kept = f.kept + (keeps ? row : sequence) * Cell::kKept * n;
  const OneLane<T> lane;
  Cell::forward(detail::AtElement<OneLane<T>>{lane, n, element}, cell);
}

template <class Cell, class T>
struct Backward {
  Step step;
  const T *output, *kept;  // output: nullptr: no gradient arrived
  const T* before[Cell::kStates];
  T* states[Cell::kStates];  // gradients [sequences, H]: after the step, then before it
  T* products;               // of all rows
  T* of_step;                // the same of this step, [count, kGates H]
  T* gates;                  // nullptr: not wanted
};

template <class Cell, class T>
__global__ void backward_kernel(Backward<Cell, T> f) {
  const std::int64_t thread = cuda::thread_number(), n = f.step.n;
  if (thread >= f.step.count * n) return;
  const auto [sequence, element, row, position] = place_of(f.step, thread);
  CellBackward<T, Cell::kStates> cell;
  cell.output = f.output ? f.output + position * n : nullptr;
  cell.kept = f.kept + row * Cell::kKept * n;
  for (int s = 0; s < Cell::kStates; ++s) {
    cell.before[s] = f.before[s] + row * n;
    cell.states[s] = f.states[s] + sequence * n;
  }
  cell.product = f.products + row * Cell::kGates * n;
  cell.gates = f.gates ? f.gates + position * Cell::kGates * n : nullptr;
  const OneLane<T> lane;
  Cell::backward(detail::AtElement<OneLane<T>>{lane, n, element}, cell);
  T* const of_step = f.of_step + sequence * Cell::kGates * n;
  for (int k = 0; k < Cell::kGates; ++k) {
    of_step[k * n + element] = cell.product[k * n + element];
  }
}

// A scan's steps, and where they are on the device: one tensor has the numbers of the sequences by
// length, then the rows of the steps, then their positions.
class Steps {
 public:
  Steps(const ScanPlan& plan, std::int64_t n) : host_(plan.steps()), rows_(plan.rows()), n_(n) {}

  void upload(const ScanPlan& plan, Device device) {
    PoolVector<std::int64_t> all = host_.sequences;
    all.insert(all.end(), host_.rows.begin(), host_.rows.end());
    for (const std::int64_t row : host_.rows) all.push_back(plan.position(row));
    use(Tensor::from(std::span<const std::int64_t>(all), {std::ssize(all)}, device));
  }
  void use(const Tensor& uploaded) { uploaded_ = uploaded; }
  const Tensor& uploaded() const { return uploaded_; }

  std::int64_t count() const { return host_.count(); }
  std::int64_t sequences() const { return std::ssize(host_.sequences); }
  std::int64_t n() const { return n_; }
  const std::int64_t* numbers() const { return uploaded_.device_data<std::int64_t>(); }
  RowsOfList by_length() const { return {numbers(), sequences(), n_}; }
  Step operator[](std::int64_t t) const {
    const auto i = static_cast<std::size_t>(t);
    const std::int64_t* const rows = numbers() + sequences() + host_.begins[i];
    return {host_.begins[i + 1] - host_.begins[i], n_, rows, rows + rows_};
  }

 private:
  ScanSteps host_;
  std::int64_t rows_, n_;
  Tensor uploaded_;
};

// States [B, H] by length; zeros where there are none.
template <class T>
Tensor states_by_length(const Steps& steps, const Tensor& x, Device device) {
  const Shape shape = {steps.sequences(), steps.n()};
  if (!x.defined()) return Tensor::zeros(shape, dtype_of<T>, device);
  Tensor y = Tensor::empty(shape, dtype_of<T>, device);
  launch_rows_of_list("scan", take_rows_kernel<T>, steps.by_length(), x.device_data<T>(),
                      y.device_data<T>());
  return y;
}
// Back into the order of the batch.
template <class T>
void put_states(const Steps& steps, const Tensor& x, Tensor& y) {
  launch_rows_of_list("scan", put_rows_kernel<T>, steps.by_length(), x.device_data<T>(),
                      y.device_data<T>());
}

// y = a b, or y + a b; a [count, k].
template <class T>
void multiply_step(std::int64_t count, std::int64_t k, const T* a, const Factor<T>& b, bool adds,
                   T* y) {
  Products<T> products = {.left = {a, count, k, 1}, .right = b, .sum = BatchSum(k), .y = y};
  products.adds = adds;
  cuda_gemm::multiply(products);
}

template <class T>
const T* read(const Tensor& x) {
  return x.defined() ? x.device_data<T>() : nullptr;
}
template <class T>
T* write(Tensor& x) {
  return x.defined() ? x.device_data<T>() : nullptr;
}
cuda::Launch each_element(const Step& step) {
  return {"scan", cuda::blocks_for(step.count * step.n), cuda::kThreads};
}

template <class Cell, class T>
void scan_by(Steps& steps, const ScanInputs& in, ScanResult& out) {
  const Device device = in.w.device();
  const std::int64_t n = steps.n(), width = Cell::kGates * n;
  Tensor product = Tensor::empty({steps.sequences(), width}, dtype_of<T>, device), kept = out.kept;
  if (!kept.defined()) {
    kept = Tensor::empty({steps.sequences(), Cell::kKept * n}, dtype_of<T>, device);
  }
  Tensor states[Cell::kStates];
  Forward<Cell, T> f = {.step = {},
                        .gates = read<T>(in.gates),
                        .bias = read<T>(in.bias),
                        .product = nullptr,
                        .states = {},
                        .output = write<T>(out.output),
                        .before = {},
                        .kept = write<T>(kept)};
  for (std::size_t s = 0; s < Cell::kStates; ++s) {
    states[s] = states_by_length<T>(steps, in.start[s], device);
    f.states[s] = write<T>(states[s]);
    f.before[s] = write<T>(out.before[s]);
  }
  for (std::int64_t t = 0; t < steps.count(); ++t) {
    f.step = steps[t];
    if (t > 0 || in.start[0].defined()) {
      f.product = read<T>(product);
      multiply_step<T>(f.step.count, n, f.states[0], {read<T>(in.w), width, 1, width}, false,
                       write<T>(product));
    }
    cuda::launch(each_element(f.step), forward_kernel<Cell, T>, f);
  }
  for (std::size_t s = 0; s < Cell::kStates; ++s) put_states<T>(steps, states[s], out.last[s]);
}

template <class Cell, class T>
void scan_back_by(const Steps& steps, const ScanResult& result, const Tensor& w,
                  const ScanArrived& arrived, Tensor& products, ScanGradients& gradients) {
  const std::int64_t n = steps.n(), width = Cell::kGates * n;
  Tensor of_step = Tensor::empty({steps.sequences(), width}, dtype_of<T>, w.device());
  Tensor states[Cell::kStates];
  Backward<Cell, T> f = {.step = {},
                         .output = read<T>(arrived.output),
                         .kept = read<T>(result.kept),
                         .before = {},
                         .states = {},
                         .products = write<T>(products),
                         .of_step = write<T>(of_step),
                         .gates = write<T>(gradients.gates)};
  for (std::size_t s = 0; s < Cell::kStates; ++s) {
    states[s] = states_by_length<T>(steps, arrived.last[s], w.device());
    f.states[s] = write<T>(states[s]);
    f.before[s] = read<T>(result.before[s]);
  }
  const bool wants_start = gradients.start[0].defined();
  for (std::int64_t t = steps.count(); t-- > 0;) {
    f.step = steps[t];
    cuda::launch(each_element(f.step), backward_kernel<Cell, T>, f);
    if (t == 0 && !wants_start) continue;
    multiply_step<T>(f.step.count, width, f.of_step, {read<T>(w), n, width, 1}, Cell::kCarriesH,
                     f.states[0]);
  }
  for (std::size_t s = 0; wants_start && s < Cell::kStates; ++s) {
    put_states<T>(steps, states[s], gradients.start[s]);
  }
}

template <class Cell>
void scan_on_device(const ScanPlan& plan, const ScanInputs& in, ScanResult& out) {
  Steps steps(plan, in.w.dim(0));
  steps.upload(plan, in.w.device());
  out.uploaded = steps.uploaded();
  dispatch_dtype(FloatingTypes{}, in.w.dtype(), "scan",
                 [&]<class T>(T) { scan_by<Cell, T>(steps, in, out); });
}

template <class Cell>
void scan_back_on_device(const ScanPlan& plan, const ScanResult& result, const Tensor& w,
                         const ScanArrived& arrived, Tensor& products, ScanGradients& gradients) {
  Steps steps(plan, w.dim(0));
  steps.use(result.uploaded);
  dispatch_dtype(FloatingTypes{}, w.dtype(), "scan", [&]<class T>(T) {
    scan_back_by<Cell, T>(steps, result, w, arrived, products, gradients);
  });
}

const bool kFilled = kScanCuda<LstmCell>.fill(scan_on_device<LstmCell>) &&
                     kScanCuda<GruCell>.fill(scan_on_device<GruCell>) &&
                     kScanBackCuda<LstmCell>.fill(scan_back_on_device<LstmCell>) &&
                     kScanBackCuda<GruCell>.fill(scan_back_on_device<GruCell>);

}  // namespace
}  // namespace maskgrad::ops
