// Explained inputs: what is said of them, and how they are drawn.
#include <gmock/gmock.h>

#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/report/explained_section.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

#include "support/markup.hpp"
#include "support/tensors.hpp"
#include "train/report/page.hpp"

namespace maskgrad {
namespace {

using ops::SeenAttention;
using test::MarkupReader;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

SeenAttention seen_of(std::string layer, const AttentionMask& pairs, const Tensor& weights) {
  SeenAttention seen;
  seen.layer = std::move(layer);
  seen.pairs = pairs;
  seen.weights = weights;
  seen.key_heads = 1;
  seen.features = seen.value_features = 2;
  seen.computed_pairs = seen.kept_pairs();
  return seen;
}

// "ab" and a position of padding, which takes part.
ExplainedInput two_and_padding() {
  const std::int64_t lengths[] = {2};
  ExplainedInput input = {.text = "ab", .tokens = {"a", "b", " "}, .given = 2, .position = 1};
  input.exists = SequenceMask::from_lengths(lengths, 3);
  input.attention = {seen_of("reflect", AttentionMask::all(3, 3),
                             test::make({.5, .25, .25, .125, .125, .75, 0, 0, 1}, {1, 1, 3, 3}))};
  input.answers_are = "answer";
  input.answers = {{"x", 0.75}, {"y", 0.25}};
  return input;
}

TEST(ExplainedInput, PutsTheRulesOfMasksInPlainWords) {
  EXPECT_EQ(mask_in_words("causal"), "a position attends to itself and to those before it");
  EXPECT_EQ(mask_in_words("existing & causal"),
            "positions that exist attend to positions that exist; a position attends to itself and "
            "to those before it");
  EXPECT_EQ(mask_in_words(AttentionMask::window(9, 9, 3, 1).recipe()),
            "a position attends to 3 before it, to itself and to 1 behind it");
  EXPECT_EQ(mask_in_words(AttentionMask::prefix(9, 9, 4).recipe()),
            "all attend to the first 4; the rest is causal");
  EXPECT_EQ(mask_in_words(AttentionMask::causal(4, 9, 5).recipe()),
            "causal, with the queries shifted by 5");
  for (const char* text :
       {"", "~causal", "causal | sink(2)", "causal & ...", "window(", "(", " & "}) {
    EXPECT_EQ(mask_in_words(text), "") << text;
  }
}

TEST(ExplainedInput, HasWordsForEveryRuleThatMakesAMask) {
  const std::int64_t lengths[] = {2};
  const SequenceMask mask = SequenceMask::from_lengths(lengths, 3);
  for (const AttentionMask& pairs :
       {AttentionMask::all(3, 3), AttentionMask::causal(3), AttentionMask::window(3, 3, 1, 0),
        AttentionMask::prefix(3, 3, 1), AttentionMask::sink(3, 3, 1), AttentionMask::padding(mask),
        AttentionMask::existing(mask),
        AttentionMask::segments(Tensor::from<std::int64_t>({0, 0, 1}, {1, 3})),
        AttentionMask::before(Tensor::from<std::int64_t>({0, 2, 1}, {1, 3}), 3),
        AttentionMask::bits(Tensor::full({3, 3}, true, DType::kBool))}) {
    EXPECT_NE(mask_in_words(pairs.recipe()), "") << pairs.recipe();
  }
}

TEST(ExplainedInput, NamesTheLayersUnderEachMask) {
  ExplainedInput input = {.text = "ab", .tokens = {"a", "b"}, .given = 2};
  const Tensor weights = Tensor::full({1, 1, 2, 2}, 0.5, DType::kFloat32);
  for (const auto& [layer, pairs] :
       {std::pair("one", AttentionMask::causal(2)), std::pair("two", AttentionMask::all(2, 2)),
        std::pair("three", AttentionMask::window(2, 2, 1, 0))}) {
    input.attention.push_back(seen_of(layer, pairs, weights));
  }
  const std::vector<MaskInUse> masks = masks_in_use(input);  // the window is causal here
  ASSERT_EQ(masks.size(), 2U);
  EXPECT_THAT(masks[0].layers, ElementsAre("one", "three"));
  EXPECT_EQ(masks[0].users(3), "one and 1 more");
  EXPECT_EQ(masks[1].users(3), "two");
  EXPECT_EQ(masks[0].users(2), "all layers");
  EXPECT_EQ(masks[1].users(1), "two");
}

TEST(ExplainedInput, TellsWhatPaddingGets) {
  ExplainedInput input = two_and_padding();
  EXPECT_DOUBLE_EQ(weight_at_padding(input, input.attention[0]), (.25 + .75) / 2);
  EXPECT_EQ(about_padding(input), "Padding gets 50 % of the weight of the positions that exist.");
  EXPECT_EQ(about_tokens(input), "3 positions: 2 exist, 1 are padding.");
  EXPECT_EQ(about_mask(masks_in_use(input)[0]),
            "all: every position attends to every position. Keeps 9 of 9 pairs (100 %).");
  input.exists = {};
  EXPECT_EQ(weight_at_padding(input, input.attention[0]), 0);
  EXPECT_EQ(about_padding(input), "");
  EXPECT_EQ(about_work(input).size(), 1U) << "all exist";
  input.given = 1;
  EXPECT_EQ(about_tokens(input),
            "3 positions, all of which exist. 1 were given; the model wrote the 2 behind them.");
}

TEST(ExplainedInput, SaysThatHeadsShareAMaskAndWhatTheOtherLayersCompute) {
  ExplainedInput input = two_and_padding();
  EXPECT_EQ(about_work(input).back(),
            "The other layers compute 3 positions, of which 2 exist: one input is not packed.");
  input.attention[0].weights = Tensor::full({1, 4, 3, 3}, 0.25, DType::kFloat32);
  EXPECT_THAT(about_mask(masks_in_use(input)[0]),
              testing::EndsWith("Keeps 9 of 9 pairs (100 %) in each head."));
}

TEST(ExplainedInput, TellsWhatABiasChangesAndWhatAttentionCosts) {
  SeenAttention seen = two_and_padding().attention[0];
  EXPECT_EQ(about_bias(seen), "");
  seen.bias_effect = 0.0;
  EXPECT_EQ(about_bias(seen), "A bias is added to the scores. It changes no weight at all.");
  seen.bias_effect = 6e-8;
  EXPECT_EQ(about_bias(seen),
            "A bias is added to the scores. It changes no weight by more than 6e-08: it hides "
            "nothing.");
  seen.bias_effect = 0.4375;
  EXPECT_EQ(about_bias(seen),
            "A bias is added to the scores. It changes a weight by 0.44 at the most.");
  seen.computed_pairs = 6;
  EXPECT_EQ(work_of(seen).done, 6 * 4);
  EXPECT_EQ(work_of(seen).saved, 3 * 4);
}

TEST(ExplainedInput, WritesSharesSoThatAllAndNothingAreExact) {
  EXPECT_EQ(percent_text(0), "0 %");
  EXPECT_EQ(percent_text(1), "100 %");
  EXPECT_EQ(percent_text(1e-9), "below 0.1 %");
  EXPECT_EQ(percent_text(0.0123), "1.2 %");
  EXPECT_EQ(percent_text(0.49), "49 %");
  EXPECT_EQ(percent_text(0.997), "99.7 %");
  EXPECT_EQ(percent_text(0.99999), "almost 100 %");
  EXPECT_EQ(percent_text(test::kNaN), "nan");
}

TEST(ExplainedSection, DrawsAWeightForEachPairThatHasOne) {
  const ExplainedInput input = two_and_padding();
  const std::string svg = draw_weights(input, input.attention[0], 0, "Weights", 1).svg;
  EXPECT_EQ(MarkupReader(svg).fault(), "");
  EXPECT_EQ(test::count_of(svg, "class=\"weight\""), 7U) << "two are 0";
  EXPECT_EQ(test::count_of(svg, "class=\"kept\""), 3U) << "a run for each query";
  EXPECT_THAT(svg, HasSubstr("<title>query 1 b to key 2 ␣: 0.75</title>"));
  EXPECT_THAT(svg, HasSubstr("fill-opacity=\"0.50\"><title>query 0 a to key 1 b: 0.25<"));
}

TEST(ExplainedSection, LeavesOutPairsThatAreNotKeptAndWeightsThatAreNoNumber) {
  ExplainedInput input = two_and_padding();
  input.attention[0] = seen_of("x", AttentionMask::causal(3),
                               test::make({1, 0, 0, .5, .5, 0, test::kNaN, 0, 0}, {1, 1, 3, 3}));
  const std::string svg = draw_weights(input, input.attention[0], 0, "Weights", 0).svg;
  EXPECT_EQ(test::count_of(svg, "class=\"weight\""), 3U);
  EXPECT_THAT(svg, HasSubstr("class=\"kept\" x=\"50\" y=\"63\" width=\"12\""));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

// As large as its text is to be: in pixels, whatever there is to draw.
TEST(ExplainedSection, DrawsPicturesAtOneSizeAndCardsAsWideAsTheyAre) {
  const auto width_in = [](const std::string& html, const std::string& before) {
    const std::size_t at = html.find(before);
    return at == std::string::npos ? -1 : std::stoi(html.substr(at + before.size()));
  };
  for (const std::int64_t positions : {1, 7, 20, 24, 38, 64, 300}) {
    const std::vector<std::string> tokens(static_cast<std::size_t>(positions), "x");
    ExplainedInput input = {.text = "x", .tokens = tokens, .given = positions};
    const Shape shape = {1, 2, positions, positions};
    input.attention = {seen_of("block", AttentionMask::causal(positions),
                               Tensor::full(shape, 0.5, DType::kFloat32))};
    const std::string page = render_explanation("x", input);
    const SizedSvg drawing = draw_weights(input, input.attention[0], 0, "Weights", 0);
    const std::string& svg = drawing.svg;
    const std::string card = "<div class=\"card\" style=\"width:";
    const int drawn = static_cast<int>(std::min<std::int64_t>(positions, 128));
    const int width = width_in(svg, "style=\"width:");
    EXPECT_EQ(drawing.width, width);
    EXPECT_EQ(width_in(svg, "viewBox=\"0 0 "), width) << "nothing is scaled";
    EXPECT_GE(width, 50 + 11 * drawn) << "a column has room for its label";
    EXPECT_GE(width_in(page, card), width + 26) << "a card holds its picture";
    EXPECT_LE(width_in(page, card), std::max(250, 90 + 13 * drawn));
    EXPECT_EQ(test::count_of(page, "<div class=\"scroll\" tabindex=\"0\">\n<svg"), 3U);
  }
}

TEST(ExplainedSection, MakesAPageOfSoundMarkupWhateverTheTokensAre) {
  ExplainedInput input = two_and_padding();
  input.text = "</title><script>alert('1')</script>\x01\xff";
  input.tokens = {"<b>", "&", "\"'\xff"};
  input.attention[0].layer = "<layer>";
  input.answers = {{"<x>", test::kNaN}};
  input.steps = "|<>&|";
  const std::string page = render_explanation(input.text, input);
  EXPECT_EQ(MarkupReader(page).fault(), "");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_EQ(render_explanation(input.text, input), page);
}

TEST(ExplainedSection, SaysWhoMadeTheSteps) {
  ExplainedInput input = two_and_padding();
  EXPECT_THAT(render_explanation("x", input), Not(HasSubstr("The model writes")));
  input.steps = "12+3";
  EXPECT_THAT(render_explanation("x", input), HasSubstr("<p>The model writes <code>12+3</code>"));
  input.steps_are = "the gate chooses";
  input.steps = "expert 1";
  EXPECT_THAT(render_explanation("x", input),
              HasSubstr("<p>The gate chooses <code>expert 1</code></p>"));
}

TEST(ExplainedSection, TakesAttentionToAnotherSequenceAndModelsWithoutAttention) {
  ExplainedInput input = two_and_padding();
  input.attention[0] =
      seen_of("cross", AttentionMask::all(3, 5), Tensor::full({1, 2, 3, 5}, 0.2, DType::kFloat32));
  EXPECT_EQ(MarkupReader(render_explanation("x", input)).fault(), "");
  EXPECT_EQ(about_padding(input), "") << "what it attends to has padding of its own";
  input.attention.clear();
  const std::string page = render_explanation("x", input);
  EXPECT_EQ(MarkupReader(page).fault(), "");
  EXPECT_THAT(page, HasSubstr("The model has no attention."));
}

TEST(ExplainedSection, StandsInTheReportOfRunsThatHaveOne) {
  ReportRun with, without;
  with.name = "with";
  without.name = "without";
  with.explained = std::make_shared<const ExplainedInput>(two_and_padding());
  EXPECT_THAT(test::page_of({without}), Not(HasSubstr("One input, explained")));
  const std::string page = test::page_of({without, with});
  EXPECT_EQ(test::count_of(page, "<h2>One input, explained</h2>"), 1U);
  EXPECT_EQ(test::count_of(page, "<details class=\"one-input\""), 1U);
  EXPECT_THAT(page, HasSubstr("<summary class=\"run s1\">with</summary>"));
}

}  // namespace
}  // namespace maskgrad
