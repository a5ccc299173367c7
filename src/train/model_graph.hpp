// The graph of a model, from what a tape records of it.
#pragma once

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/train/formats/graph_def.hpp>
#include <maskgrad/train/model_output.hpp>

namespace maskgrad {

/// Runs the model forward on the first two samples of `batch`, in inference and unpacked, and
/// returns what it computes, loss included, gradients not. Names are paths, with slashes for the
/// dots of Scope::path(). The nodes are
///   VariableV2    a parameter, "decoder/block0/attention/q"
///   Placeholder   a tensor of the batch, "inputs"
///   Const         another value that no operation made
///   Mask          a mask of positions [B, S], or one of pairs. It reads the node that made it. Who
///                 uses, changes or ends it reads it by an edge "^mask".
///   exp, ...      an operation. Its note "mask" says what it does with the mask of its inputs:
///                 makes, keeps, uses, changes or ends.
///   Dense, ...    the output of a layer, with the layer's path as its note "layer". Its note
///                 "mask" is the layer's rule. "mask_in" and "mask_out" name the masks of its
///                 input and output. Who reads the layer's output reads this node.
/// A size that is another one for a single sample is -1. A model that fails in inference runs as
/// in training. Equal models and batches give equal graphs. Neither gradients nor random numbers
/// of a run change. A model that has effects of its own has them here too. It keeps all values of
/// one such pass in memory at once, and the bits of each mask of pairs. Throws what the model
/// throws.
ModelGraph graph_of(const Model& model, const ParameterBuffer& parameters, const Batch& batch);

}  // namespace maskgrad
