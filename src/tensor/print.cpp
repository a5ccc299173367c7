#include <algorithm>
#include <array>
#include <ostream>
#include <vector>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kMostOfRow = 8;     // elements on one line
constexpr std::int64_t kMostOfLines = 10;  // without those of "..."

std::string element_text(const Tensor& x, std::int64_t i) {
  return dispatch_dtype(AllTypes{}, x.dtype(), "to_string", [&]<class T>(T) {
    const T value = x.data<T>()[i];
    if constexpr (std::is_floating_point_v<T>) return fmt::format("{:.6g}", value);
    return fmt::format("{}", value);
  });
}

// How many entries of each dimension are shown. Rows come first; what is left of the lines goes to
// the inner dimensions before the outer ones.
std::vector<std::int64_t> shown_entries(const Shape& shape) {
  std::vector<std::int64_t> shown(shape.begin(), shape.end());
  std::int64_t lines = kMostOfLines;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const bool is_row = axis == shape.rank() - 1;
    std::int64_t& count = shown[static_cast<std::size_t>(axis)];
    const std::int64_t most = is_row ? kMostOfRow : std::max<std::int64_t>(lines, 1);
    // Half from the front and half from the end, where not all are shown.
    if (count > most) count = most > 1 ? most / 2 * 2 : 1;
    if (!is_row && count > 0) lines /= count;
  }
  return shown;
}

// Writes a tensor's shown elements, each as wide as the widest.
class Writer {
 public:
  explicit Writer(const Tensor& x) : x_(x), shown_(shown_entries(x.shape())) {
    for_each_shown(0, 0,
                   [&](std::int64_t i) { width_ = std::max(width_, element_text(x_, i).size()); });
  }

  std::string write() {
    write_axis(0, 0);
    return std::move(text_);
  }

 private:
  std::int64_t shown(int axis) const { return shown_[static_cast<std::size_t>(axis)]; }
  std::int64_t front(int axis) const { return (shown(axis) + 1) / 2; }
  bool is_cut(int axis) const { return shown(axis) < x_.shape()[axis]; }
  // The entry that is shown as number k.
  std::int64_t entry(int axis, std::int64_t k) const {
    return k < front(axis) ? k : x_.shape()[axis] - shown(axis) + k;
  }
  std::int64_t step(int axis) const { return x_.shape().slice(axis + 1, x_.rank()).numel(); }

  template <class F>
  void for_each_shown(int axis, std::int64_t first, const F& f) const {
    if (axis == x_.rank()) return f(first);
    for (std::int64_t k = 0; k < shown(axis); ++k) {
      for_each_shown(axis + 1, first + entry(axis, k) * step(axis), f);
    }
  }

  void write_axis(int axis, std::int64_t first) {
    if (axis == x_.rank()) {
      text_ += fmt::format("{:>{}}", element_text(x_, first), width_);
      return;
    }
    const bool is_row = axis == x_.rank() - 1;
    const std::string between =
        is_row ? ", " : ",\n" + std::string(static_cast<std::size_t>(axis) + 1, ' ');
    text_ += '[';
    for (std::int64_t k = 0; k < shown(axis); ++k) {
      if (k > 0) text_ += between;
      write_axis(axis + 1, first + entry(axis, k) * step(axis));
      if (is_cut(axis) && k + 1 == front(axis)) text_ += between + "...";
    }
    text_ += ']';
  }

  const Tensor& x_;
  std::vector<std::int64_t> shown_;
  std::size_t width_ = 0;
  std::string text_;
};

}  // namespace

std::string to_string(const Tensor& x) {
  if (!x.defined()) return "undefined";
  const std::string head = fmt::format("{} {}", to_string(x.dtype()), x.shape());
  // Without elements there may be any number of empty brackets.
  if (x.numel() == 0) return head + "\n[]";
  return head + "\n" + Writer(x).write();
}

std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }

std::string with_commas(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && text != "-") text += ',';
    text += digits[i];
  }
  return text;
}

std::string count_of(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", with_commas(count), what, count == 1 ? "" : "s");
}

}  // namespace maskgrad
