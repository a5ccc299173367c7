#include <fmt/format.h>

#include <maskgrad/train/run/run_words.hpp>

namespace maskgrad {

std::string name_in_options(const std::string& key) {
  if (key == "out") return "folder";
  return key == "val" ? "validation" : key;
}

std::string RunWords::way_to_go_on() const {
  if (command_to_go_on.empty()) {
    return fmt::format("; the last checkpoint is kept, {} goes on from it", setting("resume"));
  }
  return "; the last checkpoint is kept, go on with: " + command_to_go_on;
}

std::string RunWords::way_to_go_on_slower(double lr) const {
  const std::string name = setting("lr"),
                    way = "; the last checkpoint is kept, go on with a smaller " + name;
  if (command_to_go_on.empty()) return way;
  return fmt::format("{}: {} {} {}", way, command_to_go_on, name, lr / 10);
}

std::string RunWords::way_to_start_slower() const {
  return fmt::format("; the run is as it was before: {} with a smaller {}",
                     command_to_go_on.empty() ? "start it again" : "give the command again",
                     setting("lr"));
}

}  // namespace maskgrad
