#include <map>

#include <maskgrad/layers/adaptive_attention/task_attention.hpp>
#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/adaptive_attention/attention_support.hpp"
#include "layers/generate/read_in_chunks.hpp"

namespace maskgrad {
namespace {

using test::Drawn;
using test::error_of;
using test::kept;
using test::same_bits;
using test::to_doubles;
using test::uniform;

using Options = TaskAttentionOptions;
constexpr std::int64_t kFeatures = 8, kHeads = 4, kTasks = 3;

Tensor tasks_of(const std::vector<double>& tasks) {
  return test::make(tasks, {std::ssize(tasks)}, DType::kInt64);
}

// A TaskAttention whose sample b is of task b % 2. With two tasks each has a sample here, so that
// all parameters are read.
class InTurn : public Layer {
 public:
  explicit InTurn(const Options& options)
      : Layer("InTurn", MaskRule::kUses),
        layer_(submodule("layer",
                         std::make_unique<TaskAttention>(LayerSample::kFeatures, 5, 2, options))) {}
  std::optional<ops::Work> row_work() const override { return layer_.row_work(); }

 protected:
  Variable forward(const Variable& x, Pass& pass) override {
    const std::int64_t batch = pass.packing() ? pass.packing()->mask.shape()[0] : x.dim(0);
    Tensor tasks = Tensor::empty({batch}, DType::kInt64);
    for (std::int64_t b = 0; b < batch; ++b) tasks.data<std::int64_t>()[b] = b % 2;
    return layer_.attend(x, tasks, pass);
  }

 private:
  TaskAttention& layer_;
};

bool add_sample(const char* name, const Options& options) {
  return register_layer({name, [=] { return std::make_unique<InTurn>(options); }});
}
const bool kRegistered =
    register_layer(
        {"TaskAttention",
         [] { return std::make_unique<TaskAttention>(LayerSample::kFeatures, 5, 1); }}) &&
    add_sample("TaskAttentionOfSeveralTasks", {}) &&
    add_sample("CausalTaskAttention", {.kind = AttentionKind::kCausal, .bias = false}) &&
    add_sample("TaskBias", {.owns = TaskOwns::kBias});

std::vector<Options> some_options() {
  return {{},
          {.kind = AttentionKind::kCausal, .bias = false},
          {.owns = TaskOwns::kBias},
          {.owns = TaskOwns::kBias, .bias = false}};
}

// MultiHeadAttention with the matrices of one task.
Tensor of_task(const Drawn<TaskAttention>& drawn, const Options& options, const Variable& x,
               std::int64_t task) {
  MultiHeadAttention layer(kFeatures, kHeads, {.kind = options.kind});
  ParameterBuffer parameters(layer, x.dtype(), 1);
  const std::map<std::string, Tensor> from = drawn.parameters.named_values();
  const bool owns = options.owns == TaskOwns::kProjections;
  std::map<std::string, Tensor> values;
  for (const std::string name : {"q", "k", "v", "o"}) {
    const bool of_task = owns && (name == "q" || name == "k");
    const std::string source = of_task ? name + std::to_string(task) : name;
    values.emplace(name, from.at(source));
    Tensor bias = Tensor::zeros({kFeatures}, x.dtype());
    if (options.bias) bias.copy_from(from.at(source + "_bias"));
    if (name == "q" && !owns) {
      const Tensor own = from.at("task_bias")[task];
      bias = ops::add(Variable(bias), Variable(own)).value();
    }
    values.emplace(name + "_bias", bias);
  }
  parameters.load(values);
  return kept(layer(x));
}

TEST(TaskAttention, GivesEachSampleTheAttentionOfItsTask) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Options& options : some_options()) {
      for (const SequenceMask& mask : {SequenceMask(), test::attention_mask()}) {
        Drawn<TaskAttention> drawn(dtype, kFeatures, kHeads, kTasks, options);
        const Variable x = test::attention_input(kFeatures, mask, dtype);
        for (const std::vector<double>& tasks : {std::vector<double>{2, 0, 1}, {1, 1, 1}}) {
          Pass pass;
          const Variable y = drawn.layer.attend(x, tasks_of(tasks), pass);
          EXPECT_TRUE(y.mask() == mask);
          const Tensor of_all = kept(y);
          for (std::int64_t b = 0; b < 3; ++b) {
            const Tensor expected = of_task(
                drawn, options, x, static_cast<std::int64_t>(tasks[static_cast<std::size_t>(b)]));
            EXPECT_TRUE(
                test::is_close(of_all[b], to_doubles(expected[b]), 4 * test::tolerance(dtype)));
          }
        }
      }
    }
  }
}

TEST(TaskAttention, HasTheBitsOfAProductForEachTask) {
  Drawn<TaskAttention> drawn(DType::kFloat32, kFeatures, kHeads, kTasks);
  const Variable x = test::attention_input(kFeatures, {}, DType::kFloat32);
  Pass pass;
  const Tensor y = drawn.layer.attend(x, tasks_of({2, 0, 2}), pass).value();
  EXPECT_TRUE(same_bits(y[0], of_task(drawn, {}, x, 2)[0]));
  EXPECT_TRUE(same_bits(y[1], of_task(drawn, {}, x, 0)[1]));
  EXPECT_TRUE(same_bits(y[2], of_task(drawn, {}, x, 2)[2]));
}

TEST(TaskAttention, ComputesNothingForTasksThatNoSampleHas) {
  const auto recorded = [](std::int64_t tasks) {
    Drawn<TaskAttention> drawn(DType::kFloat32, kFeatures, kHeads, tasks);
    Pass pass;
    Tape tape;
    drawn.layer.attend(test::attention_input(kFeatures, {}, DType::kFloat32), tasks_of({2, 0, 2}),
                       pass);
    return tape.nodes().size();
  };
  EXPECT_EQ(recorded(50), recorded(3));
}

TEST(TaskAttention, SendsGradientsToTheMatricesOfTheTasksThatAreThere) {
  for (const Options& options : some_options()) {
    Drawn<TaskAttention> drawn(DType::kFloat64, kFeatures, kHeads, kTasks, options);
    const SequenceMask mask = test::attention_mask();
    const Variable x(test::attention_input(kFeatures, mask).value(), Variable::kRequiresGrad, mask);
    std::vector<NamedLeaf> leaves = drawn.parameters.leaves();
    leaves.push_back({"x", x});
    const auto loss = [&] {
      Pass pass;
      const Variable y = ops::fill_masked(drawn.layer.attend(x, tasks_of({2, 0, 0}), pass));
      return ops::sum(ops::multiply(y, y));
    };
    EXPECT_TRUE(test::gradients_agree(loss, leaves));
    if (options.owns == TaskOwns::kBias) continue;
    drawn.parameters.clear_gradients();
    Tape tape;
    tape.backward(loss());
    for (const NamedLeaf& named : drawn.parameters.leaves()) {
      if (named.name != "q1" && named.name != "k1") continue;
      EXPECT_THAT(
          to_doubles(drawn.parameters.named_pieces(drawn.parameters.gradients()).at(named.name)),
          ::testing::Each(0));
    }
  }
}

TEST(TaskAttention, GivesASampleTheSameBitsWhateverStandsAroundIt) {
  const std::vector<double> tasks = {2, 0, 1};
  for (const DType dtype : test::kFloatingDTypes) {
    Drawn<TaskAttention> drawn(dtype, kFeatures, kHeads, kTasks);
    test::expect_batch_invariance(
        test::attention_input(kFeatures, test::attention_mask(), dtype),
        [&](const Variable& x, std::int64_t b) {
          Pass pass;
          return drawn.layer.attend(
              x, b < 0 ? tasks_of(tasks) : tasks_of({tasks[static_cast<std::size_t>(b)]}), pass);
        });
  }
}

TEST(TaskAttention, ReadsOnFromACacheWithTheBitsOfTheWholeSequence) {
  Drawn<TaskAttention> drawn(DType::kFloat32, kFeatures, kHeads, kTasks,
                             Options{.kind = AttentionKind::kCausal});
  Random random(4);
  const Tensor x = uniform(random, {1, 20, kFeatures}).to(DType::kFloat32);
  Pass whole_pass;
  const Tensor whole = drawn.layer.attend(Variable(x), tasks_of({1}), whole_pass).value();
  const Tensor chunks =
      test::read_in_chunks(x, {1, 12, 1, 6}, [&](const Variable& chunk, Pass& pass) {
        return drawn.layer.attend(chunk, tasks_of({1}), pass);
      });
  EXPECT_TRUE(same_bits(chunks, whole));
}

TEST(TaskAttention, OfOneTaskIsALayerLikeAnyOther) {
  const auto make = [] { return std::make_unique<TaskAttention>(kFeatures, kHeads, 1); };
  test::expect_gradients(make, kFeatures, 0.4);
  test::expect_nothing_of_nothing(make, kFeatures);
  test::expect_finite_at_extremes(make, kFeatures);
}

TEST(TaskAttention, RefusesWhatItCannotDo) {
  EXPECT_EQ(error_of([] { TaskAttention(8, 3, 2); }),
            "[TaskAttention] 3 heads do not divide 8 features");
  EXPECT_EQ(error_of([] { TaskAttention(8, 2, 0); }),
            "[TaskAttention] needs features and tasks above 0, got 8 and 0");
  Drawn<TaskAttention> drawn(DType::kFloat64, kFeatures, kHeads, kTasks);
  const Variable x = test::attention_input(kFeatures, {});
  const auto said = [&](const Variable& in, const Tensor& tasks) {
    Pass pass;
    return error_of([&] { drawn.layer.attend(in, tasks, pass); });
  };
  EXPECT_EQ(said(x, tasks_of({0, 1})), "[TaskAttention] got 2 tasks for 3 samples");
  EXPECT_EQ(said(x, tasks_of({0, 1, 3})), "[TaskAttention] task 3 is none of 0 to 2");
  EXPECT_EQ(said(x, tasks_of({0, -1, 1})), "[TaskAttention] task -1 is none of 0 to 2");
  EXPECT_EQ(said(x, test::make({0, 1, 1}, {3})),
            "[TaskAttention] needs tasks int64 [B], got float64 (3,)");
  EXPECT_EQ(said(x, Tensor()), "[TaskAttention] tasks was used before it was given a value");
  EXPECT_EQ(said(Variable(), tasks_of({0})),
            "[TaskAttention] its input was used before it was given a value");
  EXPECT_EQ(said(Variable(Tensor::zeros({2, 8}, DType::kFloat64)), tasks_of({0, 0})),
            "[TaskAttention] needs [B, S, 8], got (2, 8)");
  EXPECT_EQ(error_of([&] { drawn.layer(x); }),
            "[TaskAttention] needs the tasks of the samples: call attend()");
}

}  // namespace
}  // namespace maskgrad
