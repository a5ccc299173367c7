#include <algorithm>
#include <charconv>
#include <set>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "maskgrad checkpoint 1";
constexpr std::size_t kKept = 3;

// Calls f(name in the file, view) for every parameter's piece of every flat tensor.
template <class F>
void for_each_piece(const ParameterBuffer& parameters, Optimizer& optimizer, F f) {
  const auto pieces = [&](const std::string& prefix, const Tensor& flat) {
    for (const ParameterBuffer::Entry& entry : parameters.entries()) {
      f(prefix + entry.name, flat.view(entry.first, entry.parameter->shape()));
    }
  };
  pieces("model/", parameters.values());
  for (const auto& [name, flat] : optimizer.state()) pieces("optimizer." + name + "/", flat);
}

std::vector<fs::path> checkpoints_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step_") && name.ends_with(".safetensors")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The metadata of one file, with errors that name it.
class Reader {
 public:
  Reader(const fs::path& path, const Metadata& metadata) : path_(path), metadata_(metadata) {}

  const std::string& text(const std::string& key) const {
    const auto found = metadata_.find(key);
    check(found != metadata_.end(), "checkpoint", "'{}' has no '{}' among its metadata",
          path_.string(), key);
    return found->second;
  }
  template <class T>
  T number(const std::string& key) const {
    return parse<T>(key, text(key));
  }
  // "name=sum/count;name=sum/count"
  std::vector<Metric> totals() const {
    std::vector<Metric> totals;
    std::string_view rest = text("totals");
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      const auto equals = item.find('='), slash = item.find('/');
      check(equals < slash && slash != std::string_view::npos, "checkpoint",
            "'{}': '{}' among the totals is not name=sum/count", path_.string(), item);
      totals.push_back({std::string(item.substr(0, equals)),
                        parse<double>("totals", item.substr(equals + 1, slash - equals - 1)),
                        parse<std::int64_t>("totals", item.substr(slash + 1))});
    }
    return totals;
  }

 private:
  template <class T>
  T parse(const std::string& key, std::string_view value) const {
    T number{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    check(error == std::errc() && end == value.data() + value.size(), "checkpoint",
          "'{}': '{}' of '{}' is no number", path_.string(), value, key);
    return number;
  }
  const fs::path& path_;
  const Metadata& metadata_;
};

}  // namespace

void save_checkpoint(const fs::path& path, const TrainState& state,
                     const ParameterBuffer& parameters, Optimizer& optimizer) {
  std::map<std::string, Tensor> tensors;
  for_each_piece(parameters, optimizer, [&](const std::string& name, const Tensor& piece) {
    tensors.emplace(name, piece);
  });
  std::string totals;
  for (const Metric& metric : state.totals) {
    totals +=
        fmt::format("{}{}={}/{}", totals.empty() ? "" : ";", metric.name, metric.sum, metric.count);
  }
  save_tensors(path, tensors,
               {{"format", kFormat},
                {"step", std::to_string(state.step)},
                {"epoch", std::to_string(state.position.epoch)},
                {"batch", std::to_string(state.position.batch)},
                {"optimizer_steps", std::to_string(optimizer.steps())},
                {"totals", totals}});
}

TrainState load_checkpoint(const fs::path& path, ParameterBuffer& parameters,
                           Optimizer& optimizer) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const Reader metadata(path, file.metadata());
  check(metadata.text("format") == kFormat, "checkpoint", "'{}' has format '{}', not '{}'",
        path.string(), metadata.text("format"), kFormat);
  TrainState state{metadata.number<std::int64_t>("step"),
                   {metadata.number<std::int64_t>("epoch"), metadata.number<std::int64_t>("batch")},
                   metadata.totals()};
  const auto optimizer_steps = metadata.number<std::int64_t>("optimizer_steps");
  const std::map<std::string, Tensor> tensors = load_tensors(file, path.string());
  std::set<std::string> wanted;
  for_each_piece(parameters, optimizer, [&](const std::string& name, const Tensor& piece) {
    wanted.insert(name);
    const auto found = tensors.find(name);
    check(found != tensors.end(), "checkpoint", "'{}' has no tensor '{}'", path.string(), name);
    check(found->second.shape() == piece.shape() && found->second.dtype() == piece.dtype(),
          "checkpoint", "'{}': '{}' is {} {}, the run's is {} {}", path.string(), name,
          to_string(found->second.dtype()), found->second.shape(), to_string(piece.dtype()),
          piece.shape());
  });
  for (const auto& [name, tensor] : tensors) {
    check(wanted.contains(name), "checkpoint", "'{}' holds '{}', which the run does not have",
          path.string(), name);
  }
  for_each_piece(parameters, optimizer, [&](const std::string& name, const Tensor& piece) {
    Tensor target = piece;
    target.copy_from(tensors.at(name));
  });
  optimizer.set_steps(optimizer_steps);
  return state;
}

std::optional<fs::path> latest_checkpoint(const fs::path& folder) {
  const std::vector<fs::path> found = checkpoints_in(folder);
  if (found.empty()) return std::nullopt;
  return found.back();
}

void CheckpointCallback::save(const Trainer& trainer) const {
  // Twelve digits, so that names sort as numbers do.
  const fs::path path = folder_ / fmt::format("step_{:012}.safetensors", trainer.state().step);
  save_checkpoint(path, trainer.state(), trainer.parameters(), trainer.optimizer());
  std::vector<fs::path> found = checkpoints_in(folder_);
  for (std::size_t i = 0; i + kKept < found.size(); ++i) fs::remove(found[i]);
}

}  // namespace maskgrad
