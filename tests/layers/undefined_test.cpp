// Layers and parameters that were never given a value say so.
#include "support/undefined.hpp"

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::expect_used_before_a_value;

TEST(Undefined, InputOfALayerIsAnError) {
  Sequential model;
  model.add<Masking>("masking").add<Embed>("embed", 5, 4).add<Reflect>("reflect", 4);
  model.add<LayerNorm>("norm", 4).add<Dense>("dense", 4, 4).add<GlobalPool>("pool");
  model.add<Reshape>("reshape", std::vector<std::int64_t>{4});
  const ParameterBuffer parameters(model, DType::kFloat32, 0);
  expect_used_before_a_value({{"Sequential", [&] { model(Variable()); }},
                              {"explain_packing", [&] { model.explain_packing(Variable()); }},
                              {"summarize", [&] { model.summarize(Variable()); }}});
  for (const char* name : {"masking", "embed", "reflect", "norm", "dense", "pool", "reshape"}) {
    Layer& layer = model.layer(name);
    EXPECT_EQ(error_of([&] { layer(Variable()); }),
              fmt::format("[{}] in layer '{}': its input was used before it was given a value",
                          layer.kind(), name));
  }
  auto& reflect = dynamic_cast<Reflect&>(model.layer("reflect"));
  expect_used_before_a_value({{"pairs", [&] { reflect.pairs({}); }}});
}

TEST(Undefined, InputOfAPassIsAnError) {
  Pass pass;
  expect_used_before_a_value({{"attention", [&] { pass.attention(Variable()); }},
                              {"positions", [&] { pass.positions(Variable()); }},
                              {"on_row", [&] { pass.on_row({}); }}});
}

TEST(Undefined, OutputOfALayerIsAnError) {
  struct Forgetful : Layer {
    Forgetful() : Layer("Forgetful") {}
    Variable forward(const Variable&, Pass&) override { return {}; }
  };
  EXPECT_EQ(error_of([] { Forgetful()(Variable(Tensor::zeros({1}, DType::kFloat32))); }),
            "[Forgetful] its output was used before it was given a value");
}

TEST(Undefined, ParameterIsAnErrorUntilABufferIsMade) {
  Dense layer(2, 2);
  expect_used_before_a_value({{"variable", [&] { layer.parameters()[0].parameter->variable(); }},
                              {"layer", [&] {
                                 layer(Variable(Tensor::zeros({1, 2}, DType::kFloat32)));
                               }}});
}

TEST(Undefined, ParameterToLoadIsNamedAndNothingIsChanged) {
  struct Scalars : Module {
    Scalars() : a(parameter("a", {}, ones())), b(parameter("b", {}, ones())) {}
    Parameter &a, &b;
  } model;
  ParameterBuffer parameters(model, DType::kFloat32, 0);
  const Tensor two = Tensor::full({}, 2, DType::kFloat32);
  EXPECT_EQ(error_of([&] {
              parameters.load({{"a", two}, {"b", Tensor()}});
            }),
            "[weights] b was used before it was given a value");
  EXPECT_EQ(model.a.variable().item(), 1);
}

TEST(Undefined, InitializersAndModulesAreRefused) {
  struct Open : Module {
    void add_parameter() { parameter("w", {1}, nullptr); }
    void add_module() { submodule("part", std::unique_ptr<Dense>()); }
  };
  EXPECT_EQ(error_of([] { Open().add_parameter(); }), "[module] parameter 'w' has no initializer");
  EXPECT_EQ(error_of([] { Open().add_module(); }), "[module] 'part' is no module");
}

}  // namespace
}  // namespace maskgrad
