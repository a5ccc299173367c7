// Batches, models and callbacks that are not there say so.
#include "support/undefined.hpp"

#include <maskgrad/train/data/token_masking.hpp>

#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::expect_used_before_a_value;

TEST(Undefined, BatchSaysSo) {
  const TokenMaskingOptions options = {.mask_token = 4, .vocabulary = 5};
  const RandomMask tokens(options);
  const SpanMask spans(options);
  expect_used_before_a_value({{"size", [] { Batch().size(); }},
                              {"RandomMask", [&] { tokens(Tensor(), {}, 0); }},
                              {"SpanMask", [&] { spans(Tensor(), {}, 0); }}});
}

TEST(Undefined, LossOfAModelIsAnError) {
  test::ToyRun toy({}, [](test::ToyRun&, const Batch&, Pass&) { return ModelOutput{}; });
  EXPECT_EQ(error_of([&] { toy.run(); }), "[train] the loss was used before it was given a value");
}

TEST(Undefined, ModelAndCallbackAreRefused) {
  test::ToyRun toy({});
  const auto without_model = [&] {
    Trainer(nullptr, *toy.parameters, *toy.optimizer, *toy.loader, {});
  };
  EXPECT_EQ(error_of(without_model), "[train] there is no model to train");
  EXPECT_EQ(error_of([&] { toy.trainer->add(nullptr); }), "[train] there is no callback to add");
}

}  // namespace
}  // namespace maskgrad
