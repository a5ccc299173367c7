// Any bytes as an event file, as one event and as a graph. What is read is written again, and
// drawn.
#include <maskgrad/train/formats/graph_def.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/report/model_outline.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

void draw_histograms(const Event& event) {
  RidgeChart chart{.title = "t", .ridge_label = "epoch", .ridges = {}};
  for (const SummaryValue& value : event.values) {
    const auto* histogram = std::get_if<Histogram>(&value.value);
    if (histogram != nullptr) chart.ridges.push_back({"1", *histogram});
  }
  const std::string svg = draw(chart);
  expect(svg.find("nan") == std::string::npos && svg.find("inf") == std::string::npos);
}

void try_event(std::string_view bytes) {
  const Event event = decode_event(bytes);
  const std::string once = encode(event);
  expect(encode(decode_event(once)) == once);
  draw_histograms(event);
}

void try_graph(std::string_view bytes) {
  const ModelGraph graph = decode_graph(bytes);
  const std::string once = encode(graph);
  expect(encode(decode_graph(once)) == once);
  outline_of(graph);
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace maskgrad::fuzz;
  const std::string_view bytes = text_of(data, size);
  const MemoryFile file(bytes);
  for (const maskgrad::Event& event : maskgrad::read_events(file.path()).events) {
    draw_histograms(event);
  }
  attempt(try_event, bytes);
  attempt(try_graph, bytes);
  return 0;
}
