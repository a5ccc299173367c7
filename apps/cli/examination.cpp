#include "cli/examination.hpp"

#include <nlohmann/json.hpp>

#include <maskgrad/train/formats/atomic_file.hpp>

#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"

namespace maskgrad::apps {

void print_examination(const Examination& examination) {
  for (const auto& table : {examination.table, examination.choices}) {
    if (!table.empty()) print("\n{}", format_table(table, output_columns()));
  }
  if (!examination.mistakes.empty()) print("\n");
  for (const std::string& mistake : examination.mistakes) print("{}\n", mistake);
}

void write_results(const std::optional<Examination>& examination,
                   const std::vector<std::string>& warnings, const std::filesystem::path& path) {
  nlohmann::ordered_json json;
  if (examination) {
    json["count"] = examination->count;
    for (const auto& [name, share] : examination->shares) json[name] = share;
    if (!examination->choices.empty()) json["choices"] = examination->choices;
  }
  if (!warnings.empty()) json["warnings"] = warnings;
  write_file(path, json.dump(2) + "\n");
}

}  // namespace maskgrad::apps
