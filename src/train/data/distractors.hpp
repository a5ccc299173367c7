// Problems of arithmetic with junk behind them: what of the input an answer needs is known exactly.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad {

/// What a token of such an input is good for.
enum class TokenUse : std::uint8_t {
  kNone,       // padding, and the tokens that ask for the answer
  kSeparator,  // one of = , : |
  kJunk,       // stands behind the problem and has nothing to do with it
  kNeeded,     // has another value that changes the answer, all others as they are
  kSpare,      // a token of the problem that the answer does not depend on
};

/// Tokens of the problem that say one thing. The two names of the definitions are one thing, and so
/// are the two of the expression: each follows from the other. Any other token is one by itself.
struct NeededThing {
  std::vector<std::size_t> tokens;  // its characters in distractor_prompt()
};

/// The things in distractor_prompt(problem) that are needed: another value of theirs, with all else
/// as it is, changes the answer. Found by trying each other value: a digit 1 to 9, an operator + -
/// *, a sign + or -, and the two names the other way around. Throws Error unless both numbers have
/// one digit and are not 0, and for another operator than + - *.
std::vector<NeededThing> needed_things(const ArithmeticProblem& problem);

/// Whether a problem with this x and this y, in this order and with these signs, is kept from
/// training: 39 of the 324 pairs of -9 to 9 without 0, chosen by a hash.
bool is_held_out_in_order(std::int64_t x, std::int64_t y);

/// "x=-3,y=+4:y-x": fixed_prompt() of one digit.
std::string distractor_prompt(const ArithmeticProblem& problem);
/// What a problem says: the name that is defined first, the two operands in the order of their
/// definitions, each as sign and digit, the operator, and the first name of the expression.
/// "x-3+4-y" for "x=-3,y=+4:y-x". Throws Error as needed_things().
std::string distractor_reading(const ArithmeticProblem& problem);
/// What an answer is computed from: the two operands in the order of their definitions, each as
/// sign and digit, and "+" or "*". A sign is the one with which the operand is added, so y - x = 1
/// with x = 3 and y = 4 gives "-3+4+", or "+4-3+" where y is defined first. Throws Error as
/// needed_things().
std::string distractor_steps(const ArithmeticProblem& problem);
/// "-06": the sign and two digits of an answer. Throws Error unless it is from -99 to 99.
std::string answer_in_two_digits(std::int64_t answer);

struct DistractorData {
  std::int64_t samples = 20'000;  // of an epoch
  std::int64_t most_junk = 12;    // tokens of a sample
  std::int64_t most_lead = 3;     // separators before a problem
  std::uint64_t seed = 0;
  /// True: only problems of which is_held_out_in_order() says so. False: only the others.
  bool held_out = false;
};

/// Sample i of epoch e is problem e * samples + i of the seed, made when it is asked for. Its
/// tokens are kAsking 7 times, `|` 0 to most_lead times, so that places vary, a
/// problem as distractor_prompt() writes it, `|`, and 0 to most_junk tokens of junk, drawn from the
/// vocabulary without padding and separators. The operands are -9 to 9 without 0. A batch has
///   inputs   int64 [B, S], filled up with kPadToken;
///   targets  int64 [B, 3]: answer_in_two_digits();
///   "reading"  int64 [B, 7]: distractor_reading(), for the tokens that ask;
///   "steps"  int64 [B, 5]: distractor_steps();
///   "use"    int64 [B, S]: the TokenUse of each token;
///   "thing"  int64 [B, S]: 1, 2, ... for tokens of the needed things of the sample, else 0.
class Distractors : public Dataset {
 public:
  /// A token of its own, behind those of the vocabulary.
  static constexpr std::int64_t kAsking = 20, kVocabulary = 21;
  static constexpr std::int64_t kReading = 7, kSteps = 5, kAnswer = 3;

  /// Throws Error for samples below 0 or above 2^40, and for junk or lead below 0 or above 1000.
  explicit Distractors(const DistractorData& data);

  std::int64_t size() const override { return data_.samples; }
  Batch collate(std::span<const std::int64_t> ids) const override { return collate_in(0, ids); }
  Batch collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const override;
  /// The numbers that the samples are made from.
  std::string fingerprint() const override;

  /// A problem, how often `|` stands before it, and the tokens of the junk behind it.
  struct Sample {
    ArithmeticProblem problem;
    std::int64_t lead = 0;
    std::vector<std::int64_t> junk = {};
  };
  /// Throws Error for a sample or an epoch that is not there.
  Sample sample(std::int64_t id, std::int64_t epoch = 0) const;
  /// The most tokens of a sample.
  std::int64_t length() const;

 private:
  DistractorData data_;
};

/// A batch of these samples, as Distractors has them. Throws Error as needed_things(), for a lead
/// below 0 or above 1000, and for junk that is none of x y + - * and the digits.
Batch collate_distractors(std::span<const Distractors::Sample> samples);

}  // namespace maskgrad
