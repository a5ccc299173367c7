// Element types, and the one place where a run-time DType becomes a C++ type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

enum class DType : std::uint8_t { kFloat32, kFloat64, kInt32, kInt64, kBool };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t kSizes[] = {4, 8, 4, 8, 1};
  return kSizes[static_cast<std::size_t>(dtype)];
}

/// "float32", "float64", "int32", "int64", "bool".
constexpr std::string_view to_string(DType dtype) {
  constexpr std::string_view kNames[] = {"float32", "float64", "int32", "int64", "bool"};
  return kNames[static_cast<std::size_t>(dtype)];
}

/// The inverse of to_string. Throws Error for any other text.
DType dtype_from_string(std::string_view name);

constexpr bool is_floating(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64;
}

/// dtype_of<float> == DType::kFloat32, and so on.
template <class T>
constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, float>)
    return DType::kFloat32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::kFloat64;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::kInt32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return DType::kInt64;
  else {
    static_assert(std::is_same_v<T, bool>, "no DType for this type");
    return DType::kBool;
  }
}();

template <class... Ts>
struct TypeList {};
using FloatingTypes = TypeList<float, double>;
using IntegerTypes = TypeList<std::int32_t, std::int64_t>;
using NumericTypes = TypeList<float, double, std::int32_t, std::int64_t>;
using AllTypes = TypeList<float, double, std::int32_t, std::int64_t, bool>;

/// Calls f(T{}) with the T among `Ts` that `dtype` names; returns what f returns.
/// Throws Error "[name] does not take <dtype>" when it is none of them.
template <class... Ts, class F>
decltype(auto) dispatch_dtype(TypeList<Ts...>, DType dtype, const char* name, F&& f) {
  using Result = decltype(f(std::get<0>(std::tuple<Ts...>{})));
  if constexpr (std::is_void_v<Result>) {
    const bool found = ((dtype == dtype_of<Ts> ? (f(Ts{}), true) : false) || ...);
    check(found, name, "does not take {}", to_string(dtype));
  } else {
    Result result{};
    const bool found = ((dtype == dtype_of<Ts> ? (result = f(Ts{}), true) : false) || ...);
    check(found, name, "does not take {}", to_string(dtype));
    return result;
  }
}

}  // namespace maskgrad
