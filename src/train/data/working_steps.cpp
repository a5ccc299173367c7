#include <algorithm>
#include <cmath>
#include <vector>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/pad_tokens.hpp>
#include <maskgrad/train/data/working_steps.hpp>

namespace maskgrad {
namespace {

// A number of either sign whose digits are 6 to 9, with as many as fit below max_val.
std::int64_t of_large_digits(Random& random, std::int64_t max_val) {
  std::int64_t value = 0;
  while (10 * value + 9 < max_val) value = 10 * value + random.integer(6, 9);
  return random.coin() ? value : -value;
}

// Makes the numbers of a problem rare in one of six ways.
void make_rare(Random& random, std::int64_t max_val, ArithmeticProblem& p) {
  std::int64_t& one = random.coin() ? p.x : p.y;
  const std::int64_t of_one_digit = std::min<std::int64_t>(9, max_val - 1);
  switch (random.below(6)) {
    case 0:
      one = 0;
      break;
    case 1:
      one = random.integer(-of_one_digit, of_one_digit);
      break;
    case 2:
      p.y = p.x;
      break;
    case 3:
      p.y = -p.x;
      break;
    case 4:
      p.x = of_large_digits(random, max_val);
      p.y = of_large_digits(random, max_val);
      break;
    default:
      p.y = std::clamp(p.x / 10 * 10 + (p.x < 0 ? -1 : 1) * random.integer(0, 9), 1 - max_val,
                       max_val - 1);
  }
}

ArithmeticProblem draw(Random& random, std::int64_t max_val, double rare) {
  ArithmeticProblem p;
  p.x = random.integer(1 - max_val, max_val - 1);
  p.y = random.integer(1 - max_val, max_val - 1);
  if (random.uniform() < rare) make_rare(random, max_val, p);
  p.defines_x_first = random.coin();
  p.starts_with_x = random.coin();
  p.operation = kOperators[random.below(3u)];
  return p;
}

}  // namespace

int digits_below(std::int64_t max_val) {
  return static_cast<int>(fmt::format("{}", max_val - 1).size());
}

WorkingSteps::WorkingSteps(const WorkingStepsData& data) : data_(data) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  check(data.samples >= 0 && data.samples <= kMost, "arithmetic",
        "samples must be from 0 to 2^40, not {}", data.samples);
  check_max_val(data.max_val);
  check(data.max_val >= 2, "arithmetic", "max-val must be at least 2 for working steps");
  check(data.rare >= 0 && data.rare <= 1, "arithmetic",
        "the share of rare problems must be from 0 to 1, not {}", data.rare);
  check(data.rare_until >= 1, "arithmetic", "rare_until must be at least 1, not {}",
        data.rare_until);
  digits_ = digits_below(data.max_val);
}

std::string WorkingSteps::fingerprint() const {
  return fmt::format("{} problems an epoch, numbers below {}, of seed {}, {}, rare {} until {}",
                     data_.samples, data_.max_val, data_.seed,
                     data_.held_out ? "held out" : "not held out", data_.rare, data_.rare_until);
}

ArithmeticProblem WorkingSteps::problem(std::int64_t id, std::int64_t epoch) const {
  check(id >= 0 && id < size(), "arithmetic", "there is no sample {}: there are {}", id, size());
  check(epoch >= 0 && epoch < (std::int64_t{1} << 22), "arithmetic", "there is no epoch {}", epoch);
  const std::int64_t number = epoch * size() + id;
  Random random(data_.seed, stream_of("working steps"), static_cast<std::uint64_t>(number));
  const double done = static_cast<double>(number) / static_cast<double>(data_.rare_until);
  const double rare = data_.rare * std::max(0.0, 1 - done);
  for (;;) {
    const ArithmeticProblem p = draw(random, data_.max_val, rare);
    if (is_held_out(p.x, p.y) == data_.held_out) return p;
  }
}

Batch WorkingSteps::collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const {
  std::vector<std::vector<std::int64_t>> inputs, targets;
  std::vector<std::int64_t> first_asked;
  for (const std::int64_t id : ids) {
    const ArithmeticProblem p = problem(id, epoch);
    const std::string prompt = fixed_prompt(p, digits_);
    const auto tokens = arithmetic_tokens(prompt + working_steps(p, digits_));
    inputs.emplace_back(tokens.begin(), tokens.end() - 1);
    targets.emplace_back(tokens.begin() + 1, tokens.end());
    first_asked.push_back(std::ssize(prompt) - 1);
  }
  Batch batch{pad_tokens(inputs, kPadToken), pad_tokens(targets, kPadToken),
              Tensor::from(ids, {std::ssize(ids)})};
  Tensor asked = Tensor::zeros(batch.inputs.shape(), DType::kBool);
  bool* row = asked.data<bool>();
  for (std::size_t b = 0; b < ids.size(); ++b) {
    std::fill(row + first_asked[b], row + std::ssize(targets[b]), true);
    row += asked.dim(1);
  }
  batch.others.push_back({"asked", asked});
  return batch;
}

}  // namespace maskgrad
