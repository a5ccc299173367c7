#include "cli/device.hpp"

#include <fmt/format.h>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>

namespace maskgrad::apps {
namespace {

template <class F>
void add(CLI::App& command, const char* more_help, F set) {
  const auto choose = [set](const std::string& name) {
    as_usage([&] { set(DeviceChoice{choose_device(name, "--device"), name == "auto"}); });
  };
  const std::string help = fmt::format(
      "Where to compute: cpu, cuda, or auto, which takes the GPU where one works, else the CPU{}",
      more_help);
  command.add_option_function<std::string>("--device", choose, help)
      ->type_name("NAME")
      ->default_str("cpu")
      ->take_last();
}

}  // namespace

void add_device(CLI::App& command, DeviceChoice& choice) {
  add(command, "", [&choice](const DeviceChoice& chosen) { choice = chosen; });
}

void add_device_for_run(CLI::App& command, Device& device) {
  add(command, ". The default is the CPU, for a run that was trained on a GPU, too",
      [&device](const DeviceChoice& chosen) { device = chosen.device; });
}

void add_device(CLI::App& command, Device& device) {
  add(command, "", [&device](const DeviceChoice& chosen) { device = chosen.device; });
}

namespace {

void choose_math(const std::string& name, Device device) {
  const ops::ProductMath math = ops::product_math_of(name, "--math");
  ops::check_math_of_device(math, device, "--math", "--device");
  ops::set_product_math(math);
}

}  // namespace

void add_math(CLI::App& command, const Device& device) {
  const auto name = std::make_shared<std::string>("float32");
  command
      .add_option("--math", *name,
                  fmt::format("How a GPU multiplies matrices of float32: {}",
                              fmt::join(ops::kProductMathNames, ", ")))
      ->type_name("NAME")
      ->default_str("float32")
      ->take_last();
  command.parse_complete_callback(
      [name, &device] { as_usage([&] { choose_math(*name, device); }); });
}

}  // namespace maskgrad::apps
