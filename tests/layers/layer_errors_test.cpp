// Errors within a model say in which layer they arose.
#include <functional>
#include <memory>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/recompute.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using Forward = std::function<Variable(const Variable&)>;

struct Custom : Layer {
  explicit Custom(Forward f) : Layer("Custom", MaskRule::kKeeps), f_(std::move(f)) {}
  Variable forward(const Variable& x, Pass&) override { return f_(x); }
  Forward f_;
};

// A layer of this name in a block in a tower.
template <class L, class... Args>
std::unique_ptr<Sequential> in_block(const std::string& name, Args&&... args) {
  auto model = std::make_unique<Sequential>();
  model->add<Sequential>("tower");
  auto& tower = dynamic_cast<Sequential&>(model->layer("tower"));
  tower.add<Sequential>("block3");
  dynamic_cast<Sequential&>(tower.layer("block3")).add<L>(name, std::forward<Args>(args)...);
  return model;
}

Variable input() { return Variable(Tensor::full({2, 3, 4}, 1, DType::kFloat32)); }

TEST(ErrorInALayer, OfAnOperationNamesTheInnermostLayerOnce) {
  const auto model = in_block<Dense>("dense", 5, 2);
  const ParameterBuffer parameters(*model, DType::kFloat32, 0);
  const std::string error = error_of([&] { (*model)(input()); });
  EXPECT_EQ(error.find("[linear] in layer 'tower.block3.dense': "), 0u) << error;
  EXPECT_EQ(error.find("in layer", 20), std::string::npos) << error;
}

TEST(ErrorInALayer, OfTheLayerItselfNamesIt) {
  const auto lost = in_block<Custom>("mixer", [](const Variable& x) { return drop_mask(x); });
  const SequenceMask mask(test::mask_of({1, 1, 0, 1, 0, 0}, {2, 3}));
  EXPECT_EQ(error_of([&] { (*lost)(Variable(input().value(), Variable::kConstant, mask)); }),
            "[Custom] in layer 'tower.block3.mixer': says that it keeps the mask, but its output "
            "does not carry it");
  const auto none = in_block<Custom>("none", [](const Variable&) { return Variable(); });
  EXPECT_EQ(error_of([&] { (*none)(input()); }),
            "[Custom] in layer 'tower.block3.none': its output was used before it was given a "
            "value");
  EXPECT_EQ(error_of([&] { (*none)(Variable()); }),
            "[Sequential] its input was used before it was given a value");
}

TEST(ErrorInALayer, OfAParameterWithoutAValueNamesTheLayer) {
  const auto model = in_block<Dense>("dense", 4, 2);
  const std::string error = error_of([&] { (*model)(input()); });  // of weight or bias
  EXPECT_NE(error.find("] in layer 'tower.block3.dense': used before it was given a value"),
            std::string::npos)
      << error;
}

TEST(ErrorInALayer, OfATransformerNamesTheMemberOfTheBlock) {
  Sequential model;
  model.add<Encoder>("encoder", TransformerOptions{.features = 8, .heads = 2, .layers = 2});
  const ParameterBuffer parameters(model, DType::kFloat32, 0);
  const std::string error = error_of([&] { model(input()); });
  EXPECT_EQ(error.find("[layer_norm] in layer 'encoder.block0.attention_norm': "), 0u) << error;
}

TEST(ErrorInALayer, IsTheSameOfEveryThread) {
  const auto model = in_block<Custom>("far", [](const Variable& x) {
    parallel_for(1000, 1, [](std::int64_t i, std::int64_t) { check(i != 999, "toy", "at {}", i); });
    return x;
  });
  for (const int threads : {1, 2, 3}) {
    const test::WithThreads with(threads);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(error_of([&] { (*model)(input()); }), "[toy] in layer 'tower.block3.far': at 999");
    }
  }
}

TEST(ErrorInALayer, OfTheSecondRunNamesTheLayerOfTheFirst) {
  int runs = 0;
  const auto model = in_block<Custom>("again", [&runs](const Variable& x) {
    return recompute(
        [&runs](const Variable& y) {
          check(++runs < 2, "toy", "ran twice");
          return ops::sum(y);
        },
        x);
  });
  Tape tape;
  const Variable x(input().value(), Variable::kRequiresGrad);
  const Variable y = (*model)(x);
  EXPECT_EQ(error_of([&] { tape.backward(y); }), "[toy] in layer 'tower.block3.again': ran twice");
}

// A rule refuses to read what was written to since.
TEST(ErrorInALayer, OfTheBackwardPassNamesTheLayerThatRecorded) {
  for (const bool is_inside : {true, false}) {
    Tensor written;
    const auto square = [&](const Variable& x) {
      written = Tensor::full(x.shape(), 2, x.dtype());
      return ops::multiply(x, Variable(written));
    };
    const auto model = in_block<Custom>(
        "square", [&](const Variable& x) { return is_inside ? square(x) : ops::relu(x); });
    Tape tape;
    const Variable x(input().value(), Variable::kRequiresGrad);
    const Variable y = (*model)(x);
    const Variable z = is_inside ? ops::relu(y) : square(y);
    written.data<float>()[0] = 3;
    const std::string error = error_of([&] { tape.backward(ops::sum(z)); });
    EXPECT_EQ(error.find("[multiply] in layer 'tower.block3.square': "), is_inside ? 0 : error.npos)
        << error;
    EXPECT_EQ(error.find("[multiply] "), 0U) << error;
    EXPECT_EQ(error.find("in layer") != error.npos, is_inside) << error;
  }
}

TEST(ErrorInALayer, OfTheBackwardPassNamesTheRightOneOfMany) {
  for (int bad = 0; bad < 3; ++bad) {
    Tensor written;
    Sequential model;
    for (int i = 0; i < 3; ++i) {
      model.add<Custom>(fmt::format("layer{}", i), [&written, i, bad](const Variable& x) {
        Tensor factor = Tensor::full(x.shape(), 2, x.dtype());
        if (i == bad) written = factor;
        return ops::relu(ops::multiply(x, Variable(std::move(factor))));
      });
    }
    Tape tape;
    const Variable y = model(Variable(input().value(), Variable::kRequiresGrad));
    written.data<float>()[0] = 3;
    const std::string error = error_of([&] { tape.backward(ops::sum(y)); });
    EXPECT_EQ(error.find(fmt::format("[multiply] in layer 'layer{}': ", bad)), 0U) << error;
  }
}

TEST(ErrorInALayer, LeavesNoLayerBehind) {
  const auto model = in_block<Custom>(
      "bad", [](const Variable& x) -> Variable { fail("toy", "no {}", x.rank()); });
  EXPECT_EQ(error_of([&] { (*model)(input()); }), "[toy] in layer 'tower.block3.bad': no 3");
  EXPECT_EQ(error_of([] { fail("toy", "no"); }), "[toy] no");
}

}  // namespace
}  // namespace maskgrad
