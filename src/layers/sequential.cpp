#include <algorithm>
#include <span>

#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/scope.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {

std::string_view to_string(PackWhen when) {
  constexpr std::string_view kNames[] = {"never", "auto", "always"};
  return kNames[static_cast<std::size_t>(when)];
}

PackWhen pack_when_from_string(std::string_view name) {
  for (const PackWhen when : {PackWhen::kNever, PackWhen::kAuto, PackWhen::kAlways}) {
    if (to_string(when) == name) return when;
  }
  fail("pack", "'{}' is not one of never, auto, always", shortened(name));
}

std::string to_string(const PackingSummary& summary) {
  const std::string layers = summary.first == summary.last
                                 ? summary.first
                                 : fmt::format("{} to {}", summary.first, summary.last);
  return fmt::format("{} {}", layers, to_string(summary.plan));
}

Layer& Sequential::layer(const std::string& name) const {
  for (const Part& part : layers_) {
    if (part.name == name) return *part.layer;
  }
  fail("Sequential", "has no layer '{}'", name);
}

std::vector<Layer*> Sequential::layers() const {
  std::vector<Layer*> all;
  for (const Part& part : layers_) all.push_back(part.layer);
  return all;
}

std::unique_ptr<Module> Sequential::replace(const std::string& name, std::unique_ptr<Layer> layer) {
  Layer* const added = layer.get();
  std::unique_ptr<Module> old = replace_submodule(name, std::move(layer));
  std::ranges::find(layers_, name, &Part::name)->layer = added;
  return old;
}

Sequential& Sequential::pack(PackWhen when) {
  pack_ = when;
  return *this;
}

// As many layers as can run on a row, or one that runs on what it gets.
Sequential::Stretch Sequential::stretch_at(std::size_t first, const SequenceMask& mask,
                                           const Pass& pass) const {
  Stretch stretch = {first, first, {}};
  if (pack_ == PackWhen::kNever || !mask.defined() || !pass.may_pack())
    return {first, first + 1, {}};
  ops::Work work;
  for (; stretch.end < layers_.size(); ++stretch.end) {
    const std::optional<ops::Work> more = layers_[stretch.end].layer->row_work();
    if (!more) break;
    work = work + *more;
  }
  if (stretch.end == first) return {first, first + 1, {}};
  stretch.plan = ops::plan_packing(mask, work);
  if (pack_ == PackWhen::kAlways) stretch.plan->pack = true;
  return stretch;
}

Variable Sequential::run(const Stretch& stretch, const Variable& x, Pass& pass) const {
  const auto parts = std::span(layers_).subspan(stretch.first, stretch.end - stretch.first);
  const auto all_of = [&](Variable y, Pass& in) {
    for (const Part& part : parts) y = (*part.layer)(y, in);
    return y;
  };
  if (!stretch.plan || !stretch.plan->pack) return all_of(x, pass);
  const ops::Packing packing = ops::packing_of(x.mask());
  Pass on_row = pass.on_row(packing);
  const Variable y = all_of(ops::pack(x, packing), on_row);
  return ops::unpack(y, packing);
}

Variable Sequential::forward(const Variable& x, Pass& pass) {
  Variable y = x;
  for (std::size_t i = 0; i < layers_.size();) {
    const Stretch stretch = stretch_at(i, y.mask(), pass);
    y = run(stretch, y, pass);
    i = stretch.end;
  }
  return y;
}

std::vector<PackingSummary> Sequential::explain_packing(const Variable& x) {
  check_given(x.defined(), "Sequential", "its input");
  const NoGrad no_grad;
  Pass pass;
  std::vector<PackingSummary> summaries;
  Variable y = x;
  for (std::size_t i = 0; i < layers_.size();) {
    const Stretch stretch = stretch_at(i, y.mask(), pass);
    if (stretch.plan) {
      summaries.push_back({layers_[i].name, layers_[stretch.end - 1].name, *stretch.plan});
    }
    y = run(stretch, y, pass);
    i = stretch.end;
  }
  return summaries;
}

std::optional<ops::Work> Sequential::row_work() const {
  ops::Work work;
  for (const Part& part : layers_) {
    const std::optional<ops::Work> more = part.layer->row_work();
    if (!more) return std::nullopt;
    work = work + *more;
  }
  return work;
}

std::vector<LayerSummary> Sequential::summarize(const Variable& x) {
  const NoGrad no_grad;
  Pass pass;
  std::vector<LayerSummary> rows;
  Variable y = x;
  for (const Part& part : layers_) {
    y = (*part.layer)(y, pass);
    std::int64_t count = 0;
    for (const NamedParameter& named : part.layer->parameters()) {
      count += named.parameter->shape().numel();
    }
    rows.push_back({part.name, part.layer->kind(), y.shape(), count, part.layer->mask_rule()});
  }
  return rows;
}

}  // namespace maskgrad
