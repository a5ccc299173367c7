#include "cli/bench/language_model_steps.hpp"

#include <algorithm>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kHead = 32;

TransformerOptions options_of(const LanguageModelSizes& sizes) {
  TransformerOptions options;
  options.features = sizes.features;
  options.heads = sizes.features / kHead;
  options.layers = sizes.layers;
  return options;
}

std::vector<ParameterGroup> groups() {
  return {{.name = "decay", .owns = is_matrix, .weight_decay = 0.01},
          {.name = "other", .owns = is_any}};
}

Tensor random_tokens(std::uint64_t seed, const Shape& shape) {
  Random random(seed);
  Tensor tokens = Tensor::empty(shape, DType::kInt64);
  std::generate_n(tokens.data<std::int64_t>(), tokens.numel(),
                  [&] { return random.integer(0, BenchModel::kVocabulary - 1); });
  return tokens;
}

// Looks at how much memory is in use whenever an operation has given something.
class PeakMemory final : public TapeObserver {
 public:
  void on_output(const OpDef&, Tensor&, const SequenceMask&) override { look(); }
  void on_gradient(const Node&, const std::string&, std::size_t, Tensor&) override { look(); }
  std::size_t bytes() const { return most_; }

 private:
  void look() { most_ = std::max(most_, Pool::cpu().stats().bytes_in_use); }

  std::size_t most_ = 0;
};

}  // namespace

BenchModel::BenchModel(const LanguageModelSizes& sizes)
    : sizes_(sizes), parameters_(build(layers_, sizes), DType::kFloat32, 0, {}, groups()) {}

Sequential& BenchModel::build(Sequential& layers, const LanguageModelSizes& sizes) {
  return layers.add<Embed>("embed", kVocabulary, sizes.features)
      .add<LearnedPositions>("positions", sizes.positions, sizes.features)
      .add<Decoder>("decoder", options_of(sizes))
      .add<Dense>("logits", sizes.features, kVocabulary)
      .pack(PackWhen::kAuto);
}

double BenchModel::forward_flops(std::int64_t positions, std::int64_t pairs) const {
  const std::int64_t d = sizes_.features,
                     of_position = 12 * d * d * sizes_.layers + d * kVocabulary,
                     of_pair = 2 * d * sizes_.layers;
  return 2.0 * static_cast<double>(of_position * positions + of_pair * pairs);
}

LanguageModelSteps::LanguageModelSteps(BenchModel& model, std::span<const std::int64_t> lengths)
    : model_(model), adam_(model.parameters(), {.beta2 = 0.98, .form = Adam::Form::kPyTorch}) {
  const std::int64_t longest = model.sizes().positions;
  const Shape shape = {std::ssize(lengths), longest};
  for (const std::int64_t length : lengths) {
    tokens_ += length;
    pairs_ += length * (length + 1) / 2;
  }
  const SequenceMask exists =
      tokens_ < shape.numel() ? SequenceMask::from_lengths(lengths, longest) : SequenceMask();
  inputs_ = Variable(random_tokens(1, shape), Variable::kConstant, exists);
  targets_ = random_tokens(2, shape);
}

double LanguageModelSteps::flops() const { return 3 * model_.forward_flops(tokens_, pairs_); }

double LanguageModelSteps::peak_megabytes() {
  PeakMemory memory;
  step(&memory);
  return 1e-6 * static_cast<double>(memory.bytes());
}

void LanguageModelSteps::step(TapeObserver* observer) {
  const FlushDenormals flush_denormals;
  ParameterBuffer& parameters = model_.parameters();
  Tape tape({.observer = observer});
  Pass pass = Pass::training(0, 0);
  const Variable loss = ops::cross_entropy(model_(inputs_, pass), targets_).mean();
  parameters.clear_gradients();
  tape.backward(loss);
  adam_.step(parameters, 1e-4, clip_factor(gradient_norm(parameters), 1.0));
}

}  // namespace maskgrad::apps
