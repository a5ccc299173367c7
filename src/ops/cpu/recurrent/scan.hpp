// A recurrent network over the sequences of a batch, forward and backward. Internal to src/ops.
//
// The products of a step are one, of all sequences that have it. On the CPU each thread takes
// sequences of its own through all steps, so it waits for no other. A device takes all sequences
// through a step before the next.
#pragma once

#include <array>

#include <maskgrad/ops/cpu/recurrent/scan_plan.hpp>
#include <maskgrad/ops/functors/recurrent_cells.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

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
/// step [1, N, H]. On a device also the plan, as kernels read it.
struct ScanResult {
  Tensor output;
  ScanStates last;
  Tensor kept;
  ScanStates before;
  Tensor uploaded;
};
/// Gradients that arrive at the output and at the last states; undefined ones are 0.
struct ScanArrived {
  Tensor output;
  ScanStates last;
};
/// Gradients of the inputs. An undefined one is not wanted. Those of `start` are wanted all or
/// none.
struct ScanGradients {
  Tensor gates, w, bias;
  ScanStates start;
};

/// The tensors of the results have been made, and hold 0 at positions that do not exist.
template <class Cell>
inline constinit CudaKernel<void(const ScanPlan& plan, const ScanInputs& inputs,
                                 ScanResult& result)>
    kScanCuda{Cell::kName};
/// `products` [1, N, kGates H] gets the gradients of the products of all steps, row by row. Those
/// of w and of the bias follow from them.
template <class Cell>
inline constinit CudaKernel<void(const ScanPlan& plan, const ScanResult& result, const Tensor& w,
                                 const ScanArrived& arrived, Tensor& products,
                                 ScanGradients& gradients)>
    kScanBackCuda{Cell::kName};

/// Runs the cell over all rows of the plan. With `keeps` the result has what scan_back() needs.
template <class Cell>
ScanResult scan(const ScanPlan& plan, const ScanInputs& inputs, bool keeps);

/// Fills in the gradients, from what arrived.
template <class Cell>
void scan_back(const ScanPlan& plan, const ScanResult& result, const Tensor& w,
               const ScanArrived& arrived, ScanGradients& gradients);

}  // namespace maskgrad::ops
