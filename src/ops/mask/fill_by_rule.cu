#include <maskgrad/ops/cuda/decisions.hpp>
#include <maskgrad/ops/cuda/map.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>

namespace maskgrad::ops {
namespace {

void fill_decided(const Tensor& x, const Tensor& filled, const MaskLayout& layout, Scalar value,
                  Tensor& y) {
  const std::int64_t places = layout.rows * layout.columns;
  const Shape seen = {layout.batches, places, layout.repeated};
  Tensor rows_of_y = y.reshape(seen);
  dispatch_dtype(FloatingTypes{}, x.dtype(), "sequence_mask", [&]<class T>(T) {
    const functors::FillWhere<T> rule{value.to<T>("sequence_mask", "fill_value")};
    map_on_device<T>("sequence_mask", rule, rows_of_y, Operand<T>{x.reshape(seen)},
                     Operand<bool>{filled.reshape({places, 1})});
  });
}

// Functors whose numbers are on the device.
struct SequenceThere {
  const std::int64_t* lengths;
  constexpr bool fills(std::int64_t i, std::int64_t j) const {
    return Sequence::fills_behind(lengths[i], j);
  }
};
struct WindowThere {
  const std::int64_t* centers;
  std::int64_t radius;
  constexpr bool fills(std::int64_t i, std::int64_t j) const {
    return Window::fills_around(centers[i], radius, j);
  }
};

void decide_sequence(const Sequence& functor, Tensor& filled) {
  const Tensor lengths = functor.lengths.to(filled.device());
  decide(SequenceThere{lengths.device_data<std::int64_t>()}, filled);
}
void decide_window(const Window& functor, Tensor& filled) {
  const Tensor centers = functor.centers.to(filled.device());
  decide(WindowThere{centers.device_data<std::int64_t>(), functor.radius}, filled);
}

const bool kFilled =
    kFillDecidedCuda.fill(fill_decided) && fill_decisions<Upper>() && fill_decisions<Lower>() &&
    fill_decisions<UpperDiagonal>() && fill_decisions<LowerDiagonal>() &&
    kDecisionsCuda<Sequence>.fill(decide_sequence) && kDecisionsCuda<Window>.fill(decide_window);

}  // namespace
}  // namespace maskgrad::ops
