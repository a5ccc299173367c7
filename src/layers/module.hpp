// What owns parameters, by name.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <maskgrad/layers/initializers.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// A leaf that training changes. It converts to its Variable wherever an operation takes one. It
/// gets its value when a ParameterBuffer is made for the model. Using it earlier throws Error.
class Parameter {
 public:
  Parameter(std::string name, Shape shape, Initializer initializer)
      : name_(std::move(name)), shape_(shape), initializer_(std::move(initializer)) {}
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  const Shape& shape() const { return shape_; }
  const Initializer& initializer() const { return initializer_; }

  operator const Variable&() const { return variable(); }
  const Variable& variable() const {
    check(variable_.defined(), name_.c_str(),
          "used before it was given a value; make a ParameterBuffer for the model first");
    return variable_;
  }
  void set_variable(Variable variable) { variable_ = std::move(variable); }

 private:
  std::string name_;  // within its module
  Shape shape_;
  Initializer initializer_;
  Variable variable_;
};

/// A parameter and its name from the model's root on: "reflect.q".
struct NamedParameter {
  std::string name;
  Parameter* parameter;
};

/// Base of everything with parameters. A module can be neither copied nor moved, because its
/// members refer to parameters that it holds.
class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  /// Its name within the module that holds it; empty for a whole model.
  const std::string& name() const { return name_; }
  /// Its own parameters, then those of its submodules, each in the order they were added.
  std::vector<NamedParameter> parameters();
  /// The modules that it holds, in the order they were added.
  std::vector<Module*> submodules() const;

 protected:
  /// Adds a parameter. Throws Error when the name is taken, empty, or contains a dot, and when
  /// there is no initializer.
  Parameter& parameter(const std::string& name, const Shape& shape, Initializer initializer);
  /// Adds a submodule, whose parameters get names "name.…". Throws Error for a name as parameter(),
  /// and when there is no module.
  template <class M>
  M& submodule(const std::string& name, std::unique_ptr<M> module) {
    check(module != nullptr, "module", "'{}' is no module", name);
    M& added = *module;
    add_submodule(name, std::move(module));
    return added;
  }

  /// Puts a module in the place of the submodule of that name, and returns that one. Throws Error
  /// where there is none, and when there is no module.
  std::unique_ptr<Module> replace_submodule(const std::string& name,
                                            std::unique_ptr<Module> module);

 private:
  void add_submodule(const std::string& name, std::unique_ptr<Module> module);
  void check_name(const std::string& name) const;
  void collect(const std::string& prefix, std::vector<NamedParameter>& found);

  struct Child {
    std::string name;
    std::unique_ptr<Module> module;
  };
  std::string name_;
  std::deque<Parameter> parameters_;  // a deque keeps its elements in place
  std::vector<Child> children_;
};

}  // namespace maskgrad
