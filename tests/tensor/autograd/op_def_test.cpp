#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/op_def.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using Ints = std::vector<std::int64_t>;

// Gives back the arguments that it was called with.
const OpDef& kEcho = register_op({
    .name = "test_echo",
    .summary = "for these tests",
    .inputs =
        {{.name = "input", .reach = Reach::kElement},
         {.name = "tokens", .dtypes = DTypes::kInteger, .differentiable = false, .optional = true}},
    .args = {{"scale", 2.0}, {"flag", true}, {"axis", std::int64_t{-1}}, {"shape", Ints{3}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const double sum = call.arg<double>("scale") + 100 * call.arg<bool>("flag") +
                         1000 * static_cast<double>(call.arg<std::int64_t>("axis")) +
                         10000 * static_cast<double>(call.arg<Ints>("shape").front());
      return {call.input("input"), Variable(make({sum}, {})),
              call.has("tokens") ? call.input("tokens") : Variable()};
    },
    .samples = nullptr,
});

OpCall with_input() { return {.inputs = {{"input", Variable(make({1}, {1}))}}, .args = {}}; }

TEST(Registry, HoldsWhatWasRegistered) {
  EXPECT_TRUE(registry().contains("test_echo"));
  EXPECT_EQ(&find_op("test_echo"), &kEcho);
  EXPECT_EQ(&registry().at("test_echo"), &kEcho);
}

TEST(Registry, TakesANameOnce) {
  EXPECT_EQ(error_of([] { register_op(find_op("test_echo")); }),
            "[register_op] 'test_echo' is registered twice");
  EXPECT_EQ(find_op("test_echo").summary, "for these tests");
}

TEST(Registry, SuggestsANameThatIsNear) {
  EXPECT_EQ(error_of([] { find_op("test_ecco"); }),
            "[test_ecco] is no operation; did you mean 'test_echo'?");
  EXPECT_EQ(error_of([] { find_op("convolution"); }), "[convolution] is no operation");
}

TEST(RunOp, FillsInTheDefaultsOfArguments) {
  EXPECT_EQ(run_op(kEcho, with_input())[1].item(), 2 + 100 - 1000 + 30000);
  OpCall call = with_input();
  call.args = {{"scale", 5.0}, {"flag", false}, {"axis", std::int64_t{0}}, {"shape", Ints{7}}};
  EXPECT_EQ(run_op(kEcho, call)[1].item(), 5 + 70000);
}

TEST(RunOp, TakesAnIntegerForAReal) {
  OpCall call = with_input();
  call.args = {{"scale", std::int64_t{7}}};
  EXPECT_EQ(run_op(kEcho, call)[1].item(), 7 + 100 - 1000 + 30000);
}

TEST(RunOp, PassesOptionalInputsWhereTheyAreGiven) {
  OpCall call = with_input();
  EXPECT_FALSE(run_op(kEcho, call)[2].defined());
  call.inputs["tokens"] = Variable(make({4}, {1}, DType::kInt32));
  EXPECT_EQ(run_op(kEcho, call)[2].item(), 4);
}

TEST(RunOp, NamesAnInputThatIsMissingUnknownOrOfAWrongType) {
  EXPECT_EQ(error_of([] { run_op(kEcho, {}); }), "[test_echo] input 'input' is missing");
  OpCall call = with_input();
  call.inputs["weight"] = Variable(make({4}, {1}));
  EXPECT_EQ(error_of([&] { run_op(kEcho, call); }), "[test_echo] has no input 'weight'");
  call = with_input();
  call.inputs["tokens"] = Variable(make({4}, {1}));
  EXPECT_EQ(error_of([&] { run_op(kEcho, call); }),
            "[test_echo] input 'tokens' is float64, it must be int32, int64");
}

TEST(RunOp, NamesAnArgumentThatIsUnknownOrOfAWrongType) {
  const auto run = [](const char* name, ArgValue value) {
    OpCall call = with_input();
    call.args = {{name, std::move(value)}};
    return error_of([&] { run_op(kEcho, call); });
  };
  EXPECT_EQ(run("sclae", 1.0), "[test_echo] has no argument 'sclae'");
  EXPECT_EQ(run("scale", true), "[test_echo] argument 'scale' has the wrong type");
  EXPECT_EQ(run("axis", 1.0), "[test_echo] argument 'axis' has the wrong type");
  EXPECT_EQ(run("flag", std::int64_t{1}), "[test_echo] argument 'flag' has the wrong type");
  EXPECT_EQ(run("shape", std::string("3")), "[test_echo] argument 'shape' has the wrong type");
}

TEST(RunOp, GivesANumberToItsArgumentWithoutChangeOrRefusesIt) {
  const auto run = [](const char* name, ArgValue value) {
    OpCall call = with_input();
    call.args = {{name, std::move(value)}};
    return error_of([&] { run_op(kEcho, call); });
  };
  constexpr std::int64_t kOdd = 9007199254740993;  // 2^53 + 1: no double
  EXPECT_EQ(run("scale", kOdd - 1), "no error");
  EXPECT_EQ(run("scale", kOdd), "[test_echo] argument 'scale': 9007199254740993 is no float64");
  EXPECT_EQ(run("scale", Scalar(2)), "no error");
  EXPECT_EQ(run("axis", Scalar(std::int64_t{-2})), "no error");
  EXPECT_EQ(run("axis", Scalar(1.0)), "[test_echo] argument 'axis' has the wrong type");
  EXPECT_EQ(run("axis", Scalar(~std::uint64_t{0})),
            "[test_echo] argument 'axis': 18446744073709551615 is no int64");
  EXPECT_EQ(run("flag", Scalar(true)), "no error");
  EXPECT_EQ(run("flag", Scalar(1)), "[test_echo] argument 'flag' has the wrong type");
}

TEST(OpDef, HasAGradientWhenAnInputHas) {
  EXPECT_TRUE(kEcho.has_gradient());
  OpDef op = kEcho;
  for (InputSpec& input : op.inputs) input.differentiable = false;
  EXPECT_FALSE(op.has_gradient());
}

TEST(DTypes, NameTheirMembers) {
  EXPECT_EQ(to_string(DTypes::kFloating), "float32, float64");
  EXPECT_EQ(to_string(DTypes::kInteger), "int32, int64");
  EXPECT_EQ(to_string(DTypes::kBool), "bool");
  EXPECT_EQ(to_string(DTypes::kAny), "float32, float64, int32, int64, bool");
  EXPECT_TRUE(contains(DTypes::kInteger, DType::kInt32));
  EXPECT_FALSE(contains(DTypes::kInteger, DType::kBool));
  EXPECT_FALSE(contains(DTypes::kFloating, DType::kInt64));
}

// Counts its repeated inputs.
const OpDef& kCount = register_op({
    .name = "test_count",
    .summary = "for these tests",
    .inputs = {{.name = "mask", .dtypes = DTypes::kBool, .repeated = true},
               {.name = "values", .repeated = true}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      double sum = 0;
      for (const Variable& x : call.repeated("values")) sum = 10 * sum + x.item();
      return {Variable(make({static_cast<double>(call.repeated("mask").size()), sum}, {2}))};
    },
    .samples = nullptr,
});

OpCall with_values(std::initializer_list<const char*> names) {
  OpCall call;
  double next = 1;
  for (const char* name : names) call.inputs[name] = Variable(make({next++}, {1}));
  return call;
}

TEST(RepeatedInputs, ComeInTheOrderOfTheirNumbers) {
  const auto y = run_op(kCount, with_values({"values0", "values1", "values2"})).front();
  EXPECT_THAT(test::to_doubles(y.value()), ::testing::ElementsAre(0, 123));
  EXPECT_THAT(test::to_doubles(run_op(kCount, {}).front().value()), ::testing::ElementsAre(0, 0));
}

TEST(RepeatedInputs, AreKnownByNameAndNumber) {
  EXPECT_EQ(kCount.find_input("values12"), &kCount.inputs[1]);
  EXPECT_EQ(kCount.find_input("mask0"), &kCount.inputs[0]);
  for (const char* name : {"values", "values01", "values-1", "values1x", "value0", ""}) {
    EXPECT_EQ(kCount.find_input(name), nullptr) << name;
  }
}

TEST(RepeatedInputs, AreRecordedInTurnBehindTheOthers) {
  OpDef op;
  op.name = "test_turns";
  op.inputs = {{.name = "x"},
               {.name = "weight", .repeated = true},
               {.name = "mask", .differentiable = false, .repeated = true},
               {.name = "bias", .repeated = true}};
  const auto names = [&] {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < 5; ++i) found.push_back(op.recorded_name(i));
    return found;
  };
  EXPECT_THAT(names(), ::testing::ElementsAre("x", "weight0", "bias0", "weight1", "bias1"));
  EXPECT_EQ(&op.recorded(4), &op.inputs[3]);
  op.inputs.pop_back();
  EXPECT_THAT(names(), ::testing::ElementsAre("x", "weight0", "weight1", "weight2", "weight3"));
  op.inputs.erase(op.inputs.begin() + 1);
  EXPECT_EQ(op.recorded_name(0), "x");
  EXPECT_EQ(error_of([&] { op.recorded(1); }), "[test_turns] has no input 1 to be recorded");
}

TEST(RepeatedInputs, HaveNoGapsAndTheirDType) {
  EXPECT_EQ(error_of([] {
              run_op(kCount, with_values({"values0", "values2"}));
            }),
            "[test_count] input 'values1' is missing");
  EXPECT_EQ(error_of([] { run_op(kCount, with_values({"mask0"})); }),
            "[test_count] input 'mask0' is float64, it must be bool");
  EXPECT_EQ(error_of([] { run_op(kCount, with_values({"values"})); }),
            "[test_count] has no input 'values'");
}

}  // namespace
}  // namespace maskgrad
