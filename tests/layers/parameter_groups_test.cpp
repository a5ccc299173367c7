// Groups of parameters: who owns what, and where it lies.
#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::ElementsAre;

// a.weight, a.bias, b.weight, b.bias
struct Model : Sequential {
  Model() { add<Dense>("a", 3, 5).add<Dense>("b", 5, 2); }
};

bool is_of_a(std::string_view name, const Shape&) { return name.starts_with("a."); }

std::vector<std::string> names(const ParameterBuffer& parameters) {
  std::vector<std::string> all;
  for (const auto& entry : parameters.entries()) all.push_back(entry.name);
  return all;
}

TEST(ParameterGroups, AreOneThatOwnsAllUnlessGiven) {
  Model model;
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  ASSERT_EQ(parameters.groups().size(), 1U);
  EXPECT_EQ(parameters.groups()[0].first, 0);
  EXPECT_EQ(parameters.groups()[0].end, parameters.values().numel());
  EXPECT_EQ(parameters.groups()[0].group.lr_factor, 1.0);
  EXPECT_EQ(parameters.groups()[0].group.weight_decay, 0.0);
  EXPECT_THAT(names(parameters), ElementsAre("a.weight", "a.bias", "b.weight", "b.bias"));
}

TEST(ParameterGroups, EachLieInOneFlatSpanWithTheirStartingValues) {
  Model plain, grouped;
  const ParameterBuffer expected(plain, DType::kFloat64, 4);
  const ParameterBuffer parameters(
      grouped, DType::kFloat64, 4, {},
      {{.name = "decay", .owns = is_matrix}, {.name = "none", .owns = is_of_a}, {"rest", is_any}});
  EXPECT_THAT(names(parameters), ElementsAre("a.weight", "b.weight", "a.bias", "b.bias"));
  std::int64_t end = 0;
  for (const auto& span : parameters.groups()) {
    EXPECT_EQ(span.first, end);
    EXPECT_EQ(span.first % 16, 0);
    end = span.end;
  }
  EXPECT_EQ(end, parameters.values().numel());
  for (const auto& entry : parameters.entries()) {
    const auto& span = parameters.groups().at(entry.group);
    EXPECT_GE(entry.first, span.first) << entry.name;
    EXPECT_LE(entry.first + entry.parameter->shape().numel(), span.end) << entry.name;
  }
  for (const auto& [name, value] : expected.named_values()) {
    EXPECT_TRUE(test::same_bits(parameters.named_values().at(name), value)) << name;
  }
}

TEST(ParameterGroups, ThatAreFrozenTakeNoGradient) {
  Model model;
  ParameterBuffer parameters(
      model, DType::kFloat64, 1, {},
      {{.name = "frozen", .owns = is_of_a, .frozen = true}, {.name = "rest", .owns = is_any}});
  const auto gradients = [&] {
    parameters.clear_gradients();
    Tape tape;
    tape.backward(ops::sum(model(Variable(Tensor::full({2, 3}, 1.0, DType::kFloat64)))));
    return parameters.gradients();
  };
  for (int pass = 0; pass < 2; ++pass) {
    const Tensor all = gradients();
    for (const auto& entry : parameters.entries()) {
      const auto found = test::to_doubles(all.view(entry.first, entry.parameter->shape()));
      const bool is_zero = std::all_of(found.begin(), found.end(), [](double g) { return g == 0; });
      EXPECT_EQ(is_zero, entry.name.starts_with("a.")) << entry.name;
    }
  }
  ASSERT_EQ(parameters.leaves().size(), 2U);
  EXPECT_EQ(parameters.leaves()[0].name, "b.weight");
  EXPECT_EQ(parameters.count(), 3 * 5 + 5 + 5 * 2 + 2);
}

TEST(ParameterGroups, KeepTheirWeightsApartFromHowTheyAreGrouped) {
  Model from, to;
  const ParameterBuffer plain(from, DType::kFloat32, 7);
  ParameterBuffer grouped(to, DType::kFloat32, 8, {}, {{"decay", is_matrix}, {"rest", is_any}});
  grouped.load(plain.named_values());
  for (const auto& [name, value] : plain.named_values()) {
    EXPECT_TRUE(test::same_bits(grouped.named_values().at(name), value)) << name;
  }
}

TEST(ParameterGroups, ThatMakeNoSenseAreRefused) {
  const auto making = [](std::vector<ParameterGroup> groups) {
    return error_of([&] {
      Model model;
      ParameterBuffer(model, DType::kFloat32, 1, {}, std::move(groups));
    });
  };
  EXPECT_EQ(making({{"a", is_of_a}}), "[parameters] no group owns 'b.weight' (5, 2)");
  EXPECT_EQ(making({{"a", is_of_a}, {"a", is_any}}), "[parameters] two groups are called 'a'");
  EXPECT_EQ(making({{"a", nullptr}}), "[parameters] group 'a' does not say what it owns");
  EXPECT_EQ(making({{"a", is_any, -1.0}}),
            "[parameters] group 'a': lr_factor must be finite and at least 0, not -1");
  EXPECT_EQ(making({{"a", is_any, 1.0, test::kNaN}}),
            "[parameters] group 'a': weight_decay must be finite and at least 0, not nan");
  EXPECT_EQ(making({{"none", [](auto, auto&) { return false; }}, {"all", is_any}}), "no error");
}

}  // namespace
}  // namespace maskgrad
