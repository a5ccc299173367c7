#include <algorithm>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>
#include <maskgrad/train/data/operands.hpp>
#include <maskgrad/train/data/pad_tokens.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "distractors";
constexpr std::string_view kSeparators = "=,:|", kJunk = "xy+-*0123456789";

bool is_name(char c) { return c == 'x' || c == 'y'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check_problem(const ArithmeticProblem& p) { check_operands(kName, p.x, p.y, p.operation); }

void check_junk(std::int64_t token) {
  const std::string character = arithmetic_text({&token, 1});
  check(kJunk.find(character) != std::string_view::npos, kName,
        "junk is made of {}, and not of '{}'", kJunk, character);
}

void check_sample(const Distractors::Sample& sample) {
  check_problem(sample.problem);
  check_lead(kName, sample.lead);
  std::ranges::for_each(sample.junk, check_junk);
}

// The other characters that may stand in place of one, with all others as they are.
std::string others_at(const std::string& text, std::size_t i) {
  const bool is_operator = i + 2 == text.size();  // between the names of the expression
  std::string others(is_digit(text[i]) ? "123456789" : is_operator ? kOperators : "+-");
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

using Row = std::vector<std::int64_t>;

// The tokens of a sample, and what each is good for.
struct Rows {
  Row tokens, use, thing;
};

Rows rows_of(const Distractors::Sample& sample) {
  check_sample(sample);
  const auto asking = static_cast<std::size_t>(Distractors::kReading),
             lead = static_cast<std::size_t>(sample.lead);
  const std::string text = std::string(lead, '|') + distractor_prompt(sample.problem) + "|";
  Rows rows;
  rows.tokens.assign(asking, Distractors::kAsking);
  append_tokens(rows.tokens, text);
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
  check_problem(problem);
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
  check_problem(p);
  const std::int64_t first = p.defines_x_first ? p.x : p.y, second = p.defines_x_first ? p.y : p.x;
  return fmt::format("{}{:+}{:+}{}{}", p.defines_x_first ? 'x' : 'y', first, second, p.operation,
                     p.starts_with_x ? 'x' : 'y');
}

std::string distractor_steps(const ArithmeticProblem& problem) {
  check_problem(problem);
  ArithmeticProblem p = problem;
  if (p.operation == '-') (p.starts_with_x ? p.y : p.x) *= -1;
  const std::int64_t first = p.defines_x_first ? p.x : p.y, second = p.defines_x_first ? p.y : p.x;
  return fmt::format("{:+}{:+}{}", first, second, p.operation == '*' ? '*' : '+');
}

std::string answer_in_two_digits(std::int64_t answer) {
  check(answer >= -99 && answer <= 99, kName, "{} has more than two digits", answer);
  return fmt::format("{:+03}", answer);
}

Distractors::Distractors(const DistractorData& data) : data_(data) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40, kMostJunk = kMostLead;
  check(data.samples >= 0 && data.samples <= kMost, kName, "samples must be from 0 to 2^40, not {}",
        data.samples);
  for (const std::int64_t most : {data.most_junk, data.most_lead}) {
    check(most >= 0 && most <= kMostJunk, kName,
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
  check(id >= 0 && id < size(), kName, "there is no sample {}: there are {}", id, size());
  check(epoch >= 0 && epoch < (std::int64_t{1} << 22), kName, "there is no epoch {}", epoch);
  Random random(data_.seed, stream_of("distractors"),
                static_cast<std::uint64_t>(epoch * size() + id));
  Sample drawn;
  ArithmeticProblem& p = drawn.problem;
  do {
    p = {draw_operand(random), draw_operand(random), random.coin(), random.coin(),
         kOperators[random.below(3u)]};
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
    append_tokens(readings, distractor_reading(sample.problem));
    append_tokens(steps, distractor_steps(sample.problem));
    append_tokens(targets, answer_in_two_digits(sample.problem.result()));
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
