// What every layer promises under a mask: nothing that is masked reaches a result, and padding
// further changes nothing.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/padded_tokens.hpp"
#include "layers/support.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::kLength;
using test::kVocabulary;
using test::padded_tokens;

constexpr std::int64_t kFeatures = 5;

class RegisteredLayer : public ::testing::TestWithParam<LayerSample> {};
INSTANTIATE_TEST_SUITE_P(Layers, RegisteredLayer, ::testing::ValuesIn(layer_samples()),
                         [](const auto& one) { return one.param.name; });

TEST_P(RegisteredLayer, KeepsItsPromises) {
  EXPECT_THAT(check_layer(GetParam()), ::testing::IsEmpty());
}

std::map<std::filesystem::path, std::string> texts_of(const char* folder) {
  std::map<std::filesystem::path, std::string> texts;
  for (const auto& file :
       std::filesystem::recursive_directory_iterator(test::source_file(folder))) {
    if (!file.is_regular_file()) continue;
    std::ifstream stream(file.path());
    texts[file.path()] = {std::istreambuf_iterator<char>(stream), {}};
  }
  return texts;
}

// The classes that are told their kind by the classes of them: "Layer|MultiHeadAttention|...".
std::string bases_in(const std::map<std::filesystem::path, std::string>& files) {
  const std::regex told("(\\w+)\\(std::string kind");
  std::string bases = "Layer";
  for (const auto& [path, text] : files) {
    for (std::sregex_iterator match(text.begin(), text.end(), told), end; match != end; ++match) {
      bases += "|" + match->str(1);
    }
  }
  return bases;
}

TEST(RegisteredLayers, AreAllThatThereAre) {
  std::set<std::string> kinds = {"Masking", "Embed"};  // of the model that check_layer() makes
  for (const LayerSample& sample : layer_samples()) kinds.insert(sample.make()->kind());
  const std::map<std::filesystem::path, std::string> files = texts_of("src/layers");
  // A kind is given as a text, or as the constant kName of the file.
  const std::regex given(": (?:" + bases_in(files) + ")\\((?:\"(\\w+)\"|kName\\b)"),
      constant("kName = \"(\\w+)\"");
  std::int64_t found = 0;
  for (const auto& [path, text] : files) {
    for (std::sregex_iterator match(text.begin(), text.end(), given), end; match != end; ++match) {
      std::string kind = (*match)[1];
      if (std::smatch name; kind.empty() && std::regex_search(text, name, constant)) kind = name[1];
      if (path.stem() == "layer" || kind == "Held") continue;  // an example; a helper
      ++found;
      EXPECT_EQ(kinds.count(kind), 1) << kind << " has no sample: register_layer()";
    }
  }
  EXPECT_GE(found, 35);
}

TEST(MaskPromises, HoldForALossOverPositions) {
  Sequential model;
  model.add<Masking>("masking")
      .add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures)
      .add<Dense>("dense", kFeatures, kVocabulary);
  const ParameterBuffer parameters(model, DType::kFloat64, 1);
  const auto loss = [&](std::int64_t extra) {
    return ops::cross_entropy(model(padded_tokens(extra)), padded_tokens(extra).value()).mean();
  };
  const LeakReport leaks = check_mask_leaks([&] { return loss(0); }, parameters.leaves());
  EXPECT_TRUE(leaks.holds()) << to_string(leaks);
  const PaddingReport padding = check_padding(loss, parameters.leaves());
  EXPECT_TRUE(padding.holds()) << to_string(padding);
  EXPECT_EQ(ops::accuracy(model(padded_tokens(0)), padded_tokens(0).value()).count, 6);
  EXPECT_EQ(ops::accuracy(model(padded_tokens(3)), padded_tokens(3).value()).hits.item(),
            ops::accuracy(model(padded_tokens(0)), padded_tokens(0).value()).hits.item());
}

TEST(MaskPromises, HoldForWhatStandsInPaddedTokens) {
  // The mask says what is padding; which ids stand there is nobody's business.
  Sequential model;
  model.add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures)
      .add<Reshape>("reshape", std::vector<std::int64_t>{kLength * kFeatures})
      .add<Dense>("dense", kLength * kFeatures, 3);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const SequenceMask mask = SequenceMask::from_tokens(padded_tokens().value(), 0);
  const Tensor g = Tensor::full({3, 3}, 1.0, DType::kFloat64);
  const auto pass = [&](std::int64_t pad) {
    Tensor ids = padded_tokens().value().clone();
    fill_holes(ids, mask, static_cast<double>(pad));
    return test::run_pass(model, parameters, Variable(ids, Variable::kConstant, mask), g);
  };
  const test::PassResults clean = pass(0);
  for (const std::int64_t pad : {1, 6, -1, 1000}) {
    EXPECT_TRUE(test::same_bits(pass(pad).output.value(), clean.output.value()));
    EXPECT_TRUE(test::same_bits(pass(pad).gradients, clean.gradients));
  }
}

TEST(MaskPromises, HoldForALargeBatchTakenInParts) {
  Sequential model;
  model.add<Masking>("masking")
      .add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures)
      .add<Dense>("dense", kFeatures, kVocabulary);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const auto loss = [&](std::int64_t first, std::int64_t count) {
    const Tensor part = padded_tokens().value().view(first * kLength, {count, kLength});
    return ops::cross_entropy(model(Variable(part)), part);
  };
  constexpr double kPositions = 6;  // of the three samples together: 3, 3 and none
  const auto gradients = [&](const std::vector<std::pair<std::int64_t, std::int64_t>>& parts) {
    parameters.clear_gradients();
    std::int64_t count = 0;
    for (const auto& [first, size] : parts) {
      Tape tape;
      const ops::SumCount part = loss(first, size);
      count += part.count;
      tape.backward(part.sum, 1 / kPositions);
    }
    EXPECT_EQ(count, kPositions);
    return test::to_doubles(parameters.gradients());
  };
  const std::vector<double> whole = gradients({{0, 3}});
  const std::vector<double> in_parts = gradients({{0, 1}, {1, 1}, {2, 1}});
  const auto size = static_cast<std::int64_t>(whole.size());
  EXPECT_TRUE(test::is_close(test::make(in_parts, {size}), whole, 1e-15));
}

}  // namespace
}  // namespace maskgrad
