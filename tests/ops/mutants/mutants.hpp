// Faulty versions of the mask operations. Each computes with plain loops in double, and says of
// itself what the true operation says.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad::test {

using Gradient = std::map<std::string, Tensor>;  // by input

struct Mutant {
  std::string name;
  std::string op;
  /// The output; as the true operation when empty.
  std::function<Tensor(const OpCall&)> forward = {};
  /// The gradients; as those of the true operation when empty.
  std::function<Gradient(const OpCall&, const Tensor& g)> backward = {};
};

/// Adds mutants; called where the program starts, beside the tests of an operation:
///   const bool kRegistered = register_mutants([] { return mutants_with_another_mask("pool"); });
/// Returns true.
bool register_mutants(std::vector<Mutant> (*make)());
/// All that were registered.
std::vector<Mutant> mutants();

/// The same call with fewer or other places kept, forward or backward only.
std::vector<Mutant> mutants_with_another_mask(const std::string& op);

/// The description of the true operation, with the call replaced by the faulty one.
OpDef mutated(const Mutant& mutant);

}  // namespace maskgrad::test
