#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/functors/cuda_kernels.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops {
namespace {

using namespace functors;

const bool kFilled =
    fill_binary<Add>("add") && fill_binary<Subtract>("subtract") &&
    fill_binary<Multiply>("multiply") && fill_binary<Divide>("divide") &&
    fill_binary<NegatedProduct>("divide") && fill_unary<Same>("broadcast_to") &&
    fill_rule<Negate>("negate") && fill_rule<Scale>("scale") && fill_rule<Exp>("exp") &&
    fill_rule<Log>("log") && fill_rule<Sqrt>("sqrt") && fill_rule<Square>("square") &&
    fill_rule<Abs>("abs") && fill_rule<Pow>("pow") && fill_rule<Clip>("clip") &&
    fill_binary<Extremum<Greater>>("maximum") && fill_ternary<ShareOf<Greater>>("maximum") &&
    fill_binary<Extremum<Less>>("minimum") && fill_ternary<ShareOf<Less>>("minimum");

}  // namespace
}  // namespace maskgrad::ops
