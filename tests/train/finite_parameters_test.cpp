// What is not finite is found at the step where it arises, whatever the optimizer.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kFloatingDTypes;
using test::kInf;
using test::kNaN;
using test::Notes;
using test::same_bits;
using test::to_doubles;
using test::ToyRun;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// More elements than one span of an optimizer's loop has.
struct Two : Module {
  Two() {
    parameter("first", {70, 70}, ones());
    parameter("second", {50}, ones());
  }
};

template <class O>
struct Stepping {
  explicit Stepping(DType dtype) : parameters(model, dtype, 1), optimizer(parameters) {
    parameters.gradients().fill(0.5);
    for (const auto& entry : parameters.entries()) {
      entry.gradient->set_arrived();
    }
  }
  void set(Tensor flat, const char* name, std::int64_t element, double value) {
    for (const auto& entry : parameters.entries()) {
      if (entry.name == name) flat.view(entry.first + element, {1}).fill(value);
    }
  }
  std::string error(double lr = 0.1) {
    return error_of([&] { optimizer.step(parameters, lr); });
  }

  Two model;
  ParameterBuffer parameters;
  O optimizer;
};

template <class O>
class FiniteStep : public ::testing::Test {};
using Optimizers = ::testing::Types<Adam, Sgd>;
TYPED_TEST_SUITE(FiniteStep, Optimizers);

TYPED_TEST(FiniteStep, NamesTheGradientThatIsNot) {
  for (const DType dtype : kFloatingDTypes) {
    for (const double bad : {kNaN, -kNaN, kInf, -kInf}) {
      for (const auto& [name, element] : {std::pair("first", 4899), {"first", 0}, {"second", 3}}) {
        Stepping<TypeParam> stepping(dtype);
        stepping.set(stepping.parameters.gradients(), name, element, bad);
        EXPECT_THAT(stepping.error(),
                    HasSubstr(fmt::format("] the gradient of {} is {} at element {}", name,
                                          std::isnan(bad) ? kNaN : bad, element)));
        for (const double w : to_doubles(stepping.parameters.values())) {
          ASSERT_TRUE(std::isfinite(w)) << "no value took the gradient";
        }
        for (const auto& [key, state] : stepping.optimizer.state()) {
          for (const double x : to_doubles(state)) ASSERT_TRUE(std::isfinite(x)) << key;
        }
      }
    }
  }
}

TYPED_TEST(FiniteStep, NamesTheGradientThatIsNotWhenItIsScaled) {
  for (const DType dtype : kFloatingDTypes) {
    const double most = dtype == DType::kFloat32 ? 3e38 : 1e308;
    for (const auto& [gradient, scale] :
         {std::pair(most, 10.0), {-most, 10.0}, {0.5, kNaN}, {0.5, kInf}}) {
      Stepping<TypeParam> stepping(dtype);
      stepping.parameters.gradients().fill(0);
      stepping.set(stepping.parameters.gradients(), "second", 3, gradient);
      const bool spoils_zeros = !std::isfinite(scale);
      EXPECT_THAT(
          error_of([&, s = scale] { stepping.optimizer.step(stepping.parameters, 0.1, s); }),
          HasSubstr(fmt::format("] the gradient of {}, scaled by {}, is {} at element {}",
                                spoils_zeros ? "first" : "second", scale,
                                spoils_zeros ? kNaN : gradient * kInf, spoils_zeros ? 0 : 3)));
      for (const double w : to_doubles(stepping.parameters.values())) ASSERT_TRUE(std::isfinite(w));
    }
  }
}

TYPED_TEST(FiniteStep, NamesTheValueThatItMadeSo) {
  Stepping<TypeParam> stepping(DType::kFloat32);
  EXPECT_THAT(stepping.error(1e300),
              ::testing::MatchesRegex("\\[(adam|sgd)\\] first becomes -inf at element 0, at "
                                      "learning rate 1e\\+300"));
  Stepping<TypeParam> other(DType::kFloat64);
  other.set(other.parameters.values(), "second", 49, kNaN);
  EXPECT_THAT(other.error(), HasSubstr("] second becomes nan at element 49"));
}

TYPED_TEST(FiniteStep, NamesWhatItRemembers) {
  for (const auto& [key, unused] : Stepping<TypeParam>(DType::kFloat32).optimizer.state()) {
    Stepping<TypeParam> stepping(DType::kFloat32);
    stepping.set(stepping.optimizer.state().at(key), "second", 7, kInf);
    EXPECT_THAT(stepping.error(), ::testing::ContainsRegex(" second .* at element 7")) << key;
  }
}

TYPED_TEST(FiniteStep, TakesValuesWhoseSumIsNotFinite) {
  for (const DType dtype : kFloatingDTypes) {
    Stepping<TypeParam> stepping(dtype);
    const double large = dtype == DType::kFloat32 ? 3e38 : 1.5e308;
    stepping.parameters.values().fill(large);
    EXPECT_EQ(stepping.error(), "no error");
    stepping.parameters.gradients().fill(0);
    EXPECT_EQ(stepping.error(), "no error");
  }
}

// Trains a model whose gradient is `bad` at the third step, and gives the error.
std::string error_of_gradient(double bad, bool sgd, DType dtype, double clip_norm) {
  int calls = 0;
  ToyRun toy({.training = {.clip_norm = clip_norm}, .dtype = dtype, .sgd = sgd},
             [&](ToyRun& run, const Batch& batch, Pass&) {
               ModelOutput output = run.evaluate(batch);
               // The step, and the pass that looks for what went wrong.
               if (calls++ < 2) return output;
               output.terms[0].sum =
                   test::with_rule(output.terms[0].sum, [bad](const Tensor& g, Gradients& grads) {
                     grads.set(0, Tensor::full(g.shape(), bad, g.dtype()));
                   });
               return output;
             });
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  std::string text = error_of([&] { toy.run(); });
  EXPECT_EQ(kept.losses.size(), 2U) << "nobody heard of the step";
  EXPECT_EQ(toy.trainer->state().step, 2);
  return text;
}

TEST(Trainer, NamesTheOperationWhoseGradientIsNotFinite) {
  for (const DType dtype : kFloatingDTypes) {
    for (const bool sgd : {false, true}) {
      for (const double clip_norm : {0.0, 1.0}) {
        EXPECT_THAT(
            error_of_gradient(kNaN, sgd, dtype, clip_norm),
            ::testing::MatchesRegex(
                "\\[train\\] step 2: the gradient of embed.weight is nan at element [0-9]+; "
                "first of all, toy gave nan for the gradient of input 0 at element 0 of "
                "\\(\\): a smaller learning rate may help"));
        EXPECT_THAT(error_of_gradient(kInf, sgd, dtype, clip_norm),
                    StartsWith("[train] step 2: the gradient of "));
      }
    }
  }
}

TEST(Trainer, NamesTheParameterThatAStepMadeInfinite) {
  for (const bool sgd : {false, true}) {
    ToyRun toy({.training = {.lr = 1e45}, .dtype = DType::kFloat32, .sgd = sgd});
    Notes::Kept kept;
    toy.trainer->add(std::make_unique<Notes>(kept));
    EXPECT_THAT(
        error_of([&] { toy.run(); }),
        ::testing::MatchesRegex("\\[train\\] step 0: [a-z.]+ becomes (nan|-?inf) at element "
                                "[0-9]+, at learning rate 1e\\+45: a smaller learning rate "
                                "may help"));
    EXPECT_TRUE(kept.losses.empty()) << "nobody heard of the step";
  }
}

TEST(Trainer, RefusesOptionsThatAreNotFinite) {
  const auto error = [](Trainer::Options options) {
    return error_of([&] { ToyRun({.training = options}); });
  };
  EXPECT_EQ(error({.lr = kNaN}), "[train] lr must be finite and at least 0, not nan");
  EXPECT_EQ(error({.lr = kInf}), "[train] lr must be finite and at least 0, not inf");
  EXPECT_THAT(error({.clip_norm = kNaN}),
              StartsWith("[train] clip_norm must be 0, or finite and at least 2.2"));
  EXPECT_THAT(error({.clip_norm = -1}),
              StartsWith("[train] clip_norm must be 0, or finite and at least 2.2"));
  EXPECT_THAT(error({.clip_norm = 5e-324}),
              StartsWith("[train] clip_norm must be 0, or finite and at least 2.2"));
}

}  // namespace
}  // namespace maskgrad
