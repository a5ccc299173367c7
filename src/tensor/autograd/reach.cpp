#include <algorithm>
#include <array>
#include <functional>
#include <string>

#include <maskgrad/tensor/autograd/reach.hpp>

namespace maskgrad {
namespace {

using Ties = std::array<int, Shape::kMaxRank>;

// The axes of an input aligned with those of the output under broadcasting.
Ties aligned(const Shape& input, const Shape& output) {
  Ties ties{};
  for (int a = 0; a < input.rank(); ++a) {
    ties[static_cast<std::size_t>(a)] = a + output.rank() - input.rank();
  }
  return ties;
}

// For each axis of `from`, how far a step along it goes among the elements of `to`, when axis a of
// `from` is axis ties[a] of `to`; 0 where it is none of them, or has one element there.
std::array<std::int64_t, Shape::kMaxRank> steps(const Shape& from, std::span<const int> ties,
                                                const Shape& to) {
  std::array<std::int64_t, Shape::kMaxRank> result{};
  for (int a = 0; a < from.rank(); ++a) {
    const int tied = ties[static_cast<std::size_t>(a)];
    if (tied < 0 || to[tied] == 1) continue;
    result[static_cast<std::size_t>(a)] = to.slice(tied + 1, to.rank()).numel();
  }
  return result;
}

// Elements i, i + 1, ... of one shape, and the elements j, j + step, ... of another that they are
// tied to.
struct Row {
  std::int64_t i, j, count, step;
};

// Calls f(Row) for all elements of `from`, and the elements of `to` that they are tied to. A row
// runs along as many of the last axes as have one step.
template <class F>
void for_each_row_tied(const Shape& from, std::span<const int> ties, const Shape& to, F f) {
  const auto step = steps(from, ties, to);
  const auto step_of = [&](int a) { return step[static_cast<std::size_t>(a)]; };
  int outer = from.rank();
  std::int64_t count = 1;
  const std::int64_t along = outer > 0 ? step_of(outer - 1) : 0;
  while (outer > 0 && step_of(outer - 1) == along * count) count *= from[--outer];
  for (std::int64_t i = 0; i < from.numel(); i += count) {
    std::int64_t j = 0, rest = i / count;
    for (int a = outer - 1; a >= 0; --a) {
      j += rest % from[a] * step_of(a);
      rest /= from[a];
    }
    f(Row{i, j, count, along});
  }
}

// Marks what is tied to a marked place.
void mark_tied(const bool* from, const Row& row, bool* to) {
  if (row.step == 0) {
    const bool* const end = from + row.i + row.count;
    to[row.j] |= std::find(from + row.i, end, true) != end;
    return;
  }
  for (std::int64_t n = 0; n < row.count; ++n) to[row.j + n * row.step] |= from[row.i + n];
}

// Takes the marks of the places that it is tied to.
void take_tied(const bool* from, const Row& row, bool* to) {
  if (row.step == 0) {
    std::fill_n(to + row.i, row.count, from[row.j]);
    return;
  }
  for (std::int64_t n = 0; n < row.count; ++n) to[row.i + n] = from[row.j + n * row.step];
}

// One side of a signature: letters before and after "...".
struct Side {
  std::string_view before, after;
  bool has_dots;

  int letters() const { return static_cast<int>(before.size() + after.size()); }
  // The axis of a shape of this rank that a letter stands for; kAlong where it has none.
  int axis_of(char letter, int rank) const {
    if (const auto at = before.find(letter); at != before.npos) return static_cast<int>(at);
    const auto at = after.find(letter);
    return at == after.npos ? kAlong : rank - static_cast<int>(after.size() - at);
  }
};

Side side_of(std::string_view text) {
  const auto dots = text.find("...");
  if (dots == text.npos) return {text, {}, false};
  return {text.substr(0, dots), text.substr(dots + 3), true};
}

struct Sides {
  Side input, output;
};

Sides sides_of(std::string_view signature) {
  const auto arrow = signature.find("->");
  return {side_of(signature.substr(0, arrow)), side_of(signature.substr(arrow + 2))};
}

bool is_side(const Side& side) {
  const std::string letters = std::string(side.before) + std::string(side.after);
  return std::all_of(letters.begin(), letters.end(), [&](char c) {
    return c >= 'a' && c <= 'z' && std::count(letters.begin(), letters.end(), c) == 1;
  });
}

bool fits(const Side& side, const Shape& shape) {
  return side.has_dots ? shape.rank() >= side.letters() : shape.rank() == side.letters();
}

Ties ties_of(const Reach& reach, const Way& way) {
  const auto [input, output] = sides_of(reach.signature());
  const int rank = way.input.rank(), end = way.output.rank();
  check(fits(input, way.input) && fits(output, way.output), "reach",
        "'{}' does not fit an input {} and an output {}", reach.signature(), way.input, way.output);
  check(!input.has_dots || !output.has_dots || rank - input.letters() <= end - output.letters(),
        "reach", "'...' of '{}' stands for more axes of an input {} than of an output {}",
        reach.signature(), way.input, way.output);
  const auto before = static_cast<int>(input.before.size()),
             after = rank - static_cast<int>(input.after.size()),
             past_dots = end - static_cast<int>(output.after.size());
  Ties ties{};
  for (int a = 0; a < rank; ++a) {
    int tied = kAlong;
    if (a < before) {
      tied = output.axis_of(input.before[static_cast<std::size_t>(a)], end);
    } else if (a >= after) {
      tied = output.axis_of(input.after[static_cast<std::size_t>(a - after)], end);
    } else if (output.has_dots) {
      tied = past_dots - (after - a);
    }
    ties[static_cast<std::size_t>(a)] = tied;
  }
  return ties;
}

void check_sizes(std::span<const int> ties, const Way& way) {
  for (int a = 0; a < way.input.rank(); ++a) {
    const int tied = ties[static_cast<std::size_t>(a)];
    if (tied < 0) continue;
    check(tied < way.output.rank(), "reach", "an output {} has no axis {}", way.output, tied);
    const std::int64_t of_input = way.input[a], of_output = way.output[tied];
    check(of_input == of_output || of_input == 1 || of_output == 1, "reach",
          "axis {} of an input {} is not as long as axis {} of an output {}, which has its index",
          a, way.input, tied, way.output);
  }
}

template <class F>
Tensor combine(const Tensor& a, const Tensor& b, F f) {
  check(a.shape() == b.shape(), "reach", "marks of {} and {} do not fit", a.shape(), b.shape());
  Tensor result = Tensor::empty(a.shape(), DType::kBool);
  std::transform(a.data<bool>(), a.data<bool>() + a.numel(), b.data<bool>(), result.data<bool>(),
                 f);
  return result;
}

}  // namespace

// By way of a shape of the output's rank that has an axis only where one of the input is tied to
// it.
Tensor spread(std::span<const int> ties, const Tensor& marked, const Way& way) {
  check_sizes(ties, way);
  Shape shared = way.output;
  for (int o = 0; o < shared.rank(); ++o) shared = shared.with_dim(o, 1);
  for (int a = 0; a < way.input.rank(); ++a) {
    const int tied = ties[static_cast<std::size_t>(a)];
    if (tied >= 0 && way.input[a] != 1) shared = shared.with_dim(tied, way.output[tied]);
  }
  const Ties of_output = aligned(way.output, shared);
  Tensor seen = Tensor::zeros(shared, DType::kBool), result = Tensor::empty(way.to(), DType::kBool);
  bool *const seen_at = seen.data<bool>(), *const result_at = result.data<bool>();
  const bool* const from = marked.data<bool>();
  for_each_row_tied(way.from(), way.back ? std::span<const int>(of_output) : ties, shared,
                    [=](const Row& row) { mark_tied(from, row, seen_at); });
  for_each_row_tied(way.to(), way.back ? ties : std::span<const int>(of_output), shared,
                    [=](const Row& row) { take_tied(seen_at, row, result_at); });
  return result;
}

void check_signature(const char* name, const Reach& reach) {
  if (reach.kind() != Reach::kSignature) return;
  const std::string_view text = reach.signature();
  const bool has_arrow = text.find("->") != text.npos;
  const bool is_one = has_arrow && is_side(sides_of(text).input) && is_side(sides_of(text).output);
  check(is_one, name, "'{}' is no signature; write one like '...k->...n'", text);
}

Tensor spread(Reach reach, const Tensor& marked, const Way& way) {
  Ties ties = aligned(way.input, way.output);
  switch (reach.kind()) {
    case Reach::kSignature:
      return spread(ties_of(reach, way), marked, way);
    case Reach::kLastAxis:
      if (way.input.rank() > 0) ties[static_cast<std::size_t>(way.input.rank() - 1)] = kAlong;
      [[fallthrough]];
    case Reach::kElement:
      return spread(ties, marked, way);
    case Reach::kSameOrder:
      return marked.reshape(way.to());
    case Reach::kUnset:
    case Reach::kEverything:
    case Reach::kByCall:
      break;
  }
  return Tensor::full(way.to(), any(marked), DType::kBool);
}

Tensor spread_back(const std::function<Tensor(const Tensor&)>& forward, const Tensor& marked,
                   const Shape& input) {
  Tensor found = Tensor::zeros(input, DType::kBool);
  const std::function<void(std::int64_t, std::int64_t)> look = [&](std::int64_t begin,
                                                                   std::int64_t end) {
    Tensor part = Tensor::zeros(input, DType::kBool);
    std::fill(part.data<bool>() + begin, part.data<bool>() + end, true);
    if (begin == end || !any(both(forward(part), marked))) return;
    if (end - begin == 1) {
      found.data<bool>()[begin] = true;
      return;
    }
    const std::int64_t middle = begin + (end - begin) / 2;
    look(begin, middle);
    look(middle, end);
  };
  look(0, input.numel());
  return found;
}

Tensor mark(const Shape& shape, std::int64_t element) {
  check(element >= 0 && element < shape.numel(), "reach", "{} has no element {}", shape, element);
  Tensor marks = Tensor::zeros(shape, DType::kBool);
  marks.data<bool>()[element] = true;
  return marks;
}

Tensor opposite(const Tensor& a) {
  Tensor result = Tensor::empty(a.shape(), DType::kBool);
  std::transform(a.data<bool>(), a.data<bool>() + a.numel(), result.data<bool>(),
                 std::logical_not<bool>());
  return result;
}

// Without a branch, so that the compiler makes vectors of the loops.
Tensor either(const Tensor& a, const Tensor& b) {
  return combine(a, b, [](bool x, bool y) { return static_cast<bool>(x | y); });
}
Tensor both(const Tensor& a, const Tensor& b) {
  return combine(a, b, [](bool x, bool y) { return static_cast<bool>(x & y); });
}

bool any(const Tensor& marked) { return first_marked(marked) >= 0; }

std::int64_t first_marked(const Tensor& marked) {
  const auto bits = marked.values<bool>();
  const auto found = std::find(bits.begin(), bits.end(), true);
  return found == bits.end() ? -1 : found - bits.begin();
}

}  // namespace maskgrad
