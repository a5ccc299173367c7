// The benchmark attention.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/checked.hpp>
#include <maskgrad/tensor/random.hpp>

#include "cli/bench/benchmarks.hpp"
#include "cli/output.hpp"

namespace maskgrad::apps {
namespace {

struct Case {
  std::string name;
  AttentionMask mask;  // undefined: none
};

// From an eighth of `length` to all of it, evenly spread over the batch.
AttentionMask padding_mask(std::int64_t batch, std::int64_t length) {
  const auto longest = static_cast<double>(length), shortest = longest / 8;
  const double step = batch > 1 ? (longest - shortest) / static_cast<double>(batch - 1) : 0;
  std::vector<std::int64_t> lengths;
  for (std::int64_t b = 0; b < batch; ++b) {
    lengths.push_back(std::llrint(shortest + step * static_cast<double>(b)));
  }
  return AttentionMask::padding(SequenceMask::from_lengths(lengths, length));
}

// Documents of 128 tokens, one behind the other.
AttentionMask packed_mask(std::int64_t length) {
  Tensor ids = Tensor::empty({1, length}, DType::kInt64);
  for (std::int64_t i = 0; i < length; ++i) ids.data<std::int64_t>()[i] = i / 128;
  return AttentionMask::segments(ids);
}

std::vector<Case> make_cases(std::int64_t batch, std::int64_t length) {
  const AttentionMask causal = AttentionMask::causal(length);
  const AttentionMask padding = padding_mask(batch, length);
  return {{"none", {}},
          {"causal", causal},
          {"padding", padding},
          {"window", AttentionMask::window(length, length, 64, 64)},
          {"causal_padding", causal & padding},
          {"segments", packed_mask(length) & causal}};
}

double kept_share(const AttentionMask& mask) {
  if (!mask.defined()) return 1;
  return static_cast<double>(mask.kept()) / static_cast<double>(mask.shape().numel());
}

// Mean 0, variance 1.
Tensor draw(Random& random, const Shape& shape, Device device) {
  const double bound = std::sqrt(3.0);
  Tensor x = Tensor::empty(shape, DType::kFloat32);
  std::generate_n(x.data<float>(), x.numel(),
                  [&] { return static_cast<float>(random.uniform(-bound, bound)); });
  return x.to(device);
}

struct Inputs {
  Inputs(Random random, const Shape& shape, Device device)
      : q(draw(random, shape, device), Variable::kRequiresGrad),
        k(draw(random, shape, device), Variable::kRequiresGrad),
        v(draw(random, shape, device), Variable::kRequiresGrad),
        grad_output(draw(random, shape, device)) {}

  Variable forward(const AttentionMask& mask) const {
    return ops::scaled_dot_product_attention(q, k, v, mask);
  }
  void forward_backward(const AttentionMask& mask) {
    for (Variable* leaf : {&q, &k, &v}) leaf->clear_grad();
    Tape tape;
    tape.backward(forward(mask), grad_output);
    wait_for(q.grad());
  }

  Variable q, k, v;
  Tensor grad_output;
};

void check_size(const char* flag, std::int64_t size) {
  constexpr std::int64_t kMax = 65536;
  check(size >= 1 && size <= kMax, "bench", "{} must be 1 to {}, not {}", flag, kMax, size);
}

}  // namespace

void check_sizes(const AttentionSizes& sizes) {
  check_size("--batch", sizes.batch);
  check_size("--heads", sizes.heads);
  check_size("--dim", sizes.dim);
  for (const std::int64_t length : sizes.lengths) {
    check_size("--seq", length);
    checked_multiply("bench", "elements of an input", sizes.batch * sizes.heads,
                     length * sizes.dim);
  }
}

std::vector<Result> bench_attention(const AttentionSizes& sizes, Device device) {
  if (ops::product_math() != ops::ProductMath::kFloat32) {
    warn("attention multiplies by float32, whatever --math says");
  }
  std::vector<Result> results;
  for (const std::int64_t length : sizes.lengths) {
    Inputs inputs(Random(0), {sizes.batch, sizes.heads, length, sizes.dim}, device);
    for (const Case& one : make_cases(sizes.batch, length)) {
      const std::string subject = fmt::format("attention_{}_s{}", one.name, length);
      results.push_back(measure(subject, "forward_ms", 1e3, 1, [&] {
        const NoGrad no_grad;
        wait_for(inputs.forward(one.mask).value());
      }));
      results.push_back(measure(subject, "forward_backward_ms", 1e3, 1,
                                [&] { inputs.forward_backward(one.mask); }));
      for (std::size_t i = results.size() - 2; i < results.size(); ++i) {
        results[i].kept_share = kept_share(one.mask);
      }
    }
  }
  return results;
}

}  // namespace maskgrad::apps
