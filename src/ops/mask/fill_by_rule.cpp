#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad::ops {
namespace {

using List = std::vector<std::int64_t>;

constexpr std::string_view kModes[] = {"sequence", "window",    "upper",
                                       "lower",    "upperdiag", "lowerdiag"};
// The input "filled" holds the decisions of a functor that has no name.
constexpr const char* kFilled = "filled";

void check_mode(std::string_view mode) {
  if (std::find(std::begin(kModes), std::end(kModes), mode) != std::end(kModes)) return;
  const std::vector<std::string> known(std::begin(kModes), std::end(kModes));
  fail("sequence_mask", "there is no mode '{}'{}", shortened(mode),
       did_you_mean(std::string(mode), known));
}

// An argument that may be left out is a list of none or one.
std::optional<std::int64_t> optional_arg(const OpCall& call, const char* name) {
  const List& list = call.arg<List>(name);
  check(list.size() <= 1, "sequence_mask", "argument '{}' takes one number, got {}", name,
        list.size());
  return list.empty() ? std::nullopt : std::optional(list.front());
}

Variable fill_as_given(const OpCall& call) {
  const List& sizes = call.arg<List>("layout");
  check(call.has(kFilled) && sizes.size() == 4, "sequence_mask",
        "mode 'filled' needs the decisions 'filled', and four sizes as 'layout'");
  return fill_by_rows(call.input("input"), call.input(kFilled).value(),
                      {sizes[0], sizes[1], sizes[2], sizes[3]}, call.arg<Scalar>("fill_value"));
}

std::vector<Variable> call_sequence_mask(const OpCall& call) {
  if (call.arg<std::string>("mode") == kFilled) return {fill_as_given(call)};
  check(!call.has(kFilled), "sequence_mask", "only mode 'filled' takes decisions");
  check(!call.has("lengths") || !call.has("centers"), "sequence_mask",
        "takes lengths or centers, not both");
  const auto& mode = call.arg<std::string>("mode");
  check_mode(mode);
  check(!call.has("centers") || mode == "window", "sequence_mask", "mode '{}' takes no centers",
        mode);
  check(!call.has("lengths") || mode == "sequence", "sequence_mask", "mode '{}' takes no lengths",
        mode);
  const Tensor given = call.has("lengths")   ? call.input("lengths").value()
                       : call.has("centers") ? call.input("centers").value()
                                             : Tensor();
  return {sequence_mask(call.input("input"), mode, given,
                        {.axis = call.arg<std::int64_t>("axis"),
                         .batch = optional_arg(call, "batch"),
                         .repeat_from_axis = optional_arg(call, "repeat_from_axis"),
                         .radius = call.arg<std::int64_t>("radius"),
                         .fill_value = call.arg<Scalar>("fill_value")})};
}

std::vector<OpSample> sequence_mask_samples(Random& r) {
  std::vector<OpSample> samples;
  for (const char* mode : {"upper", "lower", "upperdiag", "lowerdiag"}) {
    samples.push_back({{{"input", sample_uniform(r, {2, 4, 5})}},
                       {{"mode", mode},
                        {"axis", std::int64_t{-1}},
                        {"batch", List{0}},
                        {"fill_value", Scalar(-3.0)}}});
  }
  samples.push_back(
      {{{"input", sample_uniform(r, {3, 4, 2})}, {"lengths", sample_indices(r, {3}, 6)}},
       {{"repeat_from_axis", List{2}}, {"fill_value", Scalar(0.0)}}});
  samples.push_back(
      {{{"input", sample_uniform(r, {3, 7})}, {"centers", sample_indices(r, {3}, 7)}},
       {{"mode", "window"}, {"radius", std::int64_t{1}}, {"fill_value", Scalar(9.0)}}});
  samples.push_back({{{"input", sample_uniform(r, {2, 0})}}, {{"mode", "upper"}}});
  samples.push_back(
      {{{"input", sample_uniform(r, {2, 2, 3})}, {kFilled, sample_bits(r, {2, 3})}},
       {{"mode", kFilled}, {"layout", List{2, 2, 3, 1}}, {"fill_value", Scalar(5.0)}}});
  return samples;
}

constexpr std::span<const std::int64_t> kNone;

const OpDef& kSequenceMask = register_op({
    .name = "sequence_mask",
    .summary = "the input, filled where a rule of row and column says so",
    .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()},
               optional(integer_input("lengths")),
               optional(integer_input("centers")),
               optional(mask_input(Reach::kEverything, kFilled))},
    .args = {{"mode", std::string("sequence")},
             {"axis", std::int64_t{1}},
             {"batch", List{}},
             {"repeat_from_axis", List{}},
             {"radius", std::int64_t{10}},
             {"layout", List{}},
             {"fill_value", Scalar(-std::numeric_limits<double>::infinity())}},
    .mask_rule = MaskRule::kKeeps,
    .call = call_sequence_mask,
    .samples = sequence_mask_samples,
});

std::int64_t product(const Shape& shape, int from, int to) { return shape.slice(from, to).numel(); }

// The decisions may be elsewhere: those of the host for a device, and the other way for marks.
Tensor fill(const Tensor& x, const Tensor& decided, const MaskLayout& layout, Scalar value) {
  const std::int64_t places = layout.rows * layout.columns;
  const BroadcastPlan plan("sequence_mask", {layout.batches, places, layout.repeated}, {places, 1});
  const Tensor filled = decided.to(x.device());
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "sequence_mask", [&]<class T>(T) {
      const functors::FillWhere<T> rule{value.to<T>("sequence_mask", "fill_value")};
      zip_all(plan, y.data<T>(), rule, x.data<T>(), filled.data<bool>());
    });
  };
  dispatch_device(x.device(), kFillDecidedCuda, on_cpu, x, filled, layout, value, y);
  return y;
}

// Lengths or centers of the rows, as int64.
Tensor rows_of(std::string_view mode, const char* what, const Tensor& given,
               const MaskLayout& layout) {
  check(given.defined(), "sequence_mask", "mode '{}' needs {}", mode, what);
  check(given.rank() == 1 && given.numel() == layout.rows, "sequence_mask",
        "{} are {}, but there are {} rows", what, given.shape(), layout.rows);
  check(given.dtype() == DType::kInt32 || given.dtype() == DType::kInt64, "sequence_mask",
        "{} are {}, they must be int32 or int64", what, to_string(given.dtype()));
  return given.to(DType::kInt64);
}

// None or one.
std::span<const std::int64_t> list_of(const std::optional<std::int64_t>& x) {
  return x ? std::span(&*x, 1) : kNone;
}

// dx = 0 where filled, g elsewhere. `given`: the call by name.
Variable fill_and_record(const Variable& x, const Tensor& filled, const MaskLayout& layout,
                         Scalar fill_value, AlsoGiven given) {
  check_defined(kSequenceMask, {&x});
  check_given(filled.defined(), "sequence_mask", "the decisions");
  const MaskLayout& d = layout;
  check(is_floating(x.dtype()), "sequence_mask", "does not take {}", to_string(x.dtype()));
  check(Shape({d.batches, d.rows, d.columns, d.repeated}).numel() == x.value().numel(),
        "sequence_mask", "a layout of {} x {} x {} x {} elements does not fit an input of {}",
        d.batches, d.rows, d.columns, d.repeated, x.shape());
  check(filled.dtype() == DType::kBool && filled.shape() == Shape{d.rows, d.columns},
        "sequence_mask", "decisions must be bool {}, got {} {}", Shape{d.rows, d.columns},
        to_string(filled.dtype()), filled.shape());
  if (filled.device().type != DeviceType::kCpu) {
    check_same_device("sequence_mask", x.value(), filled);
  }
  const auto clear = [layout, saved = Saved(kSequenceMask, kFilled, filled)](const Tensor& g) {
    return fill(g, *saved, layout, 0.0);
  };
  return record(
      kSequenceMask, {&x}, fill(x.value(), filled, layout, fill_value),
      with_reach([clear](const Tensor& g, Gradients& grads) { grads.set(0, clear(g)); },
                 [clear](std::size_t, const Tensor& marked, const Way&) { return clear(marked); }),
      given);
}

}  // namespace

MaskLayout mask_layout(const char* name, const Shape& shape, std::int64_t axis_given,
                       std::optional<std::int64_t> batch, std::optional<std::int64_t> repeat_from) {
  const auto normalize = [&](const char* which, std::int64_t axis) {
    check(axis >= -shape.rank() && axis < shape.rank(), name, "{} {} is not a dimension of {}",
          which, axis, shape);
    return shape.normalize(axis);
  };
  check(!batch || !repeat_from, name, "takes batch or repeat_from_axis, not both");
  const int axis = normalize("axis", axis_given);
  const int first_row = batch ? normalize("batch", *batch) + 1 : 0;
  check(first_row <= axis, name, "batch {} must be before axis {}", first_row - 1, axis);
  const int end = repeat_from ? normalize("repeat_from_axis", *repeat_from) : shape.rank();
  check(end > axis, name, "repeat_from_axis {} must be after axis {}", end, axis);
  return {product(shape, 0, first_row), product(shape, first_row, axis), product(shape, axis, end),
          product(shape, end, shape.rank())};
}

void check_row_numbers(const Tensor& of_rows, const MaskLayout& layout) {
  check_given(of_rows.defined(), "sequence_mask", "the number for each row");
  check(of_rows.dtype() == DType::kInt64 && of_rows.shape() == Shape{layout.rows}, "sequence_mask",
        "needs int64 {} for the rows, got {} {}", Shape{layout.rows}, to_string(of_rows.dtype()),
        of_rows.shape());
}

Variable fill_by_rows(const Variable& x, const Tensor& filled, const MaskLayout& layout,
                      Scalar fill_value) {
  const std::array<std::int64_t, 4> sizes = {layout.batches, layout.rows, layout.columns,
                                             layout.repeated};
  return fill_and_record(x, filled, layout, fill_value,
                         {{kFilled, filled},
                          {"mode", kFilled},
                          {"axis", 1},
                          {"batch", kNone},
                          {"repeat_from_axis", kNone},
                          {"radius", 0},
                          {"layout", sizes},
                          {"fill_value", fill_value}});
}

Variable sequence_mask(const Variable& x, std::string_view mode, const Tensor& given,
                       const SequenceMaskOptions& o) {
  check_defined(kSequenceMask, {&x});
  check_mode(mode);
  const auto layout = [&] {
    return mask_layout("sequence_mask", x.shape(), o.axis, o.batch, o.repeat_from_axis);
  };
  const auto run = [&](const auto& functor) {
    const MaskLayout d = layout();
    return fill_and_record(x, decisions(x, functor, d), d, o.fill_value,
                           {{mode == "window" ? "centers" : "lengths", given},
                            {"mode", mode},
                            {"axis", o.axis},
                            {"batch", list_of(o.batch)},
                            {"repeat_from_axis", list_of(o.repeat_from_axis)},
                            {"radius", o.radius},
                            {"layout", kNone},
                            {"fill_value", o.fill_value}});
  };
  const bool takes_rows = mode == "sequence" || mode == "window";
  check(mode == "sequence" || !o.repeat_from_axis, "sequence_mask",
        "mode '{}' takes no repeat_from_axis", mode);
  check(takes_rows || !given.defined(), "sequence_mask", "mode '{}' takes no lengths or centers",
        mode);
  if (mode == "sequence") return run(Sequence{rows_of(mode, "lengths", given, layout())});
  if (mode == "window") {
    check(o.radius >= 0, "sequence_mask", "radius {} must not be negative", o.radius);
    return run(Window{rows_of(mode, "centers", given, layout()), o.radius});
  }
  if (mode == "upper") return run(Upper{});
  if (mode == "lower") return run(Lower{});
  if (mode == "upperdiag") return run(UpperDiagonal{});
  return run(LowerDiagonal{});
}

}  // namespace maskgrad::ops
