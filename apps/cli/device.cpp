#include "cli/device.hpp"

#include <maskgrad/tensor/cuda/choose_device.hpp>

namespace maskgrad::apps {

void add_device(CLI::App& command, Device& device) {
  const auto choose = [&device](const std::string& name) {
    as_usage([&] { device = choose_device(name, "--device"); });
  };
  command
      .add_option_function<std::string>(
          "--device", choose, fmt::format("Where to compute: {}", fmt::join(kDeviceNames, ", ")))
      ->type_name("NAME")
      ->default_str("cpu")
      ->take_last();
}

}  // namespace maskgrad::apps
