// Gradients against central differences, as an assertion.
#pragma once

#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/check/gradients.hpp>

namespace maskgrad::test {

using maskgrad::GradientCheck;
using maskgrad::NamedLeaf;

/// check_gradients as an assertion, whose failure names the worst element.
inline ::testing::AssertionResult gradients_agree(const std::function<Variable()>& f,
                                                  const std::vector<NamedLeaf>& leaves,
                                                  const GradientCheck& options = {}) {
  const GradientReport report = check_gradients(f, leaves, options);
  if (report.holds()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << report.worst;
}

}  // namespace maskgrad::test
