#include <maskgrad/ops/functors/cuda_kernels.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops {
namespace {

using namespace functors;

const bool kFilled =
    fill_rule<Sigmoid>("sigmoid") && fill_rule<Tanh>("tanh") && fill_rule<Softplus>("softplus") &&
    fill_rule<Relu>("relu") && fill_rule<LeakyRelu>("leaky_relu") && fill_rule<Elu>("elu") &&
    fill_rule<Gelu>("gelu") && fill_rule<GeluTanh>("gelu_tanh") && fill_rule<Silu>("silu");

}  // namespace
}  // namespace maskgrad::ops
