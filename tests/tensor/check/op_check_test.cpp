// What check_op() finds in operations whose rule or description is wrong. Faulty versions of the
// registered operations are in ops/mutation_test.cpp.
#include <array>
#include <deque>
#include <functional>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/check/op_check.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::make;
using test::to_doubles;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Outputs = std::vector<Variable>;
using Call = std::function<Outputs(const OpDef& self, const Variable& a, const Variable& b)>;

// An operation on a [2, 2, 2] and b [2], which says of itself what an elementwise product may.
OpDef product_like(const Call& run, const Reads& gradient_of_a = Reads{"b"},
                   std::vector<std::string> outputs = {"output"}) {
  static std::deque<OpDef> kept;  // nodes refer to their description
  OpDef op;
  op.name = "times";
  op.inputs = {{.name = "a", .reach = Reach::kElement, .gradient = gradient_of_a},
               {.name = "b", .reach = Reach::kElement, .gradient = Reads{"a"}}};
  op.outputs = std::move(outputs);
  op.mask_rule = MaskRule::kKeeps;
  op.samples = [](Random&) -> std::vector<OpSample> {
    return {{{{"a", make({1, -2, 3, 4, 5, -6, 7, 8}, {2, 2, 2})}, {"b", make({0.5, -3}, {2})}}}};
  };
  kept.push_back(op);
  op.call = [run, &self = kept.back()](const OpCall& call) {
    return run(self, call.input("a"), call.input("b"));
  };
  kept.back().call = op.call;
  return op;
}

// f(i) for each element, in the shape and dtype of x.
template <class F>
Tensor each(const Tensor& x, F f) {
  std::vector<double> values;
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.numel()); ++i) values.push_back(f(i));
  return make(values, x.shape(), x.dtype());
}

Tensor times(const Tensor& x, const Tensor& z) {
  const std::vector<double> a = to_doubles(x), b = to_doubles(z);
  return each(x, [&](std::size_t i) { return a[i] * b[i % b.size()]; });
}

Variable product(const OpDef& self, const Variable& a, const Variable& b) {
  return record(self, {&a, &b}, times(a.value(), b.value()),
                [a = Saved(self, "a", a.value()), b = Saved(self, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, times(g, *b));
                  if (grads.needed(1)) grads.set(1, times(g, *a));
                });
}

// The product, with another gradient of a.
Call with_gradient_of_a(
    const std::function<Tensor(const Tensor& g, const Tensor& a, const Tensor& b)>& gradient) {
  return [gradient](const OpDef& self, const Variable& a, const Variable& b) -> Outputs {
    return {record(self, {&a, &b}, times(a.value(), b.value()),
                   [gradient, a = Saved(self, "a", a.value()), b = Saved(self, "b", b.value())](
                       const Tensor& g, Gradients& grads) {
                     if (grads.needed(0)) grads.set(0, gradient(g, *a, *b));
                     if (grads.needed(1)) grads.set(1, times(g, *a));
                   })};
  };
}

TEST(CheckOp, HasNothingToSayOfAnOperationThatIsRight) {
  EXPECT_THAT(check_op(product_like([](auto&... all) -> Outputs { return {product(all...)}; })),
              IsEmpty());
}

TEST(CheckOp, RecordsNothingOnATapeOfTheCallerEvenOneThatHasRun) {
  const OpDef op = product_like([](auto&... all) -> Outputs { return {product(all...)}; });
  const Variable x(Tensor::full({}, 1.0, DType::kFloat64), Variable::kRequiresGrad);
  Tape tape;
  EXPECT_THAT(check_op(op), IsEmpty());
  EXPECT_THAT(tape.nodes(), IsEmpty());
  tape.backward(x);
  EXPECT_THAT(check_op(op), IsEmpty());
}

TEST(CheckOp, NamesAnInputThatIsNotRecorded) {
  const OpDef op = product_like([](const OpDef& self, const Variable& a, const Variable& b) {
    return Outputs{
        record(self, {&a}, times(a.value(), b.value()),
               [b = b.value()](const Tensor& g, Gradients& grads) { grads.set(0, times(g, b)); })};
  });
  EXPECT_THAT(check_op(op),
              Contains("does not give its input 'b' to record(), so it gets no gradient"));
}

TEST(CheckOp, NamesEveryInputWhenNoneIsRecorded) {
  const std::vector<std::string> complaints =
      check_op(product_like([](const OpDef&, const Variable& a, const Variable& b) {
        return Outputs{Variable(times(a.value(), b.value()))};
      }));
  EXPECT_THAT(complaints, Contains(HasSubstr("does not give its input 'a' to record()")));
  EXPECT_THAT(complaints, Contains(HasSubstr("does not give its input 'b' to record()")));
}

TEST(CheckOp, NamesAMissingMaskRule) {
  OpDef op = product_like([](auto&... all) -> Outputs { return {product(all...)}; });
  op.mask_rule = MaskRule::kUnset;
  EXPECT_THAT(check_op(op), Contains("has no mask_rule, so it refuses every input with a mask"));
}

TEST(CheckOp, SaysWhatAnOperationThrows) {
  const OpDef op = product_like([](const OpDef& self, const Variable& a, const Variable& b) {
    return Outputs{record(self, {&a, &b}, times(a.value(), b.value()),
                          [](const Tensor& g, Gradients& grads) { grads.set(0, g); })};
  });
  EXPECT_THAT(check_op(op), Contains("throws [times] gave no gradient for input 1"));
}

TEST(CheckOp, FindsAnOutputOfAnotherSizeThanItsDescriptionSays) {
  const OpDef op = product_like([](const OpDef& self, const Variable& a, const Variable& b) {
    const auto in_shape = [](const Tensor& x, const Shape& shape) {
      return make(to_doubles(x), shape, x.dtype());
    };
    return Outputs{record(self, {&a, &b}, in_shape(times(a.value(), b.value()), {4, 1, 2}),
                          SequenceMask(),
                          [=, a = a.value(), b = b.value()](const Tensor& g, Gradients& grads) {
                            const Tensor aligned = in_shape(g, a.shape());
                            if (grads.needed(0)) grads.set(0, times(aligned, b));
                            if (grads.needed(1)) grads.set(1, times(aligned, a));
                          })};
  });
  EXPECT_THAT(check_op(op), Contains(HasSubstr("throws [reach] axis 0 of an input (2, 2, 2)")));
}

TEST(CheckOp, FindsARuleThatReadsWhatWasWrittenToSince) {
  const OpDef op = product_like([](const OpDef& self, const Variable& a, const Variable& b) {
    return Outputs{
        record(self, {&a, &b}, times(a.value(), b.value()),
               [a = a.value(), b = Saved(self, "b", b.value())](const Tensor& g, Gradients& grads) {
                 if (grads.needed(0)) grads.set(0, times(g, *b));
                 if (grads.needed(1)) grads.set(1, times(g, a));
               })};
  });
  EXPECT_THAT(check_op(op),
              ::testing::ElementsAre("gives other gradients when 'a' is written to after the "
                                     "forward pass; what a rule reads must be Saved"));
}

TEST(CheckOp, NamesWhatAGradientCannotRead) {
  const OpDef op =
      product_like([](auto&... all) -> Outputs { return {product(all...)}; }, Reads{"b", "c"});
  EXPECT_THAT(check_op(op), Contains("says that the gradient of 'a' reads 'c', which is none of "
                                     "its inputs and outputs"));
}

// Finite, they are right.
TEST(CheckOp, FindsAGradientThatReadsMoreThanItSays) {
  const Call reads_itself =
      with_gradient_of_a([](const Tensor& g, const Tensor& a, const Tensor& b) {
        const Tensor zero = times(a, make({0}, {1}, a.dtype()));
        const std::vector<double> more = to_doubles(zero), exact = to_doubles(times(g, b));
        return each(g, [&](std::size_t i) { return exact[i] + more[i]; });
      });
  EXPECT_THAT(check_op(product_like(reads_itself)),
              Contains(HasSubstr("at a place of 'a', and it says that it does not depend on")));
  EXPECT_THAT(check_op(product_like(reads_itself, Reads{"a", "b"})), IsEmpty());
  EXPECT_THAT(check_op(product_like(reads_itself, Reads::everything())), IsEmpty());
}

TEST(CheckOp, FindsAGradientThatReadsThoughItSaysItReadsNothing) {
  EXPECT_THAT(check_op(product_like([](auto&... all) -> Outputs { return {product(all...)}; },
                                    Reads::nothing())),
              Contains(HasSubstr("at a place of 'b', and it says that it does not depend on")));
}

TEST(CheckOp, FindsAGradientThatReadsAnotherPlaceOfTheOneThatArrives) {
  const Call reads_first = with_gradient_of_a([](const Tensor& g, const Tensor&, const Tensor& b) {
    const std::vector<double> exact = to_doubles(times(g, b)), all = to_doubles(g);
    return each(g, [&](std::size_t i) { return exact[i] + 0 * all[0]; });
  });
  EXPECT_THAT(check_op(product_like(reads_first)),
              Contains(HasSubstr("at a place of the gradient that arrives")));
}

TEST(CheckOp, SaysOneMistakeOnceForEachThingThatItSpoils) {
  const Call reads_first = [](const OpDef& self, const Variable& a, const Variable& b) {
    const std::vector<double> exact = to_doubles(times(a.value(), b.value()));
    const double first = to_doubles(a.value())[0];
    const Tensor y = each(a.value(), [&](std::size_t i) { return exact[i] + first; });
    return Outputs{record(self, {&a, &b}, y,
                          [a = Saved(self, "a", a.value()), b = Saved(self, "b", b.value())](
                              const Tensor& g, Gradients& grads) {
                            if (grads.needed(0)) grads.set(0, times(g, *b));
                            if (grads.needed(1)) grads.set(1, times(g, *a));
                          })};
  };
  const std::string tail = ", and it says that it does not depend on that";
  EXPECT_THAT(check_op(product_like(reads_first)),
              ::testing::ElementsAre(::testing::StartsWith("gradient of output: a[0] of (2, 2, 2)"),
                                     "output 'output' at element 1 of (2, 2, 2) changes with 3.75 "
                                     "at a place of 'a'" +
                                         tail));
}

TEST(CheckOp, FindsAnArgumentThatIsNotRecorded) {
  const auto op = [](double told) {
    static std::deque<OpDef> kept;
    OpDef scaled = product_like({});
    scaled.inputs.resize(1);
    scaled.inputs[0].gradient = Reads::nothing();
    scaled.args = {{"factor", 1.0}};
    scaled.samples = [](Random&) -> std::vector<OpSample> {
      return {{{{"a", make({1, -2}, {2})}}, {{"factor", 3.0}}}};
    };
    kept.push_back(scaled);
    kept.back().call = [told, &self = kept.back()](const OpCall& call) -> Outputs {
      const Variable& a = call.input("a");
      const Tensor factor = make({call.arg<double>("factor")}, {1});
      return {
          record(self, {&a}, times(a.value(), factor),
                 [factor](const Tensor& g, Gradients& grads) { grads.set(0, times(g, factor)); },
                 {{"factor", told}})};
    };
    return kept.back();
  };
  EXPECT_THAT(check_op(op(3)), IsEmpty());
  EXPECT_THAT(check_op(op(2)), Contains(HasSubstr("record() must be told of all inputs")));
}

// A rule that sums what was broadcast by itself must leave out what the tape would have dropped.
TEST(CheckOp, FindsASumOverHoles) {
  const OpDef op = product_like([](const OpDef& self, const Variable& a, const Variable& b) {
    return Outputs{record(self, {&a, &b}, times(a.value(), b.value()),
                          [a = a.value(), b = b.value()](const Tensor& g, Gradients& grads) {
                            if (grads.needed(0)) grads.set(0, times(g, b));
                            if (!grads.needed(1)) return;
                            const std::vector<double> terms = to_doubles(times(g, a));
                            std::vector<double> sums(2);
                            for (std::size_t i = 0; i < terms.size(); ++i) sums[i % 2] += terms[i];
                            grads.set(1, make(sums, {2}, g.dtype()));
                          })};
  });
  EXPECT_THAT(check_op(op),
              Contains(HasSubstr("the gradient of 'b' at element 0 of (2,) changes")));
  EXPECT_THAT(check_op(op), Contains(HasSubstr("in the holes of a mask")));
}

// The product, and twice a, computed so and with this factor backward.
OpDef with_second_output(const std::function<double(const std::vector<double>&, std::size_t)>& f,
                         double back) {
  return product_like(
      [f, back](const OpDef& self, const Variable& a, const Variable& b) -> Outputs {
        const std::vector<double> in = to_doubles(a.value());
        std::array<OpOutput, 2> made = {
            OpOutput{times(a.value(), b.value()), a.mask()},
            OpOutput{each(a.value(), [&](std::size_t i) { return f(in, i); }), a.mask()}};
        const auto rule = [back, a = Saved(self, "a", a.value()), b = Saved(self, "b", b.value())](
                              std::span<Tensor> g, Gradients& grads) {
          const Tensor none = Tensor::zeros(a.shape(), a->dtype());
          const Tensor &of_product = g[0].defined() ? g[0] : none,
                       &of_second = g[1].defined() ? g[1] : none;
          const std::vector<double> first = to_doubles(times(of_product, *b)),
                                    second = to_doubles(of_second);
          grads.set(0, each(*a, [&](std::size_t i) { return first[i] + back * second[i]; }));
          grads.set(1, times(of_product, *a));
        };
        std::vector<Variable> results(2);
        record(self, {&a, &b}, made, results, rule);
        return results;
      },
      Reads{"b"}, {"output", "doubled"});
}

TEST(CheckOp, LooksAtEveryOutput) {
  const auto twice = [](const std::vector<double>& a, std::size_t i) { return 2 * a[i]; };
  EXPECT_THAT(check_op(with_second_output(twice, 2)), IsEmpty());
  EXPECT_THAT(check_op(with_second_output(twice, 3)), Contains(HasSubstr("gradient of doubled: ")));
  const auto reads_first = [](const std::vector<double>& a, std::size_t i) {
    return 2 * a[i] + 0 * a[0];
  };
  EXPECT_THAT(check_op(with_second_output(reads_first, 2)),
              Contains(HasSubstr("output 'doubled' at element 1 of (2, 2, 2) changes with inf at a "
                                 "place of 'a'")));
}

}  // namespace
}  // namespace maskgrad
