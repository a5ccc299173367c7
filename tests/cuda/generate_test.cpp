// Text from a model on a device: its cache of keys and values, and the choice of tokens.
#include <gmock/gmock.h>

#include <maskgrad/layers/generate/beam.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/layers/generate/sample.hpp>

#include "cuda/on_cuda.hpp"
#include "layers/generate/language_model.hpp"
#include "support/errors.hpp"
#include "support/masks.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using ::testing::HasSubstr;

// What a layer has kept of two sequences, in several steps; the last tells which sequences stay.
std::vector<Tensor> kept(Device device, DType dtype) {
  constexpr std::int64_t kKeyFeatures = 3, kValueFeatures = 5;
  KeyValueCache cache(2, 40);
  Random random(1);
  std::vector<Tensor> all;
  const auto keep = [&](const std::vector<double>& places, const SequenceMask& mask) {
    const std::int64_t length = std::ssize(places) / cache.batch();
    const auto draw = [&](std::int64_t features) {
      return test::uniform(random, {cache.batch(), length, features}).to(dtype).to(device);
    };
    const Tensor keys = draw(kKeyFeatures), values = draw(kValueFeatures);
    const KeyValueCache::Kept& now = cache.keep(
        "layer", keys, values, test::make(places, {cache.batch(), length}, DType::kInt64), mask);
    // Later steps write into the same memory.
    all.push_back(now.keys.clone().to(Device{}));
    all.push_back(now.values.clone().to(Device{}));
  };
  keep({0, 1, 2, 0, 0, 1}, test::mask_of({1, 1, 1, 1, 0, 1}, {2, 3}));
  keep({3, 2}, {});
  keep({4, 0}, test::mask_of({1, 0}, {2, 1}));
  const std::int64_t from[] = {1, 0, 1};
  cache.select(from);
  std::vector<double> many;
  for (int b = 0; b < 3; ++b) {
    for (int s = 0; s < 20; ++s) many.push_back((b == 1 ? 5 : 3) + s);
  }
  keep(many, {});  // beyond the first block
  return all;
}

TEST(CudaGenerate, KeepsKeysAndValuesWhereTheCpuDoes) {
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<Tensor> wanted = kept(Device{}, dtype);
    test::in_each_order([&] {
      const std::vector<Tensor> got = kept(kCuda, dtype);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(is_identical(got[i], wanted[i])) << i;
      }
    });
  }
}

TEST(CudaGenerate, ReadsLogitsThatAreThere) {
  const Tensor here = test::make({0.5, -1, 2, 1}, {4}, DType::kFloat32), there = here.to(kCuda);
  EXPECT_EQ(probabilities(there, {.top_k = 2}), probabilities(here, {.top_k = 2}));
  EXPECT_EQ(log_probabilities(there), log_probabilities(here));
  EXPECT_EQ(sample_token(there, {.temperature = 0}, 0.5), 2);
}

TEST(CudaGenerate, GivesTheTokensOfTheCpuOrSaysWhatIsMissing) {
  const std::vector<Tokens> prompts = {
      {1, 2, 3}, {4}, {5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1}};
  const auto made = [&](Device device) {
    test::SmallLanguageModel::Parts parts(test::SmallLanguageModel::usual());
    ParameterBuffer parameters(parts, DType::kFloat32, 1, device);
    const LanguageModel model = [&](const Variable& tokens, Pass& pass) {
      return parts(tokens, pass);
    };
    std::vector<Tokens> all = generate(model, prompts, {.tokens = 5});
    for (const bool cache : {false, true}) {
      const auto found = beam_search(model, prompts, {.beams = 2, .tokens = 4, .cache = cache});
      for (const auto& hypotheses : found) all.push_back(hypotheses[0].tokens);
    }
    return all;
  };
  std::vector<Tokens> got;
  const std::string error = test::error_of([&] { got = made(kCuda); });
  if (error == "no error") {
    EXPECT_EQ(got, made(Device{}));
  } else {
    EXPECT_THAT(error, HasSubstr("has no CUDA kernel"));
    RecordProperty("missing", error);
  }
}

}  // namespace
}  // namespace maskgrad
