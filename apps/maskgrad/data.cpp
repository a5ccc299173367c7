// maskgrad data arithmetic
#include <memory>

#include <fmt/core.h>

#include <maskgrad/train/arithmetic.hpp>

#include "command.hpp"

namespace maskgrad::apps {

void add_data(CLI::App& program) {
  struct Options {
    std::string out;
    ArithmeticData data;
  };
  auto* data = program.add_subcommand("data", "Make training data");
  data->require_subcommand(1);
  data->footer("Example: maskgrad data arithmetic --out data --shards 2 --seed 1");
  auto* arithmetic =
      data->add_subcommand("arithmetic", "Samples like x=-12,y=24:y-x:36, as shard_NNNN.tfrecords");
  auto options = std::make_shared<Options>();
  arithmetic->add_option("--out", options->out, "Folder for the shards")->required();
  arithmetic->add_option("--shards", options->data.shards, "Number of files")
      ->capture_default_str();
  arithmetic->add_option("--samples", options->data.samples, "Samples in each file")
      ->capture_default_str();
  arithmetic
      ->add_option("--max-val", options->data.max_val, "Numbers are smaller than this, either sign")
      ->capture_default_str();
  arithmetic
      ->add_option("--seed", options->data.seed,
                   "The same seed gives the same bytes on every machine")
      ->capture_default_str();
  arithmetic->footer("Example: maskgrad data arithmetic --out data --shards 2 --seed 1");
  arithmetic->callback([options] {
    const ArithmeticData& d = options->data;
    as_usage([&] { check_arithmetic_data(d); });
    write_arithmetic_shards(options->out, d);
    fmt::print("{} samples in {} shards in {}\n", d.shards * d.samples, d.shards, options->out);
  });
}

}  // namespace maskgrad::apps
