// How the experts that were chosen go with the kinds of samples that were given.
#pragma once

#include <cstdint>
#include <vector>

#include <maskgrad/layers/task_gate/choice.hpp>

namespace maskgrad {

/// How often each of C experts was chosen for each of K kinds of samples.
class ChoiceCounts {
 public:
  ChoiceCounts(std::size_t kinds, std::size_t experts);

  /// kinds int64 [B] of the samples of a choice. A sample without a choice does not count. Throws
  /// Error for other shapes, and for a kind or an expert that there is none of: then none counts.
  void add(const Tensor& kinds, const Choice& choice);
  void add(std::size_t kind, std::size_t expert);

  std::int64_t count() const;
  /// Throws Error for a kind or an expert that there is none of.
  std::int64_t at(std::size_t kind, std::size_t expert) const {
    return counts_[place_of(kind, expert)];
  }
  /// Of the samples of a kind, the share that each expert was chosen for; 0 where there are none.
  /// Throws Error for a kind that there is none of.
  std::vector<double> shares(std::size_t kind) const;
  /// How many samples have the expert of their kind, when each kind is given an expert of its own
  /// so that most have: an assignment problem (Kuhn 1955). Throws Error for fewer experts than
  /// kinds, and so does agreement().
  std::int64_t matched() const;
  /// matched() / count(); 0 without samples.
  double agreement() const;
  /// The mutual information of kind and expert in nats, at least 0: 0 where they have nothing to do
  /// with each other.
  double information() const;

 private:
  std::size_t place_of(std::size_t kind, std::size_t expert) const;
  void give_expert(std::size_t kind, std::vector<std::size_t>& kind_of) const;

  std::size_t kinds_, experts_;
  std::vector<std::int64_t> counts_;  // [K, C]
};

}  // namespace maskgrad
