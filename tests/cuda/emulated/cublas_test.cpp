// Which products cuBLAS has, what it is given, and what becomes of its errors.
#include "emulation/cublas.hpp"

#include <cstdlib>

#include <gmock/gmock.h>

#include <maskgrad/ops/cuda/gemm/cublas.hpp>
#include <maskgrad/ops/math/cublas_description.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "cuda/device_steps.hpp"
#include "emulation/emulator.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using emulation::emulated_cublas;
using test::error_of;
using test::is_near;
using test::kCuda;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kLarge = 1024;
constexpr int kCompute32Pedantic = 69, kCompute64Pedantic = 71;  // of cublas_api.h

// MASKGRAD_CUBLAS while it lives.
class Named {
 public:
  explicit Named(const char* value) { ::setenv("MASKGRAD_CUBLAS", value, 1); }
  ~Named() { ::unsetenv("MASKGRAD_CUBLAS"); }
};

class CublasProducts : public test::DeviceSteps {
 protected:
  void SetUp() override {
    DeviceSteps::SetUp();
    load_anew({});
  }
  void TearDown() override { load_anew({}); }

  static void load_anew(emulation::EmulatedCublas library) {
    emulated_cublas() = std::move(library);
    ops::Cublas::forget();
  }
  static const std::vector<int>& products() { return emulated_cublas().products; }

  Variable draw(const Shape& shape, DType dtype = DType::kFloat32, Device device = kCuda) {
    return test::leaf(test::uniform(random_, shape).to(dtype).to(device));
  }
  // Of matrices of 0: only which of them cuBLAS gets.
  void multiply_zeros(const Shape& a, const Shape& b, DType dtype = DType::kFloat32) {
    ops::matmul(Variable(Tensor::zeros(a, dtype, kCuda)), Variable(Tensor::zeros(b, dtype, kCuda)));
  }

  Random random_{3};
};

// Row i of a times column j of b.
double exact(const Tensor& a, const Tensor& b, std::int64_t i, std::int64_t j, bool transpose_b) {
  const std::int64_t k = a.dim(-1);
  const std::vector<double> left = test::to_doubles(a), right = test::to_doubles(b);
  double sum = 0;
  for (std::int64_t p = 0; p < k; ++p) {
    const std::int64_t at = transpose_b ? j * k + p : p * b.dim(-1) + j;
    sum += left[static_cast<std::size_t>(i * k + p)] * right[static_cast<std::size_t>(at)];
  }
  return sum;
}

TEST_F(CublasProducts, AreRightWhateverIsTransposed) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool transpose_b : {false, true}) {
      const Variable a = draw({kLarge, kLarge + 8}, dtype),
                     b = draw(transpose_b ? Shape{kLarge + 3, kLarge + 8}
                                          : Shape{kLarge + 8, kLarge + 3},
                              dtype);
      const Tensor y = ops::matmul(a, b, false, transpose_b).value().to(Device{});
      const double unit = dtype == DType::kFloat32 ? 0x1p-24 : 0x1p-53;
      const Tensor left = a.value().to(Device{}), right = b.value().to(Device{});
      for (const auto& [i, j] : {std::pair{0, 0}, {1, 2}, {1023, 1026}, {700, 5}}) {
        // Each of the terms is at most 1, and is rounded once in each sum behind it.
        EXPECT_NEAR(test::to_doubles(y)[static_cast<std::size_t>(i * y.dim(1) + j)],
                    exact(left, right, i, j, transpose_b),
                    unit * static_cast<double>(kLarge * kLarge));
      }
    }
  }
  EXPECT_THAT(products(), ::testing::ElementsAre(kCompute32Pedantic, kCompute32Pedantic,
                                                 kCompute64Pedantic, kCompute64Pedantic));
}

// The CPU's are those of OpenBLAS, another order of the same sums.
TEST_F(CublasProducts, WithABiasAndTheirGradientsAreThoseOfTheCpu) {
  const auto results = [](Device device) {
    Random random(4);
    const auto leaf = [&](const Shape& shape) {
      return test::leaf(test::uniform(random, shape).to(DType::kFloat32).to(device));
    };
    const Variable x = leaf({kLarge + 6, kLarge}), w = leaf({kLarge, kLarge + 2}),
                   bias = leaf({kLarge + 2});
    Tape tape;
    const Variable y = ops::linear(x, w, bias, ops::LinearActivation::kRelu);
    tape.backward(y, y.value());
    std::vector<Tensor> all = {y.value(), x.grad(), w.grad(), bias.grad()};
    for (Tensor& tensor : all) tensor = tensor.to(Device{});
    return all;
  };
  const std::vector<Tensor> got = results(kCuda), wanted = results({});
  EXPECT_THAT(products(), SizeIs(3));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::vector<double> of_device = test::to_doubles(got[i]),
                              of_cpu = test::to_doubles(wanted[i]);
    double most = 0, away = 0;
    for (std::size_t e = 0; e < of_cpu.size(); ++e) {
      most = std::max(most, std::abs(of_cpu[e]));
      away = std::max(away, std::abs(of_device[e] - of_cpu[e]));
    }
    EXPECT_GT(most, 1) << i;
    EXPECT_LT(away, 1e-5 * most) << i;
  }
}

TEST_F(CublasProducts, AreThoseThatOpenBlasHasOnTheCpu) {
  const auto belongs = [](std::int64_t m, std::int64_t n, std::int64_t k, bool are_samples = true) {
    return ops::belongs_to_blas({.m = m, .n = n, .k = k, .rows_are_samples = are_samples});
  };
  EXPECT_TRUE(belongs(kLarge, kLarge, kLarge));
  EXPECT_FALSE(belongs(kLarge - 1, kLarge, kLarge));
  EXPECT_FALSE(belongs(kLarge, kLarge - 1, kLarge));
  EXPECT_FALSE(belongs(kLarge, kLarge, kLarge - 1));
  EXPECT_FALSE(belongs(kLarge, kLarge, kLarge, false));
  EXPECT_FALSE(belongs(std::int64_t{1} << 31, kLarge, kLarge));
  multiply_zeros({kLarge, 8}, {8, kLarge});
  EXPECT_THAT(products(), IsEmpty());
  multiply_zeros({kLarge, kLarge}, {kLarge, kLarge});
  EXPECT_THAT(products(), SizeIs(1));
}

TEST_F(CublasProducts, AreReplayedInSteps) {
  const Variable w = draw({kLarge, kLarge});
  const Tensor first = draw({kLarge, kLarge}).value(), second = draw({kLarge, kLarge}).value();
  const auto eager = [&](const Tensor& x) {
    return ops::matmul(Variable(x), w).value().to(Device{});
  };
  const Tensor of_first = eager(first), of_second = eager(second);
  load_anew({});  // the handle is made within a step
  Tensor x = first.clone();
  test::Since since;
  const auto step = [&](const Tensor& input) { return test::product_in_step(x, input, w); };
  EXPECT_TRUE(is_near(step(first), of_first));
  EXPECT_TRUE(is_near(step(second), of_second));
  EXPECT_EQ(since().recorded, 2U);  // the first one also made the workspace
  EXPECT_TRUE(is_near(step(first), of_first));
  EXPECT_EQ(since().replayed, test::reuses_memory() ? 1U : 0U);
  EXPECT_THAT(products(), SizeIs(test::reuses_memory() ? 2 : 3));  // the third is the graph's
}

// Nor are those of the rows of sequences cuBLAS's: padding must not change their bits.
TEST_F(CublasProducts, WithoutTheLibraryAreThoseOfTheOwnKernels) {
  if (emulation::sees_accesses()) GTEST_SKIP() << "takes minutes where each access is watched";
  const Variable x = draw({kLarge, kLarge}), w = draw({kLarge, kLarge});
  const Variable of_sequence(x.value().view(0, {1, kLarge, kLarge}));
  const Tensor own = ops::matmul(of_sequence, w).value().to(Device{});
  EXPECT_THAT(products(), IsEmpty());
  load_anew({.is_installed = false});
  const Tensor y = ops::matmul(x, w).value().to(Device{});
  EXPECT_TRUE(is_near(y, own.view(0, {kLarge, kLarge})));
  EXPECT_EQ(emulated_cublas().opened, "libcublas.so.13");
  EXPECT_EQ(ops::cublas_description(), "");
}

TEST_F(CublasProducts, AreThoseOfTheOwnKernelsOnDemand) {
  const Named off("off");
  load_anew({});
  EXPECT_EQ(ops::Cublas::get(), nullptr);
  EXPECT_EQ(ops::cublas_description(), "");
  EXPECT_EQ(emulated_cublas().opened, "");
}

TEST_F(CublasProducts, MissTheLibraryThatIsNamedThoughItIsTheUsualOne) {
  const Named named("libcublas.so.13");
  load_anew({.is_installed = false});
  EXPECT_THAT(error_of([] { ops::Cublas::get(); }),
              ::testing::HasSubstr("cannot load 'libcublas.so.13', which MASKGRAD_CUBLAS names"));
}

TEST_F(CublasProducts, TakeTheLibraryThatIsNamed) {
  const Named named("/opt/libcublas.so.13");
  load_anew({});
  multiply_zeros({kLarge, kLarge}, {kLarge, kLarge});
  EXPECT_EQ(emulated_cublas().opened, "/opt/libcublas.so.13");
  EXPECT_EQ(ops::cublas_description(), "cuBLAS 13.1.0");
  load_anew({.is_installed = false});
  EXPECT_EQ(error_of([&] {
              multiply_zeros({kLarge, kLarge}, {kLarge, kLarge});
            }),
            "[cublas] cannot load '/opt/libcublas.so.13', which MASKGRAD_CUBLAS names; "
            "MASKGRAD_CUBLAS=off does without it");
}

TEST_F(CublasProducts, TellWhatTheLibraryLacks) {
  load_anew({.lacks = "cublasGemmEx"});
  EXPECT_EQ(error_of([&] {
              multiply_zeros({kLarge, kLarge}, {kLarge, kLarge});
            }),
            "[cublas] libcublas.so.13 has no cublasGemmEx: name another file in MASKGRAD_CUBLAS; "
            "MASKGRAD_CUBLAS=off does without it");
}

TEST_F(CublasProducts, TellWhatCublasSays) {
  const auto error = [&] {
    return error_of([&] { multiply_zeros({kLarge, kLarge}, {kLarge, kLarge}); });
  };
  load_anew({.status_of_create = 1});
  EXPECT_THAT(error(), HasSubstr("[cublas] CUBLAS_STATUS_NOT_INITIALIZED of cublasCreate; "));
  load_anew({.status_of_products = 13});
  EXPECT_EQ(error(),
            "[cublas] CUBLAS_STATUS_EXECUTION_FAILED of cublasGemmEx; MASKGRAD_CUBLAS=off does "
            "without it");
  // In a step its end tells, and the next step is as if nothing had happened.
  const auto step = [&] {
    DeviceStep on_device(kCuda);
    multiply_zeros({kLarge, kLarge}, {kLarge, kLarge});
    on_device.end();
  };
  EXPECT_THAT(error_of(step), HasSubstr("CUBLAS_STATUS_EXECUTION_FAILED of cublasGemmEx"));
  emulated_cublas().status_of_products = 0;
  step();
  EXPECT_THAT(products(), SizeIs(1));
}

}  // namespace
}  // namespace maskgrad
