// All parameters of a model in one flat tensor, and their gradients in another.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/module.hpp>
#include <maskgrad/layers/parameter_group.hpp>

namespace maskgrad {

/// Owns the values and gradients of a model's parameters. Each parameter is a view into them. An
/// optimizer step is one pass over the flat tensors.
class ParameterBuffer {
 public:
  struct Entry {
    std::string name;
    Parameter* parameter;
    std::int64_t first;      // element of the flat tensors; a multiple of 16, for aligned vectors
    std::size_t group;       // of groups()
    Ref<Gradient> gradient;  // none for a frozen parameter
  };

  /// A group and its elements of the flat tensors: first .. end-1, gaps included.
  struct GroupSpan {
    ParameterGroup group;
    std::int64_t first, end;
  };

  /// Gives every parameter of `model` its starting value, on `device`. The value is drawn by (seed,
  /// name), so it depends neither on other layers nor on the device. A parameter belongs to the
  /// first of the groups that owns it. A group may own none. Without groups all parameters belong
  /// to one group.
  /// Throws Error unless `dtype` is floating, when no group owns a parameter, when a group has no
  /// `owns`, when two groups have one name, and for an lr_factor or weight_decay that is below 0 or
  /// not finite.
  ParameterBuffer(Module& model, DType dtype, std::uint64_t seed, Device device = {},
                  std::vector<ParameterGroup> groups = {});
  ParameterBuffer(const ParameterBuffer&) = delete;
  ParameterBuffer& operator=(const ParameterBuffer&) = delete;

  DType dtype() const { return values_.dtype(); }
  /// Group by group, and within a group in the model's order.
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<GroupSpan>& groups() const { return groups_; }
  /// Number of values, frozen ones included, without the gaps that alignment leaves.
  std::int64_t count() const { return count_; }

  /// [N]; the gaps hold 0.
  Tensor& values() { return values_; }
  const Tensor& values() const { return values_; }
  /// [N]. Parameters that no gradient has reached since clear_gradients() hold 0, and so do the
  /// gaps. The caller may write to gradients that have arrived, until the next pass begins. That
  /// pass then clears whole parameters, not only the rows that the last one wrote.
  Tensor gradients();
  /// The same, to read only. The next pass then clears a large table only where the last one wrote.
  const Tensor& read_gradients() {
    complete_gradients();
    return gradients_;
  }
  /// Their elements. Throws Error when T is not dtype(), and on a device other than the CPU.
  template <class T>
  std::span<const T> read_gradients() {
    return read_gradients().values<T>();
  }
  /// Replaces all gradients by `factor` times `sum`, which has the shape, dtype and device of
  /// gradients(). Throws Error for any other sum. Then nothing was changed.
  void set_gradients(const Tensor& sum, double factor);
  /// Whether a gradient has arrived at a parameter of this group since clear_gradients().
  bool has_gradients(const GroupSpan& group) const;
  /// Forgets all gradients.
  void clear_gradients();

  /// Zeros [N], for what an optimizer remembers of each value. stream: 0, 1, ... for the tensors
  /// that one loop walks. They start at different places within a page. At the same place, a store
  /// to one tensor would hold up the loads of the next.
  Tensor zeros_beside(int stream) const;

  /// The values of the parameters by name, as views.
  std::map<std::string, Tensor> named_values() const { return named_pieces(values_); }
  /// The same of any tensor [N] that is laid out as values(). Throws Error for another shape.
  std::map<std::string, Tensor> named_pieces(const Tensor& flat) const;
  /// The parameters that are not frozen, with their names, for check_gradients() and
  /// check_mask_leaks().
  std::vector<NamedLeaf> leaves() const;
  /// Overwrites every parameter, converting between floating dtypes. Throws Error for a name that
  /// is missing or unknown, an undefined tensor, a shape that differs, and a dtype that is not
  /// floating. It lists the first three of these, and counts the others. Then nothing was changed.
  void load(const std::map<std::string, Tensor>& values);

 private:
  void add_entries(Module& model, std::vector<ParameterGroup> groups);
  void make_leaf(Entry& entry, bool frozen);
  void complete_gradients();

  std::vector<Entry> entries_;
  std::vector<GroupSpan> groups_;
  std::int64_t size_ = 0;  // of the flat tensors
  Tensor values_, gradients_;
  std::int64_t count_ = 0;
};

}  // namespace maskgrad
