#include <maskgrad/tensor/dtype.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {

DType dtype_from_string(std::string_view name) {
  for (auto dtype :
       {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64, DType::kBool}) {
    if (to_string(dtype) == name) return dtype;
  }
  fail("dtype", "'{}' is not one of float32, float64, int32, int64, bool", shortened(name));
}

}  // namespace maskgrad
