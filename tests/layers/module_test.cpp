#include <gmock/gmock.h>

#include <maskgrad/layers/module.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::ElementsAre;

struct Open : Module {
  using Module::parameter;
  using Module::submodule;
};

std::vector<std::string> names_of(Module& module) {
  std::vector<std::string> names;
  for (const NamedParameter& named : module.parameters()) names.push_back(named.name);
  return names;
}

TEST(Module, NamesParametersByTheirPathInTheOrderTheyWereAdded) {
  Open model;
  model.parameter("z", {2}, zeros());
  auto& first = model.submodule("first", std::make_unique<Open>());
  model.submodule("empty", std::make_unique<Open>());
  auto& second = model.submodule("second", std::make_unique<Open>());
  second.parameter("w", {1}, zeros());
  first.submodule("inner", std::make_unique<Open>()).parameter("w", {3, 4}, zeros());
  first.parameter("b", {4}, zeros());
  model.parameter("a", {}, zeros());
  EXPECT_THAT(names_of(model), ElementsAre("z", "a", "first.b", "first.inner.w", "second.w"));
  EXPECT_THAT(names_of(first), ElementsAre("b", "inner.w"));
}

TEST(Module, HandsOutItsOwnParametersNotCopies) {
  Open model;
  Parameter& w = model.parameter("w", {2, 3}, zeros());
  for (int i = 0; i < 100; ++i) model.parameter(fmt::format("p{}", i), {1}, zeros());
  EXPECT_EQ(model.parameters().front().parameter, &w);
  EXPECT_EQ(w.name(), "w");
  EXPECT_EQ(w.shape(), (Shape{2, 3}));
}

TEST(Module, RefusesANameThatIsTaken) {
  Open model;
  model.parameter("w", {1}, zeros());
  model.submodule("part", std::make_unique<Open>());
  for (const char* name : {"w", "part"}) {
    const std::string text = fmt::format("[module] the name '{}' is taken", name);
    EXPECT_EQ(error_of([&] { model.parameter(name, {1}, zeros()); }), text);
    EXPECT_EQ(error_of([&] { model.submodule(name, std::make_unique<Open>()); }), text);
  }
  EXPECT_THAT(names_of(model), ElementsAre("w"));
}

TEST(Module, AllowsTheSameNameInDifferentModules) {
  Open model;
  model.submodule("a", std::make_unique<Open>()).parameter("w", {1}, zeros());
  model.submodule("b", std::make_unique<Open>()).parameter("w", {1}, zeros());
  EXPECT_THAT(names_of(model), ElementsAre("a.w", "b.w"));
}

TEST(Module, RefusesNamesThatAreEmptyOrDotted) {
  Open model;
  for (const char* name : {"", ".", "a.b", "a."}) {
    const std::string text = fmt::format(
        "[module] '{}' is no name for a part: it must not be empty or contain a dot", name);
    EXPECT_EQ(error_of([&] { model.parameter(name, {1}, zeros()); }), text);
    EXPECT_EQ(error_of([&] { model.submodule(name, std::make_unique<Open>()); }), text);
  }
  EXPECT_TRUE(model.parameters().empty());
}

TEST(Parameter, CannotBeUsedBeforeAParameterBufferWasMade) {
  Open model;
  Parameter& q = model.parameter("q", {2}, ones());
  EXPECT_EQ(error_of([&] { ops::add(q, q); }),
            "[q] used before it was given a value; make a ParameterBuffer for the model first");
  const ParameterBuffer parameters(model, DType::kFloat64, 0);
  EXPECT_EQ(error_of([&] { ops::add(q, q); }), "no error");
  EXPECT_TRUE(q.variable().requires_grad());
}

}  // namespace
}  // namespace maskgrad
