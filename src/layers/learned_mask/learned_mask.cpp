#include <maskgrad/layers/learned_mask/learned_mask.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "LearnedMask";

Variable hardened(const Variable& x, MaskNetwork& network, Pass& pass) {
  return ops::with_mask(x, decide(network(x, pass)));
}

}  // namespace

Variable times_keep(const Variable& x, const Variable& keep) {
  check_given(x.defined() && keep.defined(), kName, "the value or its keep");
  check(keep.rank() == 2 && x.rank() >= 2 && x.shape().starts_with(keep.shape()), kName,
        "keep {} does not fit a value of {}", keep.shape(), x.shape());
  PoolVector<std::int64_t> dims(static_cast<std::size_t>(x.rank()), 1);
  dims[0] = x.dim(0);
  dims[1] = x.dim(1);
  return ops::multiply(x, ops::reshape(keep, dims));
}

HardMask::HardMask(std::int64_t features, const MaskNetworkOptions& options)
    : Layer("HardMask", MaskRule::kMakes),
      network_(submodule("network", std::make_unique<MaskNetwork>(features, options))) {}

Variable HardMask::forward(const Variable& x, Pass& pass) { return hardened(x, network_, pass); }

LearnedMask::LearnedMask(std::int64_t features, std::unique_ptr<Sampler> sampler,
                         const MaskNetworkOptions& options)
    : Layer(kName, MaskRule::kChanges),
      network_(submodule("network", std::make_unique<MaskNetwork>(features, options))),
      sampler_(std::move(sampler)) {
  check(sampler_ != nullptr, kName, "needs a sampler");
}

LearnedMask::Drawn LearnedMask::draw(const Variable& x, Pass& pass) {
  check(pass.is_training(), kName, "draws in training only");
  Drawn drawn;
  checked(x, pass, [&] {
    drawn.logits = network_(x, pass);
    drawn.sample = sampler_->sample(drawn.logits, pass);
    drawn.kept = sampler_->kept(drawn.logits);
    drawn.y = times_keep(x, drawn.sample.keep);
    return drawn.y;
  });
  return drawn;
}

std::optional<Hardened> LearnedMask::harden() {
  Hardened hard;
  hard.layer = std::make_unique<HardMask>(network_.features(), network_.options());
  for (const auto& [name, parameter] : parameters()) {
    hard.values.emplace(name, parameter->variable().value());
  }
  hard.says = "keeps the positions whose logit is above 0";
  return hard;
}

Variable LearnedMask::forward(const Variable& x, Pass& pass) {
  if (!pass.is_training()) return hardened(x, network_, pass);
  return times_keep(x, sampler_->sample(network_(x, pass), pass).keep);
}

}  // namespace maskgrad
