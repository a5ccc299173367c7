#include <set>
#include <vector>

#include <fmt/format.h>

#include <maskgrad/layers/next_tokens.hpp>
#include <maskgrad/tensor/dtype.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "find_wrong_target";

// The positions of a sequence that exist, in their order.
std::vector<std::int64_t> existing(const Variable& tokens, std::int64_t sequence) {
  const std::int64_t length = tokens.dim(1);
  std::vector<std::int64_t> places;
  for (std::int64_t s = sequence * length; s < (sequence + 1) * length; ++s) {
    if (!tokens.mask().defined() || tokens.mask().bits().data<bool>()[s]) places.push_back(s);
  }
  return places;
}

// Calls f(position, place, place of the token `shift` positions on) for each target that counts,
// where there is such a token, until f returns false.
template <class F>
void for_each_pair(const Variable& tokens, const SequenceMask& counted, std::int64_t shift, F f) {
  for (std::int64_t b = 0; b < tokens.dim(0); ++b) {
    const std::vector<std::int64_t> places = existing(tokens, b);
    for (std::int64_t i = 0; i < std::ssize(places); ++i) {
      const std::int64_t place = places[static_cast<std::size_t>(i)];
      if (counted.defined() && !counted.bits().data<bool>()[place]) continue;
      if (i + shift < 0 || i + shift >= std::ssize(places)) continue;
      if (!f(i, place, places[static_cast<std::size_t>(i + shift)])) return;
    }
  }
}

template <class T>
class Targets {
 public:
  Targets(const Variable& tokens, const Tensor& targets, const SequenceMask& counted)
      : tokens_(tokens), targets_(targets.data<T>()), counted_(counted) {}

  std::string fault() const {
    std::string text;
    const T* x = tokens_.value().data<T>();
    for_each_pair(tokens_, counted_, 1, [&](std::int64_t i, std::int64_t at, std::int64_t next) {
      if (targets_[at] == x[next]) return true;
      text = fmt::format("the target of position {} of sequence {} is {}, and the next token is {}",
                         i, at / tokens_.dim(1), targets_[at], x[next]);
      return false;
    });
    return text.empty() ? text : text + shift_text();
  }

 private:
  // The places whose targets are wrong.
  std::set<std::int64_t> wrong() const {
    const T* x = tokens_.value().data<T>();
    std::set<std::int64_t> places;
    for_each_pair(tokens_, counted_, 1, [&](std::int64_t, std::int64_t at, std::int64_t next) {
      if (targets_[at] != x[next]) places.insert(at);
      return true;
    });
    return places;
  }

  // Whether each target is the token so many positions on, where there is such a token. Right
  // targets alone do not tell: tokens may be alike.
  bool are_shifted_by(std::int64_t shift, const std::set<std::int64_t>& wrong) const {
    const T* x = tokens_.value().data<T>();
    bool all = true, any_wrong = false;
    for_each_pair(tokens_, counted_, shift, [&](std::int64_t, std::int64_t at, std::int64_t other) {
      any_wrong |= wrong.contains(at);
      return all = targets_[at] == x[other];
    });
    return all && any_wrong;
  }

  std::string shift_text() const {
    const std::set<std::int64_t> wrong = this->wrong();
    if (are_shifted_by(0, wrong)) return ": every target is the token at its own position";
    for (const std::int64_t shift : {2, 3}) {
      if (are_shifted_by(shift, wrong)) {
        return fmt::format(": every target is the token {} positions on", shift);
      }
    }
    if (are_shifted_by(-1, wrong)) return ": every target is the token before";
    return "";
  }

  const Variable& tokens_;
  const T* targets_;
  const SequenceMask& counted_;
};

}  // namespace

std::string find_wrong_target(const Variable& tokens, const Tensor& targets,
                              const SequenceMask& counted) {
  check_given(tokens.defined(), kName, "the tokens");
  check_given(targets.defined(), kName, "the targets");
  check(
      tokens.rank() == 2 && targets.shape() == tokens.shape() && targets.dtype() == tokens.dtype(),
      kName, "tokens and targets must be [B, S] of one dtype, got {} {} and {} {}",
      to_string(tokens.dtype()), tokens.shape(), to_string(targets.dtype()), targets.shape());
  check(!counted.defined() || counted.bits().shape() == tokens.shape(), kName,
        "the mask of what counts must be {}, got {}", tokens.shape(), counted.shape());
  std::string fault;
  dispatch_dtype(IntegerTypes{}, tokens.dtype(), kName,
                 [&]<class T>(T) { fault = Targets<T>(tokens, targets, counted).fault(); });
  return fault;
}

}  // namespace maskgrad
