// How fast kernels are: bytes that must move over the time on the device, beside a plain copy on
// the device; products and attention by their multiply-adds; and what a call costs the host.
//   gpu_bench [FILE]   FILE gets the table as JSON
#include "cuda/gpu/bench.hpp"

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad {

using bench::kCuda;
using bench::kName;
using bench::seconds_on_device;

namespace {

struct Row {
  std::string what, shape;
  double bytes, seconds;
};

// One size of tensors: `count` numbers of float32.
class Table {
 public:
  explicit Table(std::int64_t count) : count_(count), x_(numbers({count})), y_(numbers({count})) {}

  std::vector<Row> rows() {
    copies();
    elementwise();
    broadcasts();
    sums();
    holes();
    softmax();
    return std::move(rows_);
  }

 private:
  static Tensor numbers(const Shape& shape) {
    return Tensor::full(shape, 0.75, DType::kFloat32, kCuda);
  }
  Tensor x(const Shape& shape) const { return x_.view(0, shape); }

  // Moves `per_element` bytes for each element of x.
  void add(const char* what, const Shape& shape, double per_element,
           const std::function<void()>& call) {
    rows_.push_back({what, to_string(shape), per_element * static_cast<double>(count_),
                     seconds_on_device(call)});
  }
  void copies() {
    Tensor to = y_;
    add("cudaMemcpyAsync", {count_}, 8, [&] {
      cuda::check_cuda(
          cudaMemcpyAsync(to.device_data<float>(), std::as_const(x_).device_data<float>(),
                          static_cast<std::size_t>(count_) * 4, cudaMemcpyDeviceToDevice,
                          cuda::stream()),
          kName);
    });
    add("copy_from", {count_}, 8, [&] { to.copy_from(x_); });
    add("clone", {count_}, 8, [&] { x_.clone(); });
    add("fill", {count_}, 4, [&] { to.fill(0.5); });
    add("cast to float64", {count_}, 12, [&] { x_.to(DType::kFloat64); });
    add("add_into", {count_}, 12, [&] { add_into(to, x_); });
  }
  void elementwise() {
    const Variable x(x_), y(y_);
    add("relu", {count_}, 8, [&] { ops::relu(x); });
    add("exp", {count_}, 8, [&] { ops::exp(x); });
    add("gelu", {count_}, 8, [&] { ops::gelu(x); });
    add("add", {count_}, 12, [&] { ops::add(x, y); });
  }
  void broadcasts() {
    const std::int64_t columns = 1024, rows = count_ / columns;
    const auto add_to = [&](const char* what, const Shape& shape, const Shape& other) {
      const Variable a(x(shape)), b(y_.view(0, other));
      add(what, shape, 8, [&] { ops::add(a, b); });
    };
    add_to("add a row", {rows, columns}, {columns});
    add_to("add a column", {rows, columns}, {rows, 1});
    add_to("add [B, 1, C]", {rows / 64, 64, columns}, {rows / 64, 1, columns});
    add_to("add [B, 1, S, S]", {rows / 512, 8, 64, columns}, {rows / 512, 1, 64, columns});
    add_to("add a row of 15", {count_ / 15, 15}, {15});
  }
  void sums() {
    const std::int64_t columns = 1024, rows = count_ / columns;
    const auto sum = [&](const char* what, const Shape& from, const Shape& to) {
      const Tensor of = x_.view(0, from);
      add(what, from, 4, [&] { sum_to(kName, of, to); });
    };
    sum("sum of all", {count_}, {});
    sum("sum, first axis", {rows, columns}, {columns});
    sum("sum, first axis", {count_ / 16, 16}, {16});
    sum("sum, middle axis", {rows / 64, 64, columns}, {rows / 64, 1, columns});
    sum("sum, last axis", {rows, columns}, {rows, 1});
    sum("sum, last axis", {count_ / 64, 64}, {count_ / 64, 1});
    sum("sum, last axis", {64, count_ / 64}, {64, 1});
  }
  void holes() {
    const std::int64_t positions = count_ / 256, batch = positions / 512;
    Tensor bits = Tensor::zeros({batch, 512}, DType::kBool);
    for (std::int64_t i = 0; i < bits.numel(); i += 2) bits.data<bool>()[i] = true;
    const SequenceMask mask(bits);
    Tensor filled = x({batch, 512, 256});
    add("fill_holes, a half", {batch, 512, 256}, 2, [&] { fill_holes(filled, mask, 0); });
  }

  void softmax() {
    for (const std::int64_t columns : {128, 2048}) {
      const Shape shape = {count_ / columns, columns};
      const Variable of(x(shape));
      add("softmax", shape, 8, [&] { ops::softmax(of); });
    }
  }

  std::int64_t count_;
  Tensor x_, y_;
  std::vector<Row> rows_;
};

// Prints the microseconds of the host, and of all, for one of many calls.
void print_call(const char* name, const std::function<void()>& call, std::FILE* json) {
  constexpr int kCalls = 5000;
  for (int i = 0; i < 100; ++i) call();
  cuda::synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) call();
  const std::chrono::duration<double, std::micro> host = std::chrono::steady_clock::now() - start;
  cuda::synchronize();
  const std::chrono::duration<double, std::micro> all = std::chrono::steady_clock::now() - start;
  std::printf("%-34s %9.2f %9.2f\n", name, host.count() / kCalls, all.count() / kCalls);
  if (json) {
    std::fprintf(json, ",\n  {\"call\": \"%s\", \"host_us\": %.3f, \"all_us\": %.3f}", name,
                 host.count() / kCalls, all.count() / kCalls);
  }
}

void print_calls(std::FILE* json) {
  const Tensor term = Tensor::full({64}, 1, DType::kFloat32, kCuda);
  const Tensor here = Tensor::full({64}, 1, DType::kFloat32);
  Tensor total = term.clone();
  const Variable x(term);
  std::printf("\n%-34s %9s %9s\n", "call on 64 elements", "host us", "all us");
  print_call(
      "add_into", [&] { add_into(total, term); }, json);
  print_call(
      "relu, with its result's memory", [&] { ops::relu(x); }, json);
  print_call(
      "memory alone", [&] { Tensor::empty({64}, DType::kFloat32, kCuda); }, json);
  print_call(
      "upload", [&] { here.to(kCuda); }, json);
}

// Steps of small kernels that depend on each other, and of five uploads: piece by piece, and as a
// graph that is replayed.
void print_steps(std::FILE* json) {
  const Tensor term = Tensor::full({64}, 1, DType::kFloat32);
  Tensor total = term.to(kCuda);
  std::printf("\n%-34s %9s %9s\n", "step", "host us", "all us");
  for (const int kernels : {17, 100}) {
    const auto give = [&] {
      Tensor there;
      for (int i = 0; i < kernels; ++i) {
        if (i < 5) there = term.to(kCuda);
        add_into(total, there);
      }
    };
    const auto give_as_step = [&] {
      DeviceStep step(kCuda);
      give();
      step.end();
    };
    print_call(fmt::format("{} kernels, piece by piece", kernels).c_str(), give, json);
    const DeviceCounts before = device_counts();
    print_call(fmt::format("{} kernels, as a step", kernels).c_str(), give_as_step, json);
    const DeviceCounts after = device_counts();
    std::printf("  steps: %d eager, %d recorded, %d replayed; %d allocations\n",
                static_cast<int>(after.eager - before.eager),
                static_cast<int>(after.recorded - before.recorded),
                static_cast<int>(after.replayed - before.replayed),
                static_cast<int>(after.allocations - before.allocations));
  }
}

void print_rows(std::int64_t mebibytes, std::FILE* json) {
  const std::vector<Row> rows = Table(mebibytes << 18).rows();
  const double copy = rows.front().bytes / rows.front().seconds;
  std::printf("\n%-20s %-24s %9s %7s %8s\n", fmt::format("{} MiB", mebibytes).c_str(), "shape",
              "us", "GB/s", "of copy");
  for (const Row& row : rows) {
    const double speed = row.bytes / row.seconds;
    std::printf("%-20s %-24s %9.1f %7.0f %7.0f%%\n", row.what.c_str(), row.shape.c_str(),
                row.seconds * 1e6, speed * 1e-9, 100 * speed / copy);
    if (json) {
      std::fprintf(json,
                   ",\n  {\"kernel\": \"%s\", \"shape\": \"%s\", \"mebibytes\": %d, \"us\": %.2f, "
                   "\"gigabytes_per_second\": %.1f, \"share_of_copy\": %.3f}",
                   row.what.c_str(), row.shape.c_str(), static_cast<int>(mebibytes),
                   row.seconds * 1e6, speed * 1e-9, speed / copy);
    }
  }
}

}  // namespace
}  // namespace maskgrad

int main(int argc, char** argv) {
  try {
    maskgrad::cuda::check_usable();
    std::FILE* const json = argc > 1 ? std::fopen(argv[1], "w") : nullptr;
    if (json) std::fprintf(json, "[\n  {\"unit\": \"median of 20 repeats on the device\"}");
    for (const std::int64_t mebibytes : {256, 1024}) maskgrad::print_rows(mebibytes, json);
    maskgrad::bench::print_products(json);
    maskgrad::bench::print_attention(json);
    maskgrad::print_calls(json);
    maskgrad::print_steps(json);
    if (json) {
      std::fprintf(json, "\n]\n");
      std::fclose(json);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
