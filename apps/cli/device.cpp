#include "cli/device.hpp"

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

}  // namespace maskgrad::apps
