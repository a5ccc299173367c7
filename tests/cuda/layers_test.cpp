// Layers on a device: the CPU's numbers, or an error that says which kernel is missing. None reads
// the device's memory on the host unseen, and none brings a constant that stayed on the host.
#include <functional>

#include <gmock/gmock.h>

#include <maskgrad/layers.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/masks.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using ::testing::HasSubstr;

constexpr std::int64_t kFeatures = 8;

struct Case {
  std::string name;
  std::function<std::unique_ptr<Layer>()> make;
  bool runs = false;  // all its kernels are there
  // How often the host waits for a device in a training step, where all its kernels are there.
  std::uint64_t waits = 0;
  std::function<Variable(Layer& layer, const Variable& x, Pass& pass)> call =
      [](Layer& layer, const Variable& x, Pass& pass) { return layer(x, pass); };
};

template <class L, class... Args>
Case layer(const std::string& name, Args... args) {
  return {name, [=] { return std::make_unique<L>(args...); }};
}
template <class L, class... Args>
Case running(const std::string& name, Args... args) {
  Case made = layer<L>(name, args...);
  made.runs = true;
  return made;
}

template <class L>
Case mixture(const std::string& name, Mixing mixing) {
  return {name, [=] {
            Experts experts;
            for (int c = 0; c < 3; ++c) {
              experts.push_back(std::make_unique<Dense>(kFeatures, kFeatures));
            }
            if constexpr (std::is_same_v<L, TaskQuery>) {
              return std::make_unique<L>(kFeatures, 2, std::move(experts), mixing);
            } else {
              return std::make_unique<L>(kFeatures, std::move(experts), mixing);
            }
          }};
}

std::vector<Case> cases() {
  const TransformerOptions transformer = {
      .features = kFeatures, .heads = 2, .layers = 2, .dropout = 0.2};
  std::vector<Case> all = {
      running<Dense>("Dense", kFeatures, std::int64_t{3}),
      running<FeedForward>("FeedForward", kFeatures, std::int64_t{12}),
      running<SinusoidalPositions>("SinusoidalPositions"),
      running<Gate>("Gate", kFeatures),
      running<Glu>("Glu", kFeatures, std::int64_t{5}),
      running<Highway>("Highway", kFeatures),
      running<ThresholdGate>("ThresholdGate", kFeatures),
      running<GatedFeedForward>("GatedFeedForward", kFeatures, kFeatures),
      running<PrunableFeedForward>("PrunableFeedForward", kFeatures, kFeatures),
      running<PrunableFeedForward>("HardPrunableFeedForward", kFeatures, kFeatures,
                                   PrunableFeedForwardOptions{.hard = true}),
      running<HardMask>("HardMask", kFeatures),
      running<Lstm>("Lstm", kFeatures, std::int64_t{5}, LstmOptions{.layers = 2}),
      running<Gru>("Gru", kFeatures, std::int64_t{5}, GruOptions{.layers = 2}),
      layer<Lstm>("LstmOfTwoDirections", kFeatures, std::int64_t{4},
                  LstmOptions{.bidirectional = true}),
      layer<SoftmaxGate>("SoftmaxGate", kFeatures, std::int64_t{3}),
      layer<LayerNorm>("LayerNorm", kFeatures),
      layer<RMSNorm>("RMSNorm", kFeatures),
      layer<Dropout>("Dropout", 0.3),
      layer<GlobalPool>("MeanPool"),
      layer<GlobalPool>("MaxPool", Pooling::kMax),
      layer<LearnedPositions>("LearnedPositions", std::int64_t{9}, kFeatures),
      layer<MultiHeadAttention>("MultiHeadAttention", kFeatures, std::int64_t{2}),
      layer<MultiHeadAttention>(
          "RotaryAttention", kFeatures, std::int64_t{2},
          MultiHeadAttentionOptions{.key_heads = 1, .rotary = ops::RotaryOptions{}}),
      layer<WindowAttention>("WindowAttention", kFeatures, std::vector<std::int64_t>{1, 3}),
      layer<AdaptiveSpan>("AdaptiveSpan", kFeatures, std::int64_t{2}, std::int64_t{3}),
      layer<GatedAttention>("SoftGatedAttention", kFeatures, std::int64_t{2},
                            GatedAttentionOptions{.head_gates = HeadGates::kSoft}),
      layer<GatedAttention>("HardGatedAttention", kFeatures, std::int64_t{2},
                            GatedAttentionOptions{.head_gates = HeadGates::kHard}),
      layer<TaskAttention>("TaskAttention", kFeatures, std::int64_t{2}, std::int64_t{1}),
      layer<Encoder>("Encoder", transformer),
      layer<Decoder>("Decoder", transformer),
      mixture<TaskGate>("SoftTaskGate", Mixing::kSoft),
      mixture<TaskGate>("BestTaskGate", Mixing::kBest),
      mixture<TaskQuery>("SoftTaskQuery", Mixing::kSoft),
      mixture<TaskQuery>("BestTaskQuery", Mixing::kBest)};
  for (Case& c : all) c.waits = c.name == "HardMask";
  // Layers that are called in another way, and what is computed of choices.
  const auto with_choice = [&](const std::string& name, auto f) {
    Case c = mixture<TaskGate>(name, Mixing::kSoft);
    c.call = [f](Layer& layer, const Variable& x, Pass& pass) {
      return f(dynamic_cast<TaskGate&>(layer).choose(x, pass, 0.5));
    };
    all.push_back(c);
  };
  with_choice("MutualInformation", [](const Choice& choice) { return mutual_information(choice); });
  with_choice("MixtureLoss", [](const Choice& choice) {
    return mixture_loss(choice.shares, ops::negate(choice.shares), 0.5);
  });
  all.push_back(layer<MultiHeadAttention>("AttendKept", kFeatures, std::int64_t{2}));
  all.back().call = [](Layer& layer, const Variable& x, Pass& pass) {
    const Variable keep = ops::sigmoid(ops::sum(x, {2}));
    return dynamic_cast<MultiHeadAttention&>(layer).attend_kept(x, keep, pass);
  };
  for (const MaskAxis axis : {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone}) {
    all.push_back(layer<Reflect>(fmt::format("Reflect_{}", to_string(axis)), kFeatures, axis));
  }
  for (const std::string& sampler : sampler_names()) {
    std::string name = "LearnedMask_" + sampler;
    std::replace(name.begin(), name.end(), '-', '_');
    all.push_back({name,
                   [=] { return std::make_unique<LearnedMask>(kFeatures, make_sampler(sampler)); },
                   /*runs=*/true});
  }
  return all;
}

struct Results {
  // The output in training and in inference, and the gradients of the input and of all parameters,
  // brought to the host.
  std::vector<Tensor> all;
  std::uint64_t waits;
};

Results run(const Case& c, DType dtype, Device device, const SequenceMask& mask) {
  const std::unique_ptr<Layer> layer = c.make();
  ParameterBuffer parameters(*layer, dtype, 7, device);
  Random random(8);
  const Variable x =
      test::leaf(test::uniform(random, {3, 5, kFeatures}, -1, 1).to(dtype).to(device), mask);
  const std::uint64_t before = Traffic::so_far().syncs;
  Variable y;
  {
    Tape tape;
    Pass pass = Pass::training(3, 4);
    y = c.call(*layer, x, pass);
    tape.backward(y, test::uniform(random, y.shape(), 1, 2).to(dtype).to(device));
  }
  Results results = {{}, Traffic::so_far().syncs - before};
  Pass inference;
  const Tensor of_inference = c.call(*layer, x, inference).value();
  for (const Tensor& result : {y.value(), x.grad(), parameters.gradients(), of_inference}) {
    results.all.push_back(result.to(Device{}));
  }
  return results;
}

class CudaLayers : public ::testing::TestWithParam<Case> {};

TEST_P(CudaLayers, HaveTheNumbersOfTheCpuOrSayWhatIsMissing) {
  const SequenceMask masks[] = {
      {}, test::mask_of({1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}, {3, 5})};
  for (const SequenceMask& mask : masks) {
    for (const DType dtype : test::kFloatingDTypes) {
      const std::vector<Tensor> wanted = run(GetParam(), dtype, Device{}, mask).all;
      Results got;
      const std::string error = test::error_of([&] { got = run(GetParam(), dtype, kCuda, mask); });
      if (!GetParam().runs && error != "no error") {
        EXPECT_THAT(error, HasSubstr("has no CUDA kernel"));
        RecordProperty("missing", error);
        continue;
      }
      ASSERT_EQ(error, "no error");
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(test::is_near(got.all[i], wanted[i])) << i;
      }
      if (GetParam().runs) {
        EXPECT_EQ(got.waits, GetParam().waits);
      }
      RecordProperty("waits", static_cast<int>(got.waits));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaLayers, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

TEST(CudaLayers, TellTheHostWhatAMaskKeeps) {
  const SequenceMask mask = test::mask_of({1, 1, 1, 0}, {2, 2});
  const Tensor logits = test::make({0.5, -1, 2, test::kNaN}, {2, 2}, DType::kFloat32);
  const Variable there(logits.to(kCuda), Variable::kConstant, mask);
  EXPECT_EQ(test::to_doubles(decide(there).bits()), (std::vector<double>{1, 0, 1, 0}));
  EXPECT_EQ(test::error_of([&] { decide(drop_mask(there)); }), "[decide] a logit is NaN");
}

// A batch of two sequences, each drawn twice.
TEST(CudaLayers, WeighDecisionsByLossesThatAreThere) {
  const Tensor losses = test::make({1, 2, 0.5, 4}, {4}),
               shares = test::make({-1, -2, -3, -4}, {4, 1});
  for (const Baseline baseline : {Baseline::kNone, Baseline::kRunning, Baseline::kLeaveOneOut}) {
    const auto gradient = [&](Device device) {
      ScoreFunction score({.baseline = baseline, .samples = 2});
      const Variable likely = test::leaf(shares.to(device));
      Tape tape;
      score.surrogate(losses.to(device), likely);
      tape.backward(score.surrogate(losses.to(device), likely));
      return likely.grad().to(Device{});
    };
    EXPECT_TRUE(is_identical(gradient(kCuda), gradient(Device{})));
  }
  const auto gradients = [&](Device device) {
    ScoreFunction score({.baseline = Baseline::kLearned, .samples = 2});
    const Variable likely = test::leaf(shares.to(device)),
                   predicted = test::leaf(test::make({1, 1, 2, 2}, {4}).to(device));
    Tape tape;
    tape.backward(score.surrogate(losses.to(device), likely, predicted));
    return std::pair(likely.grad().to(Device{}), predicted.grad().to(Device{}));
  };
  EXPECT_TRUE(is_identical(gradients(kCuda).first, gradients(Device{}).first));
  EXPECT_TRUE(is_identical(gradients(kCuda).second, gradients(Device{}).second));
}

}  // namespace
}  // namespace maskgrad
