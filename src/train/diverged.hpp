// What ends a run whose numbers are not finite any more.
#pragma once

#include <maskgrad/tensor/finite.hpp>

namespace maskgrad {

/// A loss, gradient or weight is not finite. The same steps would fail again. To go on from what
/// was saved, take a smaller learning rate.
class Diverged : public Error {
 public:
  using Error::Error;
};

/// What an error says, "decide: a logit is NaN", without the name where that is `who`.
inline std::string text_of(const NotFiniteError& error, std::string_view who) {
  const std::string text(error.text());
  return error.name() == who ? text : fmt::format("{}: {}", error.name(), text);
}

}  // namespace maskgrad
