#include "cli/device.hpp"

#include <maskgrad/train/run/training_settings.hpp>

namespace maskgrad::apps {

void add_device(CLI::App& command) {
  const auto check = [](const std::string& device) {
    as_usage([&] { check_device(device, "--device"); });
  };
  command.add_option_function<std::string>("--device", check, "Where to compute: cpu, auto, cuda")
      ->type_name("NAME")
      ->default_str("cpu")
      ->take_last();
}

}  // namespace maskgrad::apps
