// What the bits of a product of matrices do not depend on.
#include <bit>

#include <gmock/gmock.h>

#include "ops/cpu/product_operands.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::MatrixProduct;
using test::every_transpose;
using test::Operands;
using test::to_string;

template <class T>
class GemmBits : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GemmBits, FloatingTypes);

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TYPED_TEST(GemmBits, OfARowDoNotDependOnHowManyRowsThereAre) {
  Random random(1);
  constexpr std::int64_t kMost = 150;
  for (const std::int64_t k : {1, 3, 4, 30, 64, 65, 512, 513, 2500}) {
    for (const std::int64_t n : {1, 17, 40, 70}) {
      for (const MatrixProduct& d : every_transpose({.m = kMost, .n = n, .k = k})) {
        const auto operands = Operands<TypeParam>::real(random, d);
        const std::vector<TypeParam> all = operands.run();
        for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 23, 64, 97, 149}) {
          const std::vector<TypeParam> some = operands.first_rows(rows).run();
          EXPECT_TRUE(same_bits(some, {all.begin(), all.begin() + rows * n}))
              << rows << " rows of " << to_string(d);
        }
      }
    }
  }
}

// Those of d, whose samples have `more` rows besides: any of a, times 0.
template <class T>
Operands<T> padded(Random& random, const Operands<T>& operands, std::int64_t more) {
  const MatrixProduct& d = operands.product();
  MatrixProduct longer = d;
  longer.rows_per_sample += more;
  longer.k = d.k / d.rows_per_sample * longer.rows_per_sample;
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  std::vector<double> a(size(d.m * longer.k)), b(size(longer.k * d.n));
  for (double& x : a) x = random.uniform(-1, 1);
  for (std::int64_t p = 0; p < d.k; ++p) {
    const std::int64_t to = p / d.rows_per_sample * longer.rows_per_sample + p % d.rows_per_sample;
    for (std::int64_t i = 0; i < d.m; ++i) a[size(i * longer.k + to)] = operands.a(i, p);
    for (std::int64_t j = 0; j < d.n; ++j) b[size(to * d.n + j)] = operands.b(p, j);
  }
  return Operands<T>(longer, a, b);
}

TYPED_TEST(GemmBits, OfASumOverRowsDoNotDependOnHowManySamplesArePaddedWith) {
  Random random(2);
  for (const std::int64_t samples : {1, 3, 16, 17, 40, 100}) {
    for (const std::int64_t rows : {1, 2, 5, 20, 33, 600}) {
      if (samples * rows > 12000) continue;
      for (const auto& [m, n] : {std::pair{1, 1}, {3, 20}, {20, 17}, {32, 32}, {40, 40}}) {
        const MatrixProduct d = {
            .m = m, .n = n, .k = samples * rows, .transpose_a = true, .rows_per_sample = rows};
        const auto operands = Operands<TypeParam>::real(random, d);
        const std::vector<TypeParam> y = operands.run();
        for (const std::int64_t more : {1, 4, 31, 500}) {
          EXPECT_TRUE(same_bits(padded(random, operands, more).run(), y))
              << more << " more in " << to_string(d);
        }
      }
    }
  }
}

// The order that is promised, one number after another: groups of 512 terms, of up to sixteen
// samples, in chains of 64 terms of all of them; groups in a tree. Terms are exact, so that a
// machine that multiplies and adds at once gives the same.
template <class T>
T sum_in_order(const std::vector<T>& terms, std::int64_t samples) {
  const auto power_of_two = [](std::int64_t n) {
    return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
  };
  const std::int64_t length = std::ssize(terms) / samples,
                     together = power_of_two(std::min<std::int64_t>(16, samples)),
                     of_group = 512 / together,
                     groups_of_samples = power_of_two((length + of_group - 1) / of_group);
  std::vector<T> groups;
  for (std::int64_t first = 0; first < samples; first += together) {
    const std::int64_t last = std::min(first + together, samples);
    const std::int64_t of_chain = 64 / power_of_two(last - first);
    for (std::int64_t g = 0; g < groups_of_samples; ++g) {
      T group = 0;
      for (std::int64_t chain = g * of_group; chain < (g + 1) * of_group; chain += of_chain) {
        T sum = 0;
        for (std::int64_t p = chain; p < std::min({chain + of_chain, length, (g + 1) * of_group});
             ++p) {
          for (std::int64_t i = first; i < last; ++i) {
            sum += terms[static_cast<std::size_t>(i * length + p)];
          }
        }
        group += sum;
      }
      groups.push_back(group);
    }
  }
  while (groups.size() > 1) {
    std::vector<T> next((groups.size() + 1) / 2);
    for (std::size_t i = 0; i < groups.size(); ++i) next[i / 2] += groups[i];
    groups = next;
  }
  return groups[0];
}

TYPED_TEST(GemmBits, AreThoseOfTheOrderThatIsPromised) {
  Random random(5);
  for (const std::int64_t samples : {1, 2, 3, 8, 16, 17, 50}) {
    for (const std::int64_t length : {1, 3, 4, 5, 31, 32, 33, 64, 65, 200, 512, 513, 3000}) {
      const std::int64_t k = samples * length;
      if (k > 10000) continue;
      std::vector<double> a(static_cast<std::size_t>(k)), b(a.size(), 0.5);
      std::vector<TypeParam> terms(a.size());
      for (std::size_t p = 0; p < a.size(); ++p) {
        terms[p] = static_cast<TypeParam>(a[p] = static_cast<TypeParam>(random.uniform(-1, 1)));
        terms[p] /= 2;
      }
      for (const MatrixProduct& d : every_transpose({.m = 1, .n = 1, .k = k})) {
        MatrixProduct of_samples = d;
        if (samples > 1) {
          if (!d.transpose_a) continue;
          of_samples.rows_per_sample = length;
        }
        EXPECT_EQ(Operands<TypeParam>(of_samples, a, b).run()[0], sum_in_order(terms, samples))
            << to_string(of_samples);
      }
    }
  }
}

TYPED_TEST(GemmBits, DoNotDependOnTheNumberOfThreads) {
  Random random(3);
  std::vector<MatrixProduct> products;
  for (const auto& [m, n, k] :
       {std::array{200, 70, 65}, {2000, 30, 3}, {300, 300, 40}, {3, 700, 300}, {40, 40, 3000}}) {
    for (const bool samples : {false, true}) {
      for (const MatrixProduct& d :
           every_transpose({.m = m, .n = n, .k = k, .rows_are_samples = samples})) {
        products.push_back(d);
      }
    }
  }
  products.push_back({.m = 20, .n = 17, .k = 5000, .transpose_a = true, .rows_per_sample = 10});
  for (const MatrixProduct& d : products) {
    const auto operands = Operands<TypeParam>::real(random, d);
    const std::vector<TypeParam> one = operands.run();
    for (const int threads : {2, 3}) {
      const test::WithThreads more(threads);
      EXPECT_TRUE(same_bits(operands.run(), one)) << threads << " threads, " << to_string(d);
    }
  }
}

TYPED_TEST(GemmBits, AreThoseOfTheProductWhenABiasFollows) {
  Random random(4);
  std::vector<TypeParam> bias(70);
  for (auto& x : bias) x = static_cast<TypeParam>(random.uniform(-1, 1));
  for (const auto& [m, n, k] : {std::array{1, 70, 3}, {4, 33, 40}, {30, 20, 65}, {13, 9, 1100}}) {
    for (const bool samples : {false, true}) {
      for (const MatrixProduct& d :
           every_transpose({.m = m, .n = n, .k = k, .rows_are_samples = samples})) {
        const auto operands = Operands<TypeParam>::real(random, d);
        std::vector<TypeParam> expected = operands.run();
        for (std::size_t i = 0; i < expected.size(); ++i) {
          expected[i] += bias[i % static_cast<std::size_t>(n)];
          if (expected[i] < 0) expected[i] = 0;
        }
        EXPECT_TRUE(same_bits(operands.run({bias.data(), true}), expected)) << to_string(d);
      }
    }
  }
}

}  // namespace
}  // namespace maskgrad
