// A recurrent network over the sequences of a batch, forward and backward, on the CPU. Internal to
// src/ops.
//
// The products of a step are one, of all sequences that have it. Each thread takes sequences of its
// own through all steps, so it waits for no other.
#pragma once

#include <array>

#include <maskgrad/ops/cpu/recurrent/cells.hpp>
#include <maskgrad/ops/cpu/recurrent/scan_plan.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// [B, H] for each state of a cell: h, and c where there is one. Undefined ones are 0, or not
/// wanted.
using ScanStates = std::array<Tensor, 2>;

/// What a scan reads: gates [.., kGates H] at its positions, w [H, kGates H], a bias [kGates H] of
/// the product where the cell has one, and the states that sequences begin with.
struct ScanInputs {
  Tensor gates, w, bias;
  ScanStates start;
};
/// What it makes: h at each position, 0 at those that do not exist, and the states after the last
/// step. For its gradient, row by row: what the cell keeps [N, kKept H], and the states before each
/// step [1, N, H].
struct ScanResult {
  Tensor output;
  ScanStates last;
  Tensor kept;
  ScanStates before;
};
/// Gradients of the inputs. An undefined one is not wanted. Those of `start` are wanted all or none.
struct ScanGradients {
  Tensor gates, w, bias;
  ScanStates start;
};

/// Runs the cell over all rows of the plan. With `keeps` the result has what scan_back() needs.
template <class Cell>
ScanResult scan(const ScanPlan& plan, const ScanInputs& inputs, bool keeps);

/// Fills in the gradients. `output` and `last` are those that arrive; undefined ones are 0.
template <class Cell>
void scan_back(const ScanPlan& plan, const ScanResult& result, const Tensor& w,
               const Tensor& output, const ScanStates& last, ScanGradients& gradients);

}  // namespace maskgrad::ops
