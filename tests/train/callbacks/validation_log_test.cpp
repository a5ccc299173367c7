// validation.csv: what it holds, and how a run goes on with it.
#include <fstream>

#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/formats/file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/callbacks/scripted.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::scripted;
using test::ToyRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void overwrite(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

// Three steps an epoch, validated every second step.
class ValidationTable : public ::testing::Test {
 protected:
  void add_log(ToyRun& toy, const Notes& resumed = {}) {
    const LogOrigin origin{resumed, [&](const std::string& text) { warnings_.push_back(text); }};
    toy.trainer->add(std::make_unique<ValidationLog>(file_, origin));
    toy.trainer->add(std::make_unique<Validation>(data_, Validation::Options{.every_steps = 2}));
  }
  // A run of `steps` steps that goes on from `state`, evaluated to these losses.
  std::unique_ptr<ToyRun> run(std::int64_t steps, std::vector<double> losses,
                              const TrainState& state = {}, const Notes& resumed = {}) {
    std::size_t next = 0;
    auto toy =
        std::make_unique<ToyRun>(test::ToyOptions{.training = {.epochs = 9, .max_steps = steps}},
                                 scripted(losses, next), [&](ToyRun&) { return state; });
    add_log(*toy, resumed);
    toy->run();
    return toy;
  }
  std::string table() const { return read_file(file_); }

  ScratchFolder folder_;
  const std::filesystem::path file_ = folder_ / "validation.csv";
  SequenceDataset data_ = test::toy_data();
  std::vector<std::string> warnings_;
};

TEST_F(ValidationTable, HasALineForEachValidation) {
  run(6, {5, 0.25, 4});
  EXPECT_EQ(table(),
            "epoch,steps,loss\n0.66666666666666663,2,5\n1.3333333333333333,4,0.25\n2,6,4\n");
}

TEST_F(ValidationTable, IsNotThereWithoutAValidation) {
  ToyRun toy({.training = {.epochs = 2}});
  toy.trainer->add(std::make_unique<ValidationLog>(file_));
  toy.run();
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_FALSE(toy.trainer->notes().contains(kValidationsNote));
}

TEST_F(ValidationTable, OfARunThatGoesOnIsThatOfAnUnbrokenRun) {
  run(8, {5, 0.25, 4, 3});
  const std::string whole = table();
  const auto first = run(4, {5, 0.25});
  const std::string part = table();
  // A process that died had got further than its checkpoint.
  overwrite(file_, part + "2,6,0.");
  run(8, {4, 3}, first->trainer->state(), first->trainer->notes());
  EXPECT_EQ(table(), whole);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ValidationTable, IsKeptByARunThatGoesOnWithoutValidation) {
  const auto first = run(4, {5, 0.25});
  const std::string before = table();
  ToyRun toy({.training = {.epochs = 9, .max_steps = 5}}, {},
             [&](ToyRun&) { return first->trainer->state(); });
  toy.trainer->add(std::make_unique<ValidationLog>(file_, LogOrigin{first->trainer->notes(), {}}));
  toy.run();
  EXPECT_EQ(table(), before);
  EXPECT_EQ(toy.trainer->notes().at(kValidationsNote), to_string(digest_of(before)));
}

TEST_F(ValidationTable, IsRefusedWithAnyFlippedBitAndAnyCut) {
  const auto first = run(4, {5, 0.25});
  const std::string sound = table();
  const auto going_on = [&](const std::string& text) {
    overwrite(file_, text);
    std::string error =
        error_of([&] { run(6, {4}, first->trainer->state(), first->trainer->notes()); });
    if (error != "no error") {
      EXPECT_EQ(table(), text) << "it stays as it is";
    }
    return error;
  };
  for (std::size_t bit = 0; bit < sound.size() * 8; ++bit) {
    std::string flipped = sound;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_THAT(going_on(flipped), HasSubstr("validation.csv' is not the table that the run wrote: "
                                             "put it right, or move it away"));
  }
  for (std::size_t size = 0; size < sound.size(); ++size) {
    EXPECT_NE(going_on(sound.substr(0, size)), "no error") << size;
  }
  EXPECT_EQ(going_on(sound), "no error");
}

TEST_F(ValidationTable, IsBegunAnewWhenItIsGoneWithAWord) {
  const auto first = run(4, {5, 0.25});
  std::filesystem::remove(file_);
  run(6, {4}, first->trainer->state(), first->trainer->notes());
  EXPECT_EQ(table(), "epoch,steps,loss\n2,6,4\n");
  EXPECT_THAT(warnings_,
              ElementsAre(HasSubstr("validation.csv' is new: the validations before are not in")));
}

TEST_F(ValidationTable, IsReadAsFarAsACheckpointVouchesForIt) {
  const auto first = run(4, {5, 0.25});
  const Notes notes = first->trainer->notes();
  overwrite(file_, table() + "garbage");
  const std::vector<EpochRow> rows = read_validations(file_, notes);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(find_value(rows[1], "loss"), 0.25);
  EXPECT_EQ(find_value(rows[1], "steps"), 4);
  EXPECT_THAT(read_validations(file_, {}), IsEmpty()) << "nothing vouches for it";
  std::filesystem::remove(file_);
  EXPECT_THAT(read_validations(file_, notes), IsEmpty());
}

}  // namespace
}  // namespace maskgrad
