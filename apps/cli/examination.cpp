#include "cli/examination.hpp"

#include <maskgrad/train/formats/atomic_file.hpp>

#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"

namespace maskgrad::apps {

namespace {

void print_tables(const Examination& examination) {
  for (const auto& table : {examination.table, examination.choices}) {
    if (!table.empty()) print("\n{}", format_table(table, output_columns()));
  }
  if (!examination.mistakes.empty()) print("\n");
  for (const std::string& mistake : examination.mistakes) print("{}\n", mistake);
}

}  // namespace

void print_results(const Results& results, const std::string& recipe) {
  if (results.examination) print_tables(*results.examination);
  for (const std::string& warning : results.warnings) warn(fmt::format("{}: {}", recipe, warning));
}

void add_results(nlohmann::ordered_json& json, const Results& results) {
  if (results.examination) {
    json["count"] = results.examination->count;
    for (const auto& [name, share] : results.examination->shares) json[name] = share;
    if (!results.examination->choices.empty()) json["choices"] = results.examination->choices;
  }
  if (!results.warnings.empty()) json["warnings"] = results.warnings;
}

void write_results(const Results& results, std::int64_t step, const std::filesystem::path& path) {
  nlohmann::ordered_json json = {{"step", step}};
  add_results(json, results);
  write_file(path, json.dump(2) + "\n");
}

}  // namespace maskgrad::apps
