#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>

#include "cli/inspect/inspect.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

struct Series {
  std::int64_t count = 0, first = 0, last = 0;
  std::string kind, value;
};

void add(Series& series, std::int64_t step, const SummaryValue& value) {
  if (series.count++ == 0) series.first = step;
  series.last = step;
  if (const auto* scalar = std::get_if<float>(&value.value)) {
    series.kind = "scalar";
    series.value = fmt::format("{:.6g}", *scalar);
  } else {
    series.kind = std::holds_alternative<Histogram>(value.value) ? "histogram" : "other";
  }
}

}  // namespace

std::string series_table(const std::vector<Event>& events) {
  std::map<std::string, Series> by_tag;
  for (const Event& event : events) {
    for (const SummaryValue& value : event.values) add(by_tag[value.tag], event.step, value);
  }
  std::vector<std::vector<std::string>> rows = {{"tag", "kind", "values", "steps", "last"}};
  for (const auto& [tag, s] : by_tag) {
    rows.push_back({plain_or_quoted(tag), s.kind, std::to_string(s.count),
                    fmt::format("{}..{}", s.first, s.last), s.value});
  }
  return format_table(rows, output_columns());
}

void inspect_events(const std::filesystem::path& path) {
  const EventFile file = read_events(path);
  check(!file.events.empty() || file.damage.empty(), "inspect", "{}", file.damage);
  const auto restarts = std::ranges::count_if(file.events, &Event::is_restart);
  print("{}{}\n", series_table(file.events), count_of(std::ssize(file.events), "event"));
  if (restarts > 0) {
    print("{} of them {} that a run went on\n", restarts, restarts == 1 ? "says" : "say");
  }
  if (!file.damage.empty()) print("the rest is damaged: {}\n", one_line(file.damage));
}

}  // namespace maskgrad::apps
