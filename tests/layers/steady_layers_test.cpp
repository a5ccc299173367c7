// Training steps of layers that a step repeats ask the system for no memory.
#include <functional>
#include <memory>

#include <maskgrad/layers/adaptive_attention/adaptive_span.hpp>
#include <maskgrad/layers/adaptive_attention/gated_attention.hpp>
#include <maskgrad/layers/adaptive_attention/task_attention.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/gates/gate.hpp>
#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/layers/gates/glu.hpp>
#include <maskgrad/layers/gates/highway.hpp>
#include <maskgrad/layers/gates/prunable_feed_forward.hpp>
#include <maskgrad/layers/gates/threshold_gate.hpp>
#include <maskgrad/layers/learned_mask/learned_mask.hpp>
#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/layers/task_gate/task_gate.hpp>
#include <maskgrad/layers/task_gate/task_query.hpp>

#include "layers/support.hpp"
#include "support/allocations.hpp"

namespace maskgrad {
namespace {

constexpr std::int64_t kFeatures = 8;
const std::vector<std::int64_t> kWindows = {1, 3};

Experts experts() {
  Experts all;
  for (int c = 0; c < 3; ++c) all.push_back(std::make_unique<Dense>(kFeatures, kFeatures));
  return all;
}

class SteadyLayers : public test::CountsAllocations {
 protected:
  using Call = std::function<Variable(const Variable& x, Pass& pass)>;

  // How often a step allocates when it has run before, with a mask and without, and as inference.
  static void expect_none(const std::string& of, Module& model, const Call& call) {
    ParameterBuffer parameters(model, DType::kFloat32, 1);
    const Tensor g = Tensor::full({3, 5, kFeatures}, 1, DType::kFloat32);
    for (const SequenceMask& mask :
         {SequenceMask(), test::mask_of({1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, {3, 5})}) {
      Random random(1);
      const Variable x(test::uniform(random, g.shape()).to(DType::kFloat32), Variable::kConstant,
                       mask);
      std::uint64_t steps = 0;
      const auto step = [&] {
        parameters.clear_gradients();
        {
          Tape tape;
          Pass pass = Pass::training(1, ++steps);
          tape.backward(call(x, pass), g);
        }
        Pass pass;
        call(x, pass);
      };
      for (int i = 0; i < 3; ++i) step();
      EXPECT_EQ(counted(step), 0) << of << ", the last of " << test::last_size << " bytes";
    }
  }
  static void expect_none(Layer& layer) {
    expect_none(layer.kind(), layer, [&](const Variable& x, Pass& pass) { return layer(x, pass); });
  }
};

TEST_F(SteadyLayers, GatesAllocateNothing) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (const bool each : {false, true}) {
    layers.push_back(std::make_unique<Gate>(kFeatures, GateOptions{.each_feature = each}));
  }
  layers.push_back(std::make_unique<ThresholdGate>(kFeatures));
  layers.push_back(std::make_unique<Highway>(kFeatures));
  layers.push_back(std::make_unique<GatedFeedForward>(kFeatures, kFeatures));
  layers.push_back(std::make_unique<Glu>(kFeatures, kFeatures));
  for (const bool hard : {false, true}) {
    layers.push_back(std::make_unique<PrunableFeedForward>(
        kFeatures, kFeatures, PrunableFeedForwardOptions{.hard = hard}));
  }
  for (const auto& layer : layers) expect_none(*layer);
}

TEST_F(SteadyLayers, RecurrentNetworksAllocateNothing) {
  Lstm lstm(kFeatures, kFeatures / 2, {.layers = 2, .bidirectional = true});
  expect_none(lstm);
  Gru gru(kFeatures, kFeatures / 2, {.layers = 2, .bidirectional = true});
  expect_none(gru);
}

TEST_F(SteadyLayers, LearnedMasksAllocateNothing) {
  for (const std::string& name : sampler_names()) {
    LearnedMask mask(kFeatures, make_sampler(name));
    expect_none(name, mask, [&](const Variable& x, Pass& pass) {
      if (!pass.is_training()) return mask(x, pass);
      const LearnedMask::Drawn drawn = mask.draw(x, pass);
      sparsity_cost(drawn.kept);
      const Variable& likely = drawn.sample.log_probability;
      return likely.defined() ? times_keep(drawn.y, likely) : drawn.y;
    });
  }
}

TEST_F(SteadyLayers, AdaptiveAttentionAllocatesNothing) {
  WindowAttention windows(kFeatures, kWindows);
  expect_none(windows);
  AdaptiveSpan span(kFeatures, 2, 3);
  expect_none(span);
  for (const HeadGates gates : {HeadGates::kSoft, HeadGates::kHard}) {
    GatedAttention gated(kFeatures, 2, {.head_gates = gates});
    expect_none(gated);
  }
  const Tensor tasks = test::make({1, 0, 2}, {3}, DType::kInt64);
  for (const TaskOwns owns : {TaskOwns::kProjections, TaskOwns::kBias}) {
    TaskAttention attention(kFeatures, 2, 3, {.owns = owns});
    expect_none(attention.kind(), attention,
                [&](const Variable& x, Pass& pass) { return attention.attend(x, tasks, pass); });
  }
}

TEST_F(SteadyLayers, MixturesOfExpertsAllocateNothing) {
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    TaskGate gate(kFeatures, experts(), mixing);
    TaskQuery query(kFeatures, 2, experts(), mixing);
    for (ExpertMixture* mixture :
         {static_cast<ExpertMixture*>(&gate), static_cast<ExpertMixture*>(&query)}) {
      expect_none(mixture->kind(), *mixture, [&](const Variable& x, Pass& pass) {
        const Choice choice = mixture->choose(x, pass, 0.5);
        mutual_information(choice);
        return mixture->mix(choice, x, pass);
      });
    }
  }
}

}  // namespace
}  // namespace maskgrad
