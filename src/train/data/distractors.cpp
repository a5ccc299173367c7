#include <algorithm>
#include <cstdlib>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>
#include <maskgrad/train/data/pad_tokens.hpp>

namespace maskgrad {
namespace {

constexpr std::string_view kSeparators = "=,:|", kJunk = "xy+-*0123456789";

bool is_name(char c) { return c == 'x' || c == 'y'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check_operand(std::int64_t value) {
  check(value != 0 && std::abs(value) <= 9, "distractors",
        "operands have one digit and are not 0, and {} is no such number", value);
}

// The other characters that may stand in place of one, with all others as they are.
std::string others_at(const std::string& text, std::size_t i) {
  const bool is_operator = i + 2 == text.size();  // between the names of the expression
  std::string others = is_digit(text[i]) ? "123456789" : is_operator ? "+-*" : "+-";
  std::erase(others, text[i]);
  return others;
}

bool changes_the_answer(const std::string& changed, std::int64_t answer) {
  return parse_problem(changed).result() != answer;
}

std::string with_names_swapped(std::string text, const std::vector<std::size_t>& names) {
  for (const std::size_t i : names) text[i] = text[i] == 'x' ? 'y' : 'x';
  return text;
}

std::int64_t draw_operand(Random& random) {
  const std::int64_t size = random.integer(1, 9);
  return random.coin() ? size : -size;
}

using Row = std::vector<std::int64_t>;

void append(Row& row, std::string_view text) {
  for (const std::int64_t token : arithmetic_tokens(text)) row.push_back(token);
}

// The tokens of a sample, and what each is good for.
struct Rows {
  Row tokens, use, thing;
};

Rows rows_of(const Distractors::Sample& sample) {
  const auto asking = static_cast<std::size_t>(Distractors::kReading),
             lead = static_cast<std::size_t>(sample.lead);
  const std::string text = std::string(lead, '|') + distractor_prompt(sample.problem) + "|";
  Rows rows;
  rows.tokens.assign(asking, Distractors::kAsking);
  append(rows.tokens, text);
  rows.use.assign(asking, static_cast<std::int64_t>(TokenUse::kNone));
  for (const char c : text) {
    const bool separates = kSeparators.find(c) != std::string_view::npos;
    rows.use.push_back(
        static_cast<std::int64_t>(separates ? TokenUse::kSeparator : TokenUse::kSpare));
  }
  rows.tokens.insert(rows.tokens.end(), sample.junk.begin(), sample.junk.end());
  rows.use.resize(rows.tokens.size(), static_cast<std::int64_t>(TokenUse::kJunk));
  rows.thing.resize(rows.tokens.size(), 0);
  std::int64_t number = 0;
  for (const NeededThing& needed : needed_things(sample.problem)) {
    ++number;
    for (const std::size_t i : needed.tokens) {
      rows.use[asking + lead + i] = static_cast<std::int64_t>(TokenUse::kNeeded);
      rows.thing[asking + lead + i] = number;
    }
  }
  return rows;
}

}  // namespace

std::vector<NeededThing> needed_things(const ArithmeticProblem& problem) {
  check_operand(problem.x);
  check_operand(problem.y);
  const std::string text = distractor_prompt(problem);
  const std::int64_t answer = problem.result();
  std::vector<std::size_t> names;
  std::vector<NeededThing> things;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_name(text[i])) names.push_back(i);
    if (is_name(text[i]) || kSeparators.find(text[i]) != std::string_view::npos) continue;
    for (const char other : others_at(text, i)) {
      std::string changed = text;
      changed[i] = other;
      if (!changes_the_answer(changed, answer)) continue;
      things.push_back({{i}});
      break;
    }
  }
  const auto middle = names.begin() + 2;
  for (const auto& pair : {std::vector(names.begin(), middle), std::vector(middle, names.end())}) {
    if (changes_the_answer(with_names_swapped(text, pair), answer)) things.push_back({pair});
  }
  return things;
}

bool is_held_out_in_order(std::int64_t x, std::int64_t y) {
  constexpr std::uint64_t kSeed = 0x6f72646572;
  return Random(kSeed, static_cast<std::uint32_t>(x), static_cast<std::uint64_t>(y)).below(10u) ==
         0;
}

std::string distractor_prompt(const ArithmeticProblem& problem) {
  return fixed_prompt(problem, /*digits=*/1);
}

std::string distractor_reading(const ArithmeticProblem& p) {
  const std::int64_t first = p.defines_x_first ? p.x : p.y, second = p.defines_x_first ? p.y : p.x;
  return fmt::format("{}{:+}{:+}{}{}", p.defines_x_first ? 'x' : 'y', first, second, p.operation,
                     p.starts_with_x ? 'x' : 'y');
}

std::string distractor_steps(const ArithmeticProblem& problem) {
  ArithmeticProblem p = problem;
  if (p.operation == '-') (p.starts_with_x ? p.y : p.x) *= -1;
  const std::int64_t first = p.defines_x_first ? p.x : p.y, second = p.defines_x_first ? p.y : p.x;
  return fmt::format("{:+}{:+}{}", first, second, p.operation == '*' ? '*' : '+');
}

std::string answer_in_two_digits(std::int64_t answer) {
  check(std::abs(answer) <= 99, "distractors", "{} has more than two digits", answer);
  return fmt::format("{}{:02}", answer < 0 ? '-' : '+', std::abs(answer));
}

Distractors::Distractors(const DistractorData& data) : data_(data) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40, kMostJunk = 1000;
  check(data.samples >= 0 && data.samples <= kMost, "distractors",
        "samples must be from 0 to 2^40, not {}", data.samples);
  for (const std::int64_t most : {data.most_junk, data.most_lead}) {
    check(most >= 0 && most <= kMostJunk, "distractors",
          "junk and lead must be from 0 to {} tokens, not {}", kMostJunk, most);
  }
}

std::string Distractors::fingerprint() const {
  return fmt::format(
      "{} problems an epoch with up to {} tokens of junk and {} before, of seed {}, {}",
      data_.samples, data_.most_junk, data_.most_lead, data_.seed,
      data_.held_out ? "held out" : "not held out");
}

std::int64_t Distractors::length() const {
  constexpr std::int64_t kPrompt = 14;  // "x=-1,y=-1:y-x|"
  return kReading + data_.most_lead + kPrompt + data_.most_junk;
}

Distractors::Sample Distractors::sample(std::int64_t id, std::int64_t epoch) const {
  check(id >= 0 && id < size(), "distractors", "there is no sample {}: there are {}", id, size());
  check(epoch >= 0 && epoch < (std::int64_t{1} << 22), "distractors", "there is no epoch {}",
        epoch);
  Random random(data_.seed, stream_of("distractors"),
                static_cast<std::uint64_t>(epoch * size() + id));
  Sample drawn;
  ArithmeticProblem& p = drawn.problem;
  do {
    p = {draw_operand(random), draw_operand(random), random.coin(), random.coin(),
         "+-*"[random.below(3u)]};
  } while (is_held_out_in_order(p.x, p.y) != data_.held_out);
  drawn.lead = random.integer(0, data_.most_lead);
  drawn.junk.resize(static_cast<std::size_t>(random.integer(0, data_.most_junk)));
  for (std::int64_t& token : drawn.junk) {
    token = static_cast<std::int64_t>(
        kArithmeticVocabulary.find(kJunk[random.below(static_cast<std::uint32_t>(kJunk.size()))]));
  }
  return drawn;
}

Batch Distractors::collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const {
  std::vector<Sample> samples;
  for (const std::int64_t id : ids) samples.push_back(sample(id, epoch));
  Batch batch = collate_distractors(samples);
  batch.ids = Tensor::from(ids, {std::ssize(ids)});
  batch.epoch = epoch;
  return batch;
}

Batch collate_distractors(std::span<const Distractors::Sample> samples) {
  std::vector<Row> inputs, uses, things;
  Row readings, steps, targets;
  for (const Distractors::Sample& sample : samples) {
    Rows rows = rows_of(sample);
    inputs.push_back(std::move(rows.tokens));
    uses.push_back(std::move(rows.use));
    things.push_back(std::move(rows.thing));
    append(readings, distractor_reading(sample.problem));
    append(steps, distractor_steps(sample.problem));
    append(targets, answer_in_two_digits(sample.problem.result()));
  }
  const auto matrix = [&](const Row& row, std::int64_t columns) {
    return Tensor::from(std::span<const std::int64_t>(row), {std::ssize(samples), columns});
  };
  Batch batch;
  batch.inputs = pad_tokens(inputs, kPadToken);
  batch.targets = matrix(targets, Distractors::kAnswer);
  batch.others.push_back({"reading", matrix(readings, Distractors::kReading)});
  batch.others.push_back({"steps", matrix(steps, Distractors::kSteps)});
  batch.others.push_back({"use", pad_tokens(uses, 0)});
  batch.others.push_back({"thing", pad_tokens(things, 0)});
  return batch;
}

}  // namespace maskgrad
