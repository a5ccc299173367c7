#include <algorithm>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>

namespace maskgrad {

void Saved::refuse() const {
  const auto& outputs = op_->outputs;
  const bool is_output = std::find(outputs.begin(), outputs.end(), name_) != outputs.end();
  fail(op_->name.c_str(),
       "the value of {} '{}' was written to after the forward pass, and its gradient needs it",
       is_output ? "output" : "input", name_);
}

}  // namespace maskgrad
