#include <gmock/gmock.h>

#include <maskgrad/train/report/model_chart.hpp>
#include <maskgrad/train/report/model_outline.hpp>

#include "train/report/page.hpp"

namespace maskgrad {
namespace {

using test::count_of;
using test::MarkupReader;
using test::page_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

GraphNode parameter(std::string name, GraphDims dims) {
  return {.name = std::move(name), .op = "VariableV2", .outputs = {std::move(dims)}};
}

GraphNode layer(std::string path, std::string kind, std::string reads,
                std::map<std::string, std::string> notes = {}) {
  std::string folder = path;
  for (char& c : folder) c = c == '.' ? '/' : c;
  notes["layer"] = path;
  return {.name = folder + "/" + kind,
          .op = kind,
          .inputs = {std::move(reads)},
          .outputs = {{-1, 4}},
          .notes = std::move(notes)};
}

// Tokens that get a mask; a block that goes around itself; a loss that uses the mask.
ModelGraph sample() {
  return {
      {parameter("block/inner/weight", {4, 3}),
       parameter("block/inner/bias", {3}),
       {.name = "inputs", .op = "Placeholder", .outputs = {{-1, 7}}},
       layer("masking", "Masking", "inputs", {{"mask", "makes"}, {"mask_out", "mask"}}),
       {.name = "mask", .op = "Mask", .inputs = {"masking/Masking"}, .outputs = {{-1, 7}}},
       {.name = "pairs", .op = "Mask", .outputs = {{1, 1, 7, 7}}, .notes = {{"pattern", "causal"}}},
       {.name = "block/inner/attend",
        .op = "attend",
        .inputs = {"masking/Masking", "block/inner/weight", "block/inner/bias", "^pairs"},
        .outputs = {{-1, 4}}},
       layer("block.inner", "Inner", "block/inner/attend",
             {{"mask", "keeps"}, {"mask_in", "mask"}, {"mask_out", "mask"}}),
       {.name = "block/add",
        .op = "add",
        .inputs = {"masking/Masking", "block/inner/Inner"},
        .outputs = {{-1, 4}}},
       layer("block", "Block", "block/add", {{"mask_in", "mask"}, {"mask_out", "mask"}}),
       {.name = "targets", .op = "Placeholder", .outputs = {{-1}}},
       {.name = "loss",
        .op = "cross_entropy",
        .inputs = {"block/Block", "targets", "^mask"},
        .outputs = {{}},
        .notes = {{"mask", "uses"}, {"mask_in", "mask"}}}}};
}

std::vector<std::string> names_of(const std::vector<OutlineBox>& boxes) {
  std::vector<std::string> names;
  for (const OutlineBox& box : boxes) names.push_back(box.name);
  return names;
}

TEST(ModelOutline, PutsLayersAndOperationsIntoTheLayersAroundThem) {
  const std::vector<OutlineBox> boxes = outline_of(sample());
  ASSERT_THAT(names_of(boxes), ElementsAre("inputs", "masking", "block", "loss"))
      << "the loss names the targets";
  EXPECT_EQ(boxes[2].kind, "Block");
  ASSERT_THAT(names_of(boxes[2].inside), ElementsAre("inner", "add"));
  EXPECT_TRUE(boxes[2].inside[0].is_layer);
  EXPECT_FALSE(boxes[2].inside[1].is_layer);
  EXPECT_THAT(names_of(boxes[2].inside[0].inside), ElementsAre("attend"));
}

TEST(ModelOutline, CountsTheParametersOfALayerAndOfThoseInside) {
  const std::vector<OutlineBox> boxes = outline_of(sample());
  EXPECT_EQ(boxes[1].parameter_count, 0);
  EXPECT_EQ(boxes[2].parameter_count, 4 * 3 + 3);
  EXPECT_THAT(boxes[2].parameters, IsEmpty());
  EXPECT_THAT(boxes[2].inside[0].parameters,
              ElementsAre(Pair("weight", GraphDims{4, 3}), Pair("bias", GraphDims{3})));
  EXPECT_EQ(parameter_count(sample()), 15);
}

TEST(ModelOutline, TellsWhatIsReadFromElsewhere) {
  const std::vector<OutlineBox> boxes = outline_of(sample());
  EXPECT_THAT(boxes[2].others, IsEmpty()) << "it reads what the layer before made";
  EXPECT_THAT(boxes[2].inside[0].others, IsEmpty());
  EXPECT_THAT(boxes[2].inside[1].others, ElementsAre("masking")) << "what goes around a branch";
  EXPECT_THAT(boxes[3].others, ElementsAre("targets"));
  EXPECT_TRUE(boxes[3].reads_before);
  EXPECT_THAT(boxes[2].pairs, ElementsAre("causal")) << "of an operation inside";
}

TEST(ModelOutline, TakesAMaskOfPositionsForNoPairs) {
  for (const GraphDims& dims : {GraphDims{-1, 7}, GraphDims{-1, 7, 1}, GraphDims{}}) {
    ModelGraph graph = sample();
    const auto pairs = std::ranges::find(graph.nodes, "pairs", &GraphNode::name);
    ASSERT_NE(pairs, graph.nodes.end());
    pairs->outputs = {dims};
    EXPECT_THAT(outline_of(graph)[2].pairs, IsEmpty()) << dims.size();
  }
}

TEST(ModelOutline, NamesTheConstantsOfALayer) {
  ModelGraph graph = sample();
  graph.nodes.insert(graph.nodes.begin(), {.name = "block/inner/places", .op = "Const"});
  graph.nodes[7].inputs.push_back("block/inner/places");
  const std::vector<OutlineBox> boxes = outline_of(graph);
  EXPECT_THAT(boxes[2].constants, IsEmpty()) << "the layer inside names them";
  EXPECT_THAT(boxes[2].inside[0].constants, ElementsAre("places"));
  EXPECT_THAT(boxes[2].inside[0].others, IsEmpty());
}

TEST(ModelOutline, SaysThatABlockUsesTheMaskWhereALayerInsideDoes) {
  ModelGraph graph = sample();
  graph.nodes[7].notes["mask"] = "uses";
  const std::vector<OutlineBox> boxes = outline_of(graph);
  EXPECT_EQ(boxes[2].inside[0].mask, "uses");
  EXPECT_EQ(boxes[2].mask, "uses");
}

TEST(ModelOutline, StartsTheMaskAtTheTensorThatBringsIt) {
  const GraphNode tokens = {.name = "tokens", .op = "Placeholder"};
  const GraphNode mask = {.name = "mask", .op = "Mask", .inputs = {"tokens"}, .outputs = {{1, 2}}};
  const std::vector<OutlineBox> boxes =
      outline_of({{tokens, mask, layer("a", "A", "tokens"), layer("b", "B", "more")}});
  EXPECT_EQ(boxes[0].mask, "makes");
  EXPECT_EQ(boxes[0].mask_out, "mask");
  EXPECT_FALSE(boxes[2].reads_before);
}

TEST(ModelOutline, TakesGraphsThatNobodyWouldDraw) {
  ModelGraph deep;
  std::string path = "a";
  for (int i = 0; i < 1000; ++i) path += ".a";
  for (; !path.empty(); path.resize(path.size() < 2 ? 0 : path.size() - 2)) {
    deep.nodes.push_back(layer(path, "A", "nothing"));
  }
  std::size_t depth = 0;
  const std::vector<OutlineBox> boxes = outline_of(deep);
  ASSERT_EQ(boxes.size(), 1U);
  for (const OutlineBox* box = &boxes[0]; !box->inside.empty(); box = &box->inside[0]) ++depth;
  EXPECT_LE(depth, 32U);
  EXPECT_THAT(outline_of({}), IsEmpty());
  EXPECT_EQ(outline_of({{{}, {}, {.name = "x", .op = "y", .inputs = {"", "^", ":"}}}}).size(), 3U);
  EXPECT_EQ(parameter_count({{parameter("a", {1L << 40, 1L << 40}), parameter("b", {-1})}}), 0);
}

std::vector<ReportRun> runs_with(std::vector<ModelGraph> graphs) {
  std::vector<ReportRun> runs;
  for (ModelGraph& graph : graphs) {
    runs.push_back({.name = "run" + std::to_string(runs.size()),
                    .settings = {},
                    .epochs = {},
                    .parameters = {},
                    .histograms = {}});
    runs.back().graph = std::move(graph);
  }
  return runs;
}

std::string charts_of(const std::vector<ReportRun>& runs) {
  const std::string html = model_charts({runs, {}});
  EXPECT_EQ(MarkupReader("<div>" + html + "</div>").fault(), "");
  return html;
}

TEST(ModelChart, StandsInTheReportOfARunThatHasAGraph) {
  EXPECT_THAT(page_of(runs_with({sample()})), HasSubstr("<section id=\"model\">"));
  EXPECT_THAT(page_of(runs_with({{}})), Not(HasSubstr("<section id=\"model\">")));
  EXPECT_EQ(charts_of(runs_with({{}})), "");
}

TEST(ModelChart, DrawsTheLineOfTheMaskFromWhereItIsMadeToWhereItEnds) {
  const std::string html = charts_of(runs_with({sample()}));
  EXPECT_EQ(count_of(html, "class=\"step below knot\""), 1U) << "masking";
  EXPECT_EQ(count_of(html, "class=\"step above below\""), 2U) << "the block, and what is inside";
  EXPECT_EQ(count_of(html, "class=\"step above knot\""), 1U) << "the loss";
  EXPECT_EQ(count_of(html, "<i>makes the mask</i>"), 1U);
  EXPECT_EQ(count_of(html, "<i>uses the mask</i>"), 1U);
  EXPECT_EQ(count_of(html, "<i>causal pairs</i>"), 2U) << "at the layer, and at the block around";
  EXPECT_THAT(html, HasSubstr("15 parameters: weight 4 × 3, bias 3"));
  EXPECT_THAT(html, HasSubstr("B × 4"));
  EXPECT_THAT(html, HasSubstr("2 layers, 15 parameters"));
}

TEST(ModelChart, DrawsEqualModelsOnce) {
  ModelGraph other = sample();
  other.nodes.pop_back();
  const std::string html = charts_of(runs_with({sample(), other, sample()}));
  EXPECT_EQ(count_of(html, "class=\"card model\""), 2U);
  EXPECT_THAT(html, HasSubstr("<h3>run0, run2</h3>"));
}

TEST(ModelChart, DrawsTheFirstOfManyLayersThatAreAlike) {
  ModelGraph graph;
  for (int i = 0; i < 40; ++i) {
    graph.nodes.push_back(layer("block" + std::to_string(i), "Block", "x"));
  }
  const std::string html = charts_of(runs_with({graph}));
  EXPECT_THAT(html, HasSubstr("block1 to block39: 39 more like block0"));
  EXPECT_THAT(html, Not(HasSubstr("<b>block7</b>")));
  graph.nodes.resize(4);
  EXPECT_THAT(charts_of(runs_with({graph})), HasSubstr("<b>block3</b>"));
}

TEST(ModelChart, EscapesWhateverANameHolds) {
  const std::string hostile = "</b><script>\"'&";
  ModelGraph graph = {{layer(hostile, hostile, "x", {{"mask", hostile}, {"mask_in", hostile}}),
                       {.name = hostile, .op = hostile, .inputs = {hostile}}}};
  std::vector<ReportRun> runs = runs_with({graph});
  runs[0].name = hostile;
  EXPECT_THAT(charts_of(runs), Not(HasSubstr("<script>")));
}

}  // namespace
}  // namespace maskgrad
