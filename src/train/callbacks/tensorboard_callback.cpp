#include <algorithm>
#include <exception>

#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/model_graph.hpp>

namespace maskgrad {
namespace {

// Whatever else stands in the folder is no reason not to train.
bool has_graph(const std::filesystem::path& path) {
  if (path.filename().string().find("tfevents") == std::string::npos) return false;
  try {
    return begins_with_graph(path);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

void TensorBoardCallback::on_start(const Trainer& trainer) {
  make_folder(folder_);
  // A run that was killed before its first checkpoint leaves events, and begins again at step 0.
  const std::vector<std::filesystem::path> before = list_folder(folder_);
  const bool wants_graph = options_.peek && std::ranges::none_of(before, has_graph);
  writer_ = std::make_unique<EventWriter>(folder_);
  // What was measured at this step stands: it is not measured again.
  if (!before.empty()) writer_->add_restart(trainer.state().step + 1);
  if (wants_graph) write_graph(trainer);
}

// What data or model throw here they will throw again in the first step, and then the run ends.
// Where they do not, the run goes on without a graph.
void TensorBoardCallback::write_graph(const Trainer& trainer) {
  std::string graph;
  try {
    graph = encode(graph_of(trainer.model(), trainer.parameters(), options_.peek()));
  } catch (const std::exception& error) {
    no_graph_ = fmt::format("'{}' gets no graph of the model: {}", folder_.string(), error.what());
    return;
  }
  writer_->add_graph(graph);
}

void TensorBoardCallback::on_step(const Trainer&, const StepInfo&) {
  if (no_graph_.empty()) return;
  if (options_.warn) options_.warn(no_graph_);
  no_graph_.clear();
}

void TensorBoardCallback::on_epoch(const Trainer& trainer, const EpochInfo& epoch) {
  std::vector<SummaryValue> scalars;
  for (const Metric& metric : epoch.totals) {
    scalars.push_back({"epoch/" + metric.name, static_cast<float>(metric.mean())});
  }
  scalars.push_back(
      {"epoch/learning_rate", static_cast<float>(trainer.learning_rate(epoch.steps - 1))});
  writer_->add(epoch.steps, std::move(scalars));
  ParameterBuffer& parameters = trainer.parameters();
  write_histograms(parameters, "weights/", parameters.values(), epoch.steps);
  write_histograms(parameters, "gradients/", parameters.gradients(), epoch.steps);
  writer_->flush();
}

void TensorBoardCallback::on_evaluation(const Trainer&, const EvaluationInfo& evaluation) {
  std::vector<SummaryValue> scalars;
  for (const Metric& metric : evaluation.totals) {
    scalars.push_back({"validation/" + metric.name, static_cast<float>(metric.mean())});
  }
  writer_->add(evaluation.step, std::move(scalars));
  writer_->flush();
}

void TensorBoardCallback::write_histograms(const ParameterBuffer& parameters, const char* prefix,
                                           const Tensor& flat, std::int64_t step) {
  const Tensor here = flat.to(Device{});
  for (const ParameterBuffer::Entry& entry : parameters.entries()) {
    const Tensor piece = here.view(entry.first, entry.parameter->shape());
    dispatch_dtype(FloatingTypes{}, piece.dtype(), "tensorboard", [&]<class T>(T) {
      writer_->add_histogram(prefix + entry.name, step, piece.values<T>());
    });
  }
}

}  // namespace maskgrad
