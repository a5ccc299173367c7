#include <algorithm>
#include <cmath>
#include <numeric>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/functors/rotation.hpp>
#include <maskgrad/ops/nn/rotary.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kName = "rotary_embedding";

const char* name_of(RotaryPairs pairs) {
  return pairs == RotaryPairs::kInterleaved ? "interleaved" : "halves";
}

RotaryPairs pairs_named(const std::string& name) {
  for (const RotaryPairs pairs : {RotaryPairs::kInterleaved, RotaryPairs::kHalves}) {
    if (name == name_of(pairs)) return pairs;
  }
  fail(kName, "pairs must be 'interleaved' or 'halves', got '{}'", shortened(name));
}

const OpDef& kRotaryEmbedding = register_op({
    .name = kName,
    .summary = "pairs of features rotated by the number of their position",
    .inputs = {{.name = "input", .reach = Reach::kLastAxis, .gradient = Reads::nothing()},
               integer_input("positions")},
    .args = {{"heads", std::int64_t{1}}, {"pairs", std::string("interleaved")}, {"base", 10000.0}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {rotary_embedding(call.input("input"), call.input("positions").value(),
                               {.heads = call.arg<std::int64_t>("heads"),
                                .pairs = pairs_named(call.arg<std::string>("pairs")),
                                .base = call.arg<double>("base")})};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      const auto sample = [&r](const Shape& x, const Shape& positions, std::int64_t heads,
                               const char* pairs, double base) -> OpSample {
        return {{{"input", sample_uniform(r, x)}, {"positions", sample_indices(r, positions, 50)}},
                {{"heads", heads}, {"pairs", pairs}, {"base", base}}};
      };
      return {sample({2, 3, 8}, {2, 3}, 2, "interleaved", 10000),
              sample({2, 4, 12}, {1, 4}, 2, "halves", 10000),
              sample({1, 3, 6}, {1, 3}, 1, "halves", 3),
              sample({0, 2, 4}, {1, 2}, 1, "interleaved", 10000)};
    },
});

void check_inputs(const Variable& x, const Tensor& positions, const RotaryOptions& options) {
  check(x.rank() == 3, kName, "needs [B, S, H d], got {}", x.shape());
  check(positions.rank() == 2 && positions.dim(1) == x.dim(1) &&
            (positions.dim(0) == x.dim(0) || positions.dim(0) == 1),
        kName, "positions {} must be [B, S] or [1, S] of the input {}", positions.shape(),
        x.shape());
  check(options.heads >= 1 && x.dim(2) % options.heads == 0, kName,
        "heads must divide the last dimension: {} and {}", options.heads, x.dim(2));
  check_rotary(kName, options, x.dim(2) / options.heads);
}

// The numbers of positions that angles are computed for, and which of them each position of x has,
// int64 [B S]; -1 in a hole.
struct Turns {
  PoolVector<std::int64_t> numbers;
  Tensor of_position;
};

template <class Id>
Turns read_turns(const Variable& x, const Tensor& positions) {
  const std::int64_t given = positions.numel(), count = x.dim(0) * x.dim(1);
  const Id* const numbers = positions.data<Id>();
  const KeptPlaces kept(x.mask(), {x.dim(0), x.dim(1)});
  Turns turns{PoolVector<std::int64_t>(static_cast<std::size_t>(given), 0),
              Tensor::full({count}, -1, DType::kInt64)};
  auto* const of_position = turns.of_position.data<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    if (!kept[i]) continue;
    const std::int64_t from = i % given, number = numbers[from];
    check(number >= 0, kName, "position {} at element {} of {} is below 0", number, from,
          positions.shape());
    turns.numbers[static_cast<std::size_t>(from)] = number;
    of_position[i] = from;
  }
  return turns;
}

// Sequences of a batch share their numbers. One row of angles for each number, up to the highest,
// is then less than one for each position.
void share_numbers(Turns& turns) {
  const auto most = std::max_element(turns.numbers.begin(), turns.numbers.end());
  if (most == turns.numbers.end() || *most >= std::ssize(turns.numbers) - 1) return;
  auto* const of_position = turns.of_position.data<std::int64_t>();
  for (std::int64_t i = 0; i < turns.of_position.numel(); ++i) {
    std::int64_t& turn = of_position[i];
    if (turn >= 0) turn = turns.numbers[static_cast<std::size_t>(turn)];
  }
  turns.numbers.resize(static_cast<std::size_t>(*most + 1));
  std::iota(turns.numbers.begin(), turns.numbers.end(), 0);
}

// What multiplies the number of a position: base^(-2i/d) for i = 0 .. d/2-1.
PoolVector<double> frequencies_of(std::int64_t pairs, double base,
                                  const PoolVector<std::int64_t>& numbers) {
  PoolVector<double> frequencies(static_cast<std::size_t>(pairs));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(base, -static_cast<double>(i) / static_cast<double>(pairs));
  }
  const auto highest = std::max_element(frequencies.begin(), frequencies.end());
  const auto most = std::max_element(numbers.begin(), numbers.end());
  if (highest != frequencies.end() && most != numbers.end()) {
    check(std::isfinite(*highest * static_cast<double>(*most)), kName,
          "base {} gives no finite angle at position {}", base, *most);
  }
  return frequencies;
}

// What the features of one head of one position are multiplied by, and how the pairs stand in it.
template <class T>
struct Rotation {
  const T *cosines, *sines;
  std::int64_t pairs;

  // The inverse rotates pairs whose two places are exchanged.
  void of_halves(const T* x, T* y, bool inverse) const {
    const std::int64_t first = inverse ? pairs : 0, second = pairs - first;
    map_vectors(pairs, y + first, kFirst, x + first, x + second, cosines, sines);
    map_vectors(pairs, y + second, kSecond, x + first, x + second, cosines, sines);
  }
  void of_interleaved(const T* x, T* y, bool inverse) const {
    if (inverse) {
      interleaved_at<1, 0>(x, y);
    } else {
      interleaved_at<0, 1>(x, y);
    }
  }

 private:
  // The places are known to the compiler, which makes vectors of this loop.
  template <int kA, int kB>
  void interleaved_at(const T* x, T* y) const {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const T a = x[2 * i + kA], b = x[2 * i + kB];
      y[2 * i + kA] = kFirst(a, b, cosines[i], sines[i]);
      y[2 * i + kB] = kSecond(a, b, cosines[i], sines[i]);
    }
  }

  static constexpr functors::RotatedFirst kFirst{};
  static constexpr functors::RotatedSecond kSecond{};
};

// The rotations of all positions. What they need is where x is.
class Rotations {
 public:
  Rotations(const Variable& x, const Tensor& positions, const RotaryOptions& options)
      : options_(options) {
    Turns turns;
    dispatch_dtype(IntegerTypes{}, positions.dtype(), kName,
                   [&]<class Id>(Id) { turns = read_turns<Id>(x, positions); });
    share_numbers(turns);
    const Shape shape = {std::ssize(turns.numbers), x.dim(2) / options.heads / 2};
    cosines_ = Tensor::empty(shape, x.dtype());
    sines_ = Tensor::empty(shape, x.dtype());
    compute_angles(turns.numbers, frequencies_of(shape[1], options.base, turns.numbers));
    for (Tensor* tensor : {&cosines_, &sines_}) *tensor = tensor->to(x.device());
    turns_ = turns.of_position.to(x.device());
  }

  // y = x rotated, or rotated back; 0 in holes.
  void rotate(const Tensor& x, bool inverse, Tensor& y) const {
    const std::int64_t features = x.dim(2);
    const auto on_cpu = [&] {
      dispatch_dtype(FloatingTypes{}, x.dtype(), kName, [&]<class T>(T) {
        const T *const cosines = cosines_.data<T>(), *const sines = sines_.data<T>();
        const auto* const turns = turns_.data<std::int64_t>();
        const std::int64_t pairs = cosines_.dim(1);
        const T* const from = x.data<T>();
        T* const to = y.data<T>();
        const auto rotate_at = [=, this](std::int64_t i) {
          const T* const given = from + i * features;
          T* const rotated = to + i * features;
          if (turns[i] < 0) {
            std::fill_n(rotated, features, T{});
          } else {
            const std::int64_t angles = turns[i] * pairs;
            rotate_heads(Rotation<T>{cosines + angles, sines + angles, pairs}, given, inverse,
                         rotated);
          }
        };
        parallel_for(x.dim(0) * x.dim(1), least_for(features, 4),
                     [&](std::int64_t i, std::int64_t end) {
                       for (; i < end; ++i) rotate_at(i);
                     });
      });
    };
    dispatch_device(x.device(), kRotaryEmbeddingCuda, on_cpu, x, cosines_, sines_, turns_, options_,
                    inverse, y);
  }

 private:
  void compute_angles(const PoolVector<std::int64_t>& numbers,
                      const PoolVector<double>& frequencies) {
    constexpr std::int64_t kWork = 64;  // of a cosine and a sine
    dispatch_dtype(FloatingTypes{}, cosines_.dtype(), kName, [&]<class T>(T) {
      T *const cosines = cosines_.data<T>(), *const sines = sines_.data<T>();
      const std::int64_t pairs = std::ssize(frequencies);
      parallel_for(
          std::ssize(numbers) * pairs, least_for(kWork), [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) {
              const auto number = static_cast<std::size_t>(i / pairs),
                         pair = static_cast<std::size_t>(i % pairs);
              const double angle = static_cast<double>(numbers[number]) * frequencies[pair];
              cosines[i] = static_cast<T>(std::cos(angle));
              sines[i] = static_cast<T>(std::sin(angle));
            }
          });
    });
  }

  template <class T>
  void rotate_heads(const Rotation<T>& rotation, const T* x, bool inverse, T* y) const {
    const std::int64_t features = 2 * rotation.pairs;
    for (std::int64_t h = 0; h < options_.heads; ++h, x += features, y += features) {
      if (options_.pairs == RotaryPairs::kHalves) {
        rotation.of_halves(x, y, inverse);
      } else {
        rotation.of_interleaved(x, y, inverse);
      }
    }
  }

  RotaryOptions options_;
  Tensor cosines_, sines_, turns_;  // as kRotaryEmbeddingCuda takes them
};

}  // namespace

void check_rotary(const char* name, const RotaryOptions& options, std::int64_t head) {
  check(head % 2 == 0, name, "the features of a head must be even, got {}", head);
  check(std::isfinite(options.base) && options.base > 0, name,
        "base must be finite and above 0, got {}", options.base);
}

// dx = g rotated back
Variable rotary_embedding(const Variable& x, const Tensor& positions,
                          const RotaryOptions& options) {
  check_defined(kRotaryEmbedding, {&x});
  check_defined(kRotaryEmbedding, "positions", positions);
  check_inputs(x, positions, options);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  Rotations rotations(x, positions, options);
  rotations.rotate(x.value(), false, y);
  auto rule = [rotations = std::move(rotations)](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    rotations.rotate(g, true, dx);
  };
  return record(kRotaryEmbedding, {&x}, std::move(y), std::move(rule),
                {{"positions", positions},
                 {"heads", options.heads},
                 {"pairs", name_of(options.pairs)},
                 {"base", options.base}});
}

}  // namespace maskgrad::ops
