// Losses and metrics on a device, where they are long, masked, or of nothing.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::same_bits;

struct Result {
  Tensor sum, gradient;  // on the host
  std::int64_t count;
};

// Loss(x) and `times` the gradient of x.
template <class Loss>
Result run(Loss loss, const Tensor& x, const SequenceMask& mask, Device device,
           double times = 0.3) {
  Tape tape;
  const Variable input = test::leaf(x.to(device), mask);
  const ops::SumCount made = loss(input);
  tape.backward(made.sum, times);
  return {made.sum.value().to(Device{}), input.grad().to(Device{}), made.count};
}

// The sum is as near to the CPU's as an operation's may be; the gradient has its bits.
template <class Loss>
void expect_that_of_the_cpu(const char* op, Loss loss, const Tensor& x,
                            const SequenceMask& mask = {}, double times = 0.3) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Result wanted = run(loss, x.to(dtype), mask, {}, times);
    test::in_each_order([&] {
      const Result got = run(loss, x.to(dtype), mask, kCuda, times);
      EXPECT_TRUE(test::is_near(got.sum, wanted.sum, test::allowed_ulps(op, dtype)));
      EXPECT_TRUE(test::is_near(got.gradient, wanted.gradient));
      EXPECT_EQ(got.count, wanted.count);
    });
  }
}

// Losses of an input, with targets where it is.
auto mse(const Tensor& t) {
  return [t](const Variable& x) { return ops::mse(x, Variable(t.to(x.dtype()).to(x.device()))); };
}
auto bce(const Tensor& t) {
  return [t](const Variable& x) { return ops::bce_with_logits(x, t.to(x.dtype()).to(x.device())); };
}
auto cross_entropy(const Tensor& targets, double smoothing = 0) {
  return [=](const Variable& x) { return ops::cross_entropy(x, targets, smoothing); };
}

TEST(CudaLosses, HaveKernels) {
  for (const char* op : {"bce_with_logits", "cross_entropy", "embedding", "mse"}) {
    EXPECT_TRUE(KernelSlot::any_of(op)) << op;
  }
}

TEST(CudaElementLosses, AreThoseOfTheCpu) {
  Random random(1);
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{700}, Shape{20'000}, Shape{600, 2},
                             Shape{3, 5, 130}, Shape{0, 3}, Shape{3, 0}}) {
    const Tensor x = test::uniform(random, shape, -30, 30), t = test::uniform(random, shape, 0, 1);
    expect_that_of_the_cpu("mse", mse(t), x);
    expect_that_of_the_cpu("bce_with_logits", bce(t), x);
  }
}

TEST(CudaElementLosses, ReadNoHole) {
  Random random(2);
  for (const Shape& inner : {Shape{}, Shape{3}, Shape{65, 2}}) {
    const Shape shape = Shape{2, 40}.concat(inner);
    const SequenceMask mask(test::random_bits(random, {2, 40}));
    Tensor x = test::uniform(random, shape), t = test::uniform(random, shape, 0, 1);
    const Result of_numbers = run(bce(t), x, mask, kCuda);
    Tensor poison = t.clone();
    fill_holes(x, mask, test::kNaN);
    fill_holes(poison, mask, test::kInf);
    expect_that_of_the_cpu("mse", mse(poison), x, mask);
    expect_that_of_the_cpu("bce_with_logits", bce(poison), x, mask);
    EXPECT_TRUE(same_bits(run(bce(poison), x, mask, kCuda).sum, of_numbers.sum));
  }
  const SequenceMask nothing(test::bits({0, 0}, {1, 2}));
  const Tensor poison = Tensor::full({1, 2}, test::kNaN, DType::kFloat64);
  const Result got = run(mse(poison), poison, nothing, kCuda);
  EXPECT_EQ(got.sum.item(), 0);
  EXPECT_EQ(test::to_doubles(got.gradient), (std::vector<double>{0, 0}));
}

// int64, each below `classes`.
Tensor random_classes(Random& random, const Shape& shape, std::int64_t classes) {
  Tensor ids = Tensor::empty(shape, DType::kInt64);
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    ids.data<std::int64_t>()[i] = random.integer(0, classes - 1);
  }
  return ids;
}

TEST(CudaCrossEntropy, IsThatOfTheCpu) {
  Random random(3);
  // Rows of one block and of several, more rows than a block of threads has, many samples.
  for (const Shape& shape : {Shape{1}, Shape{20}, Shape{700, 3}, Shape{3, 600}, Shape{2, 9000},
                             Shape{3, 5, 17}, Shape{40, 2, 1}, Shape{0, 5}, Shape{2, 0, 5}}) {
    const Tensor x = test::uniform(random, shape, -20, 20),
                 ids = random_classes(random, shape.slice(0, shape.rank() - 1), shape.dim(-1));
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      expect_that_of_the_cpu("cross_entropy", cross_entropy(ids, smoothing), x);
    }
  }
}

TEST(CudaCrossEntropy, IsThatOfTheCpuForExtremeLogits) {
  const Tensor x =
      test::make({1e30, -1e30,      0,   -test::kInf, 5,           3,           -test::kInf,
                  5,    3,          700, 701,         -700,        test::kNaN,  0,
                  1,    test::kInf, 0,   1,           -test::kInf, -test::kInf, -test::kInf},
                 {7, 3});
  const Tensor ids = Tensor::from<std::int64_t>({0, 1, 0, 0, 1, 2, 0}, {7});
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    for (std::int64_t row = 0; row < 7; ++row) {
      expect_that_of_the_cpu("cross_entropy", cross_entropy(ids[row], smoothing), x[row]);
    }
  }
}

TEST(CudaCrossEntropy, ReadsNoHole) {
  Random random(4);
  for (const std::int64_t classes : {7, 520}) {
    const SequenceMask mask(test::bits({1, 0, 1, 1, 0, 0, 0, 0, 0}, {3, 3}));
    Tensor x = test::uniform(random, {3, 3, classes}),
           ids = random_classes(random, {3, 3}, classes);
    fill_holes(x, mask, test::kNaN);
    fill_holes(ids, mask, -5);
    for (const double times : {0.3, test::kInf}) {
      for (const double smoothing : {0.0, 0.2}) {
        const auto loss = cross_entropy(ids, smoothing);
        expect_that_of_the_cpu("cross_entropy", loss, x, mask, times);
        const Result got = run(loss, x, mask, kCuda, times);
        EXPECT_TRUE(holes_hold(got.gradient, mask, 0.0));
      }
    }
  }
}

TEST(CudaAccuracy, IsThatOfTheCpu) {
  Random random(5);
  for (const std::int64_t classes : {1, 3, 70}) {
    Tensor x = test::uniform(random, {12, 9, classes});
    for (std::int64_t i = 0; i < x.numel(); ++i) {  // some equal, some none
      double& logit = x.data<double>()[i];
      logit = random.integer(0, 40 * classes) == 0 ? test::kNaN : std::round(logit);
    }
    Tensor ids = Tensor::zeros({12, 9}, DType::kInt64);
    for (std::int64_t i = 0; i < ids.numel(); ++i) {
      const double* row = x.data<double>() + i * classes;
      ids.data<std::int64_t>()[i] = std::max_element(row, row + classes) - row;
      if (i % 30 == 0) ids.data<std::int64_t>()[i] = random.integer(0, classes - 1);
    }
    const SequenceMask mask(test::random_bits(random, {12, 9}));
    for (const SequenceMask& kept : {SequenceMask(), mask}) {
      for (const DType dtype : test::kFloatingDTypes) {
        const Variable here(x.to(dtype), Variable::kConstant, kept),
            there(x.to(dtype).to(kCuda), Variable::kConstant, kept);
        for (const auto metric : {ops::accuracy, ops::sequence_accuracy}) {
          const ops::HitsCount wanted = metric(here, ids), got = metric(there, ids);
          EXPECT_EQ(got.hits.item(), wanted.hits.item());
          EXPECT_EQ(got.count, wanted.count);
          EXPECT_GT(wanted.hits.item(), 0);
        }
      }
    }
  }
}

TEST(CudaAccuracy, ReadsNoHoleAndNothingOfNothing) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Tensor x = test::make({1, 0, test::kNaN, test::kNaN}, {1, 2, 2}).to(kCuda);
  const Variable logits(x, Variable::kConstant, mask);
  const ops::HitsCount got = ops::accuracy(logits, Tensor::from<std::int64_t>({0, 9}, {1, 2}));
  EXPECT_EQ(got.hits.item(), 1);
  EXPECT_EQ(got.count, 1);
  const Variable none(Tensor::zeros({0, 2, 3}, DType::kFloat32, kCuda));
  EXPECT_EQ(ops::sequence_accuracy(none, Tensor::zeros({0, 2}, DType::kInt64)).count, 0);
}

TEST(CudaBceWithLogits, NamesTheFirstTargetThatIsOutside) {
  Tensor t = Tensor::full({3000}, 0.5, DType::kFloat32);
  t.data<float>()[2500] = 1.5f;
  t.data<float>()[2900] = -1;
  const Variable x(Tensor::zeros({3000}, DType::kFloat32, kCuda));
  const auto error = [&](const Tensor& targets) {
    return test::error_of([&] { ops::bce_with_logits(x, targets); });
  };
  EXPECT_THAT(error(t.to(kCuda)),
              ::testing::StartsWith("[bce_with_logits] target 1.5 at element 2500 is outside"));
  EXPECT_EQ(error(Tensor::zeros({3000}, DType::kFloat32)),
            "[bce_with_logits] got one input on cuda and another on cpu");
}

}  // namespace
}  // namespace maskgrad
