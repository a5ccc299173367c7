#include <algorithm>
#include <cctype>
#include <cmath>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/replay.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/check/prove.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kVocabulary = 7, kBatch = 3, kLength = LayerSample::kLength;

std::vector<LayerSample>& samples() {
  static std::vector<LayerSample> all;
  return all;
}

// [B, S + extra]; 0 is padding.
Variable tokens(std::int64_t extra) {
  constexpr std::int64_t kRows[kBatch][kLength] = {{1, 2, 3, 0}, {4, 0, 5, 6}, {0, 0, 0, 0}};
  Tensor ids = Tensor::zeros({kBatch, kLength + extra}, DType::kInt64);
  for (std::int64_t b = 0; b < kBatch; ++b) {
    std::copy_n(kRows[b], kLength, ids.data<std::int64_t>() + b * (kLength + extra));
  }
  return Variable(ids);
}

// A layer of somebody else's, behind a pointer.
class Held : public Layer {
 public:
  explicit Held(const LayerSample& sample)
      : Layer("Held", OfLayers{}), layer_(submodule("layer", sample.make())) {}
  std::optional<ops::Work> row_work() const override { return layer_.row_work(); }
  Variable forward(const Variable& x, Pass& pass) override { return layer_(x, pass); }

 private:
  Layer& layer_;
};

// Masking, embedding, and the layer.
struct Model {
  Model(const LayerSample& sample, PackWhen when) {
    layers.add<Masking>("masking").add<Embed>("embed", kVocabulary, LayerSample::kFeatures);
    layers.add<Held>("sample", sample).pack(when);
    parameters = std::make_unique<ParameterBuffer>(layers, DType::kFloat64, 1);
  }

  // The sum of the squares of what it gives, over the places that exist. In training every call
  // draws the same numbers.
  Variable loss(bool trains, std::int64_t extra = 0) {
    Pass pass = trains ? Pass::training(1, 1) : Pass();
    const Variable y = ops::fill_masked(layers(tokens(extra), pass));
    return ops::sum(ops::multiply(y, y));
  }

  Sequential layers;
  std::unique_ptr<ParameterBuffer> parameters;
};

class Promises {
 public:
  explicit Promises(const LayerSample& sample) : sample_(sample) {}

  std::vector<std::string> broken() && {
    tried("", [&] { with({PackWhen::kNever, false}, ""); });
    tried("in training: ", [&] { with({PackWhen::kNever, true}, "in training: "); });
    tried("", [&] { without_mask(); });
    tried("", [&] {
      if (!Held(sample_).row_work()) return;
      with({PackWhen::kAlways, false}, "on a packed row: ");
      packed_as_padded();
    });
    return std::move(complaints_);
  }

 private:
  struct Way {
    PackWhen pack;
    bool trains;
  };

  void complain(std::string_view where, std::string_view what) {
    complaints_.push_back(fmt::format("{}: {}{}", sample_.name, where, what));
  }

  template <class F>
  void tried(std::string_view where, F f) {
    try {
      f();
    } catch (const Error& error) {
      complain(where, fmt::format("throws {}", error.what()));
    }
  }

  void with(Way way, std::string_view where) {
    Model model(sample_, way.pack);
    const std::vector<NamedLeaf> leaves = model.parameters->leaves();
    const auto loss = [&](std::int64_t extra = 0) { return model.loss(way.trains, extra); };
    const LeakReport leaks = check_mask_leaks([&] { return loss(); }, leaves);
    if (!leaks.holds()) complain(where, to_string(leaks));
    const GradientReport gradients = check_gradients([&] { return loss(); }, leaves);
    if (!gradients.holds()) complain(where, to_string(gradients));
    prove(model, way.trains, where);
    replay_step(model, way.trains, where);
    if (!sample_.any_length) return;
    const PaddingReport padding = check_padding(loss, leaves);
    if (!padding.holds()) complain(where, to_string(padding));
  }

  // With every parameter 1.25 times what it was.
  void replay_step(Model& model, bool trains, std::string_view where) {
    const std::vector<NamedLeaf> leaves = model.parameters->leaves();
    std::vector<Replacement> others;
    for (const auto& [name, leaf] : leaves) {
      others.push_back({leaf, Variable(ops::scale(Variable(leaf.value()), 1.25).value())});
    }
    const Tape tape({.trace = true});
    const Variable loss = model.loss(trains);
    const NoGrad no_grad;
    const Variable replayed = replay(tape, others, std::span(&loss, 1))[0];
    for (const auto& [leaf, other] : others) Tensor(leaf.value()).copy_from(other.value());
    if (is_identical(replayed.value(), model.loss(trains).value())) return;
    complain(where, "its recorded step, run again with other parameters, gives something else");
  }

  void prove(Model& model, bool trains, std::string_view where) {
    Tape tape({.trace = true});
    model.loss(trains);
    const MaskProof proof = prove_mask(tape, model.parameters->leaves());
    if (!proof.holds()) complain(where, to_string(proof));
  }

  void without_mask() {
    Held layer(sample_);
    const ParameterBuffer parameters(layer, DType::kFloat64, 1);
    Random random(4);
    const Tensor values = ops::sample_uniform(random, {kBatch, kLength, LayerSample::kFeatures});
    const auto run = [&](const SequenceMask& mask) {
      return layer(Variable(values, Variable::kConstant, mask)).value();
    };
    const SequenceMask all(Tensor::full({kBatch, kLength}, 1, DType::kBool));
    if (!is_identical(run({}), run(all))) {
      complain("", "a mask that keeps everything gives other bits than no mask");
    }
  }

  // The loss and every gradient.
  std::vector<double> run(PackWhen when) {
    Model model(sample_, when);
    Tape tape;
    const Variable loss = model.loss(/*trains=*/false);
    tape.backward(loss);
    const auto gradients = model.parameters->read_gradients<double>();
    std::vector<double> numbers(gradients.begin(), gradients.end());
    numbers.push_back(loss.value().item());
    return numbers;
  }

  void packed_as_padded() {
    const std::vector<double> padded = run(PackWhen::kNever), packed = run(PackWhen::kAlways);
    for (std::size_t i = 0; i < padded.size(); ++i) {
      const double size = std::max({1.0, std::abs(padded[i]), std::abs(packed[i])});
      if (std::abs(padded[i] - packed[i]) <= 1e-12 * size) continue;
      complain("", fmt::format("on a packed row the loss or a gradient is {}, and {} in the padded "
                               "batch",
                               packed[i], padded[i]));
      return;
    }
  }

  const LayerSample& sample_;
  std::vector<std::string> complaints_;
};

void check_sample(const LayerSample& sample) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) != 0; };
  check(!sample.name.empty() && std::all_of(sample.name.begin(), sample.name.end(), is_plain),
        "layer", "a sample's name must be letters and digits, not '{}'", sample.name);
  check(sample.make != nullptr, "layer", "sample '{}' makes no layer", sample.name);
}

// Operations register themselves where the program starts, and a caller may start before them.
void check_operations() {
  check(registry().contains("multiply"), "layer",
        "check_layer() runs before operations are registered; call it in main() or later");
}

}  // namespace

bool register_layer(LayerSample sample) {
  check_sample(sample);
  auto& all = samples();
  const auto place =
      std::lower_bound(all.begin(), all.end(), sample,
                       [](const LayerSample& a, const LayerSample& b) { return a.name < b.name; });
  check(place == all.end() || place->name != sample.name, "layer",
        "there are two samples called '{}'", sample.name);
  all.insert(place, std::move(sample));
  return true;
}

const std::vector<LayerSample>& layer_samples() { return samples(); }

std::vector<std::string> check_layer(const LayerSample& sample) {
  check_operations();
  check_sample(sample);
  const NoGrad no_grad;  // on a tape of the caller
  return Promises(sample).broken();
}

}  // namespace maskgrad
