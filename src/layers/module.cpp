#include <algorithm>
#include <utility>

#include <maskgrad/layers/module.hpp>

namespace maskgrad {

std::vector<NamedParameter> Module::parameters() {
  std::vector<NamedParameter> found;
  collect("", found);
  return found;
}

std::vector<Module*> Module::submodules() const {
  std::vector<Module*> all;
  for (const Child& child : children_) all.push_back(child.module.get());
  return all;
}

void Module::collect(const std::string& prefix, std::vector<NamedParameter>& found) {
  for (Parameter& parameter : parameters_) found.push_back({prefix + parameter.name(), &parameter});
  for (const Child& child : children_) child.module->collect(prefix + child.name + ".", found);
}

Parameter& Module::parameter(const std::string& name, const Shape& shape, Initializer initializer) {
  check_name(name);
  check(initializer != nullptr, "module", "parameter '{}' has no initializer", name);
  return parameters_.emplace_back(name, shape, std::move(initializer));
}

void Module::add_submodule(const std::string& name, std::unique_ptr<Module> module) {
  check_name(name);
  module->name_ = name;
  children_.push_back({name, std::move(module)});
}

std::unique_ptr<Module> Module::replace_submodule(const std::string& name,
                                                  std::unique_ptr<Module> module) {
  check(module != nullptr, "module", "'{}' is no module", name);
  const auto child = std::ranges::find(children_, name, &Child::name);
  check(child != children_.end(), "module", "there is no part '{}' to replace", name);
  module->name_ = name;
  return std::exchange(child->module, std::move(module));
}

void Module::check_name(const std::string& name) const {
  check(!name.empty() && name.find('.') == std::string::npos, "module",
        "'{}' is no name for a part: it must not be empty or contain a dot", name);
  const auto taken = [&](const auto& name_of) { return name_of == name; };
  const bool used = std::any_of(parameters_.begin(), parameters_.end(),
                                [&](const Parameter& p) { return taken(p.name()); }) ||
                    std::any_of(children_.begin(), children_.end(),
                                [&](const Child& c) { return taken(c.name); });
  check(!used, "module", "the name '{}' is taken", name);
}

}  // namespace maskgrad
