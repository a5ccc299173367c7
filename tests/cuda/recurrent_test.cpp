// LSTM and GRU on a device have the CPU's bits, forward and backward.
#include <optional>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "cuda/draws.hpp"
#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/masks.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::kInf;
using test::kNaN;
using ::testing::Each;

// The inputs of a call, float64 on the host. An LSTM reads no `bias`, a GRU no `c`; states may be
// undefined.
struct Inputs {
  bool is_lstm = true;
  Tensor gates, w, bias, h, c;
  SequenceMask mask = {};
  ops::RecurrentOptions options = {};
  Tensor of_output = {};  // the gradient that arrives; undefined: 1 to 2 everywhere
  bool wants_parameters = true;
};

class CudaRecurrent : public test::Draws<::testing::TestWithParam<bool>> {
 protected:
  Inputs draw_inputs(std::int64_t batch, std::int64_t length, std::int64_t hidden,
                     bool has_start = true) {
    const std::int64_t width = (GetParam() ? 4 : 3) * hidden;
    Inputs in = {GetParam(), draw({batch, length, width}), draw({hidden, width}), draw({width}), {},
                 {}};
    if (has_start) in.h = draw({batch, hidden});
    if (has_start) in.c = draw({batch, hidden});
    return in;
  }
};

// Outputs, and the gradients of all inputs that there are, brought to the host.
std::vector<Tensor> run(const Inputs& in, DType dtype, Device device, bool goes_back = true) {
  const auto moved = [&](const Tensor& x) { return x.to(dtype).to(device); };
  const auto parameter = [&](const Tensor& x) {
    return in.wants_parameters ? test::leaf(moved(x)) : Variable(moved(x));
  };
  std::vector<Variable> leaves = {test::leaf(moved(in.gates), in.mask), parameter(in.w)};
  if (!in.is_lstm) leaves.push_back(parameter(in.bias));
  ops::LstmState start;
  if (in.h.defined()) leaves.push_back(start.h = test::leaf(moved(in.h)));
  if (in.h.defined() && in.is_lstm) leaves.push_back(start.c = test::leaf(moved(in.c)));
  std::optional<Tape> tape;
  if (goes_back) tape.emplace();
  std::vector<Variable> outputs;
  if (in.is_lstm) {
    const auto [output, last] = ops::lstm(leaves[0], leaves[1], start, in.options);
    outputs = {output, last.h, last.c};
  } else {
    const auto [output, last] = ops::gru(leaves[0], leaves[1], leaves[2], start.h, in.options);
    outputs = {output, last};
  }
  std::vector<Tensor> all;
  for (const Variable& y : outputs) all.push_back(y.value().to(Device{}));
  if (!goes_back) return all;
  Random random(12);
  Variable loss(Tensor::zeros({}, dtype, device));
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const bool is_given = k == 0 && in.of_output.defined();
    const Tensor weight = is_given ? in.of_output : test::uniform(random, outputs[k].shape(), 1, 2);
    const Variable weighted = ops::multiply(drop_mask(outputs[k]), Variable(moved(weight)));
    loss = ops::add(loss, ops::sum(weighted));
  }
  tape->backward(loss);
  for (const Variable& leaf : leaves) {
    if (leaf.requires_grad()) all.push_back(leaf.grad().to(Device{}));
  }
  return all;
}

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(test::is_near(got[i], wanted[i])) << "output or gradient " << i;
  }
}

void expect_bits_of_the_cpu(const Inputs& in) {
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<Tensor> wanted = run(in, dtype, Device{});
    test::in_each_order([&] { expect_same(run(in, dtype, kCuda), wanted); });
    expect_same(run(in, dtype, kCuda, false), run(in, dtype, Device{}, false));
  }
}

// More sequences than one part of the CPU takes, of all lengths, with holes, and two with nothing.
SequenceMask many_lengths(Random& random, std::int64_t batch, std::int64_t length) {
  Tensor keep = test::random_bits(random, {batch, length});
  for (const std::int64_t b : {3, 17}) {
    for (std::int64_t s = 0; s < length; ++s) keep.data<bool>()[b * length + s] = false;
  }
  return SequenceMask(keep);
}

TEST_P(CudaRecurrent, HasTheBitsOfTheCpuForSequencesOfAllLengths) {
  for (const bool reverse : {false, true}) {
    for (const bool has_start : {false, true}) {
      SCOPED_TRACE(fmt::format("reverse {} start {}", reverse, has_start));
      Inputs in = draw_inputs(37, 4, 5, has_start);
      in.mask = many_lengths(random_, 37, 4);
      in.options.reverse = reverse;
      expect_bits_of_the_cpu(in);
    }
  }
}

// Backward a sum has more than 512 terms, forward more than one chain of 64.
TEST_P(CudaRecurrent, AddsLongSumsInTheOrderOfTheCpu) {
  expect_bits_of_the_cpu(draw_inputs(2, 2, 172));
}

TEST_P(CudaRecurrent, AddsTheRowsOfManySteps) { expect_bits_of_the_cpu(draw_inputs(33, 17, 2)); }

TEST_P(CudaRecurrent, ReadsNothingInHoles) {
  Inputs in = draw_inputs(3, 4, 3);
  in.mask = test::mask_of({0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1}, {3, 4});
  in.of_output = draw({3, 4, 3});
  const std::vector<Tensor> wanted = run(in, DType::kFloat32, kCuda);
  for (std::int64_t i = 0; i < 12; ++i) {
    if (in.mask.bits().data<bool>()[i]) continue;
    in.gates.reshape({12, -1})[i].fill(i % 2 == 0 ? kNaN : kInf);
    in.of_output.reshape({12, -1})[i].fill(i % 2 == 0 ? -kInf : kNaN);
  }
  test::in_each_order([&] {
    const std::vector<Tensor> got = run(in, DType::kFloat32, kCuda);
    expect_same(got, wanted);
    // Sequence 1 has no position: it ends as it begins.
    EXPECT_TRUE(is_identical(got[1][1], in.h[1].to(DType::kFloat32)));
    const std::size_t of_gates = in.is_lstm ? 3 : 2;
    EXPECT_THAT(test::to_doubles(got[0][1]), Each(0));
    EXPECT_THAT(test::to_doubles(got[of_gates][1]), Each(0));
  });
}

TEST_P(CudaRecurrent, HasTheBitsOfItsBatchOnAPackedRow) {
  Inputs in = draw_inputs(1, 7, 3);
  in.h = draw({4, 3});
  in.c = draw({4, 3});
  in.options.segments = Tensor::from<std::int64_t>({0, 0, 0, 1, 3, 3, 3}, {1, 7});
  in.options.sequences = 4;
  expect_bits_of_the_cpu(in);
}

TEST_P(CudaRecurrent, TakesNumbersOfAnySize) {
  Inputs in = draw_inputs(2, 3, 4);
  const double values[] = {1e30, -1e30, kInf, -kInf, kNaN, -0.0, 1e-300, 90, -104};
  std::size_t next = 0;
  for (std::int64_t i = 0; i < in.gates.numel(); i += 2) {
    in.gates.data<double>()[i] = values[next++ % std::size(values)];
  }
  expect_bits_of_the_cpu(in);
}

TEST_P(CudaRecurrent, MakesNoGradientThatNobodyWants) {
  Inputs in = draw_inputs(3, 3, 4);
  in.wants_parameters = false;
  expect_bits_of_the_cpu(in);
}

TEST_P(CudaRecurrent, MakesTheHostWaitForNothing) {
  const Inputs in = draw_inputs(3, 4, 3);
  const SequenceMask mask = test::mask_of({0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1}, {3, 4});
  const Variable gates = test::leaf(in.gates.to(kCuda), mask), w = test::leaf(in.w.to(kCuda)),
                 bias = test::leaf(in.bias.to(kCuda));
  const Tensor g = in.gates.view(0, {3, 4, 3}).to(kCuda);
  const std::uint64_t before = Traffic::so_far().syncs;
  Tape tape;
  tape.backward(in.is_lstm ? ops::lstm(gates, w).output : ops::gru(gates, w, bias).output, g);
  EXPECT_EQ(Traffic::so_far().syncs, before);
}

TEST_P(CudaRecurrent, TakesWhatIsEmpty) {
  for (const auto& [batch, length, hidden] :
       {std::array<std::int64_t, 3>{2, 0, 3}, {0, 3, 2}, {2, 3, 0}}) {
    expect_bits_of_the_cpu(draw_inputs(batch, length, hidden));
  }
  Inputs in = draw_inputs(2, 3, 2);
  in.mask = test::mask_of({0, 0, 0, 0, 0, 0}, {2, 3});
  expect_bits_of_the_cpu(in);
}

TEST_P(CudaRecurrent, RefusesInputsOnTwoDevices) {
  const Inputs in = draw_inputs(2, 3, 2);
  const auto error = [&](Device of_gates, Device of_w, Device of_rest) {
    const Variable gates(in.gates.to(of_gates)), w(in.w.to(of_w)), bias(in.bias.to(of_rest)),
        h(in.h.to(of_rest)), c(in.c.to(of_rest));
    return test::error_of([&] {
      if (in.is_lstm) {
        ops::lstm(gates, w, {h, c});
      } else {
        ops::gru(gates, w, bias, h);
      }
    });
  };
  const std::string wanted =
      fmt::format("[{}] got one input on cuda and another on cpu", in.is_lstm ? "lstm" : "gru");
  EXPECT_EQ(error({}, kCuda, kCuda), wanted);
  EXPECT_EQ(error(kCuda, {}, kCuda), wanted);
  EXPECT_EQ(error(kCuda, kCuda, {}), wanted);
  EXPECT_EQ(error(kCuda, kCuda, kCuda), "no error");
}

INSTANTIATE_TEST_SUITE_P(Cells, CudaRecurrent, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Lstm" : "Gru"; });

}  // namespace
}  // namespace maskgrad
