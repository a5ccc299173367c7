#include "recipes/recipe.hpp"

#include <algorithm>

#include <maskgrad/tensor/nearest_name.hpp>

#include "recipes/blog/blog.hpp"

namespace maskgrad::apps {

const std::vector<std::unique_ptr<Recipe>>& recipes() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Recipe>> list;
    list.push_back(make_blog_recipe());
    return list;
  }();
  return all;
}

const Recipe& find_recipe(const std::string& name, const std::string& source) {
  std::vector<std::string> names;
  for (const auto& recipe : recipes()) {
    if (recipe->name() == name) return *recipe;
    names.push_back(recipe->name());
  }
  fail("recipe", "{}: there is no recipe '{}'{}", source, name, did_you_mean(name, names));
}

std::vector<Setting> training_settings(const std::string& recipe, std::vector<Setting> own) {
  using Text = std::string;
  using Int = std::int64_t;
  std::vector<Setting> all = {
      Setting{"recipe", recipe, "what is trained"}.one_of({recipe}),
      Setting{"data", Text(), "folder of *.tfrecords shards; empty: the run makes its own"}
          .folder()
          .changeable()
          .without_effect(),
      Setting{"val", Text(), "folder of shards to validate on; empty: none"}
          .folder()
          .changeable()
          .without_effect()
          .since(3),
      Setting{"val_every", Int{0}, "validate every so many steps; 0: at the ends of epochs"}
          .at_least(0)
          .changeable()
          .since(3),
      Setting{"patience", Int{0}, "stop after so many validations without a smaller loss; 0: never"}
          .at_least(0)
          .changeable()
          .since(3),
      Setting{"out", Text(), "run folder; empty: runs/<recipe>"}.folder().not_saved(),
      Setting{"device", Text("cpu"), "where to train"}.one_of({"cpu"}).changeable(),
      Setting{"dtype", Text("float32"), "type of weights and activations"}.one_of(
          {"float32", "float64"}),
      Setting{"epochs", Int{10}, "passes over the data"}
          .at_least(1)
          .at_most(1'000'000'000)
          .changeable(),
      Setting{"steps", Int{0}, "stop after so many steps in all; 0: no limit"}
          .at_least(0)
          .changeable(),
      Setting{"minutes", 0.0, "stop after so many minutes; 0: no limit"}.at_least(0).changeable(),
      Setting{"checkpoint_every", Int{0},
              "save a checkpoint every so many steps, too; 0: at the ends of epochs only"}
          .at_least(0)
          .changeable()
          .without_effect()
          .since(3),
      Setting{"batch_size", Int{32}, "samples in a step"}.at_least(1),
      Setting{"micro_batches", Int{1},
              "parts that a batch is cut into, one after the other: less memory, another rounding"}
          .at_least(1)
          .at_most(1'000'000)
          .since(3),
      Setting{"lr", 1e-3, "learning rate"}.at_least(0).changeable(),
      Setting{"schedule", Text("constant"), "what becomes of lr over the steps of the run"}
          .one_of({"constant", "cosine", "wsd"})
          .changeable()
          .since(3),
      Setting{"warmup_steps", Int{0}, "steps over which lr rises from 0 at the start"}
          .at_least(0)
          .changeable()
          .since(3),
      Setting{"clip_norm", 0.0, "scale gradients down to at most this norm; 0: never"}.at_least(0),
      Setting{"ema", 0.0, "decay of an average of the weights that becomes the model; 0: none"}
          .at_least(0)
          .at_most(0.9999999)
          .since(3),
      Setting{"optimizer", Text("adam"), "update rule; adam is as Keras forms it"}.one_of(
          {"adam", "adam-pytorch", "adamw", "sgd"}),
      Setting{"weight_decay", 0.01, "weight decay of adamw, on matrices only"}
          .at_least(0)
          .changeable()
          .since(3),
      Setting{"momentum", 0.9, "momentum of sgd"}.at_least(0).changeable(),
      Setting{"seed", Int{0}, "random numbers of starting weights, data and shuffling"}.at_least(0),
      Setting{"threads", Int{1}, "CPU threads; the results are the same for any number"}
          .at_least(1)
          .at_most(1024)
          .changeable()
          .without_effect(),
      Setting{"init", Text(), "safetensors file of starting weights; empty: drawn by seed"}.file(),
      Setting{"shuffle", true, "a new order of samples in each epoch"},
      Setting{"resume", false, "go on with the run in the folder"}.not_saved(),
      Setting{"force", false, "replace the run in the folder"}.not_saved(),
      Setting{"step_log", Text(), "CSV file for the loss of every step"}.file().not_saved(),
      Setting{"tensorboard", true, "write TensorBoard logs"}.changeable().without_effect(),
      Setting{"progress", Text("auto"), "what to show while training"}
          .one_of({"auto", "bar", "lines", "off"})
          .not_saved(),
  };
  for (Setting& setting : own) {
    const auto same = std::find_if(all.begin(), all.end(),
                                   [&](const Setting& s) { return s.key == setting.key; });
    if (same == all.end())
      all.push_back(std::move(setting));
    else
      same->value = std::move(setting.value);
  }
  return all;
}

void check_training_settings(const Settings& settings) {
  const bool validates = !settings.text("val").empty();
  check(validates || settings.integer("val_every") == 0, "train", "--val-every needs --val");
  check(validates || settings.integer("patience") == 0, "train", "--patience needs --val");
}

Setting pack_setting() {
  return Setting{"pack", std::string("never"),
                 "run on samples packed in one row, without padding; auto: where that is less work"}
      .one_of({"never", "auto", "always"});
}

}  // namespace maskgrad::apps
