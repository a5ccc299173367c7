#include <cstdlib>
#include <optional>
#include <utility>

#include <dlfcn.h>

#include <maskgrad/ops/cuda/gemm/cublas.hpp>
#include <maskgrad/ops/math/cublas_description.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kName = "cublas";
constexpr const char *kVariable = "MASKGRAD_CUBLAS", *kOff = "off";
constexpr const char* kWayOut = "MASKGRAD_CUBLAS=off does without it";

// Of cublas_api.h and library_types.h.
constexpr int kNoTranspose = 0, kTranspose = 1;
constexpr int kNoAtomics = 0;
constexpr int kDefaultMath = 0, kPedanticMath = 2;
constexpr int kReal32 = 0, kReal64 = 1;
constexpr int kCompute32Pedantic = 69, kCompute64Pedantic = 71, kCompute32FastTf32 = 77;
constexpr int kDefaultAlgorithm = -1;

constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;

std::string default_file() { return fmt::format("libcublas.so.{}", CUDART_VERSION / 1000); }

std::shared_ptr<const Cublas> load() {
  const char* const value = std::getenv(kVariable);
  const bool is_named = value && *value;
  const std::string file = is_named ? value : default_file();
  if (file == kOff) return nullptr;
  void* const library = cublas_loader.open(file.c_str());
  if (library) return std::make_shared<const Cublas>(library, file);
  check(!is_named, kName, "cannot load '{}', which {} names; {}", file, kVariable, kWayOut);
  return nullptr;
}

// What get() returns, once it was called. Kernels may end behind any destructor.
std::optional<std::shared_ptr<const Cublas>>& loaded() {
  static auto* const cublas = new std::optional<std::shared_ptr<const Cublas>>;
  return *cublas;
}

const bool kDescribed = [] {
  cublas_description = [] {
    const auto cublas = Cublas::get();
    return cublas ? cublas->description() : std::string();
  };
  return true;
}();

}  // namespace

constinit LibraryLoader cublas_loader = {
    .open = [](const char* file) { return ::dlopen(file, RTLD_NOW | RTLD_LOCAL); },
    .find = ::dlsym};

std::shared_ptr<const Cublas> Cublas::get() {
  const std::lock_guard lock(cuda::device_lock());
  if (!loaded()) loaded() = load();
  return *loaded();
}

void Cublas::forget() {
  const std::lock_guard lock(cuda::device_lock());
  loaded() = std::nullopt;
}

Cublas::Functions Cublas::find_functions(void* library, const std::string& file) {
  const auto find = [&]<class F>(F*& function, const char* name) {
    function = reinterpret_cast<F*>(cublas_loader.find(library, name));
    check(function != nullptr, kName, "{} has no {}: name another file in {}; {}", file, name,
          kVariable, kWayOut);
  };
  Functions all;
  find(all.create, "cublasCreate_v2");
  find(all.destroy, "cublasDestroy_v2");
  find(all.set_stream, "cublasSetStream_v2");
  find(all.set_workspace, "cublasSetWorkspace_v2");
  find(all.set_atomics, "cublasSetAtomicsMode");
  find(all.set_math, "cublasSetMathMode");
  find(all.get_version, "cublasGetVersion_v2");
  find(all.status_name, "cublasGetStatusName");
  find(all.gemm, "cublasGemmEx");
  return all;
}

Cublas::Handle Cublas::make_handle() const {
  Handle handle = nullptr;
  check_status(functions_.create(&handle), "cublasCreate");
  return handle;
}

Cublas::Cublas(void* library, const std::string& file)
    : functions_(find_functions(library, file)),
      workspace_(Tensor::empty({kWorkspaceBytes}, DType::kBool, Device{DeviceType::kCuda})),
      handle_(make_handle(), functions_.destroy) {
  const Handle handle = handle_.get();
  check_status(functions_.set_stream(handle, cuda::stream()), "cublasSetStream");
  // Behind the stream, which brings another one.
  void* const workspace = workspace_.device_data<bool>();
  check_status(functions_.set_workspace(handle, workspace, kWorkspaceBytes), "cublasSetWorkspace");
  check_status(functions_.set_atomics(handle, kNoAtomics), "cublasSetAtomicsMode");
}

void Cublas::check_status(int status, const char* function) const {
  check(status == 0, kName, "{} of {}; {}", functions_.status_name(status), function, kWayOut);
}

// Matrices of cuBLAS have columns that lie side by side: it gets y^T = op(b)^T op(a)^T.
template <class T>
void Cublas::multiply(std::shared_ptr<const Cublas> cublas, const MatrixProduct& d, CublasMath math,
                      const T* a, const T* b, T* y) {
  constexpr bool is_double = std::is_same_v<T, double>;
  const bool is_fast = math == CublasMath::kFastTf32;
  const int type = is_double ? kReal64 : kReal32, compute = is_fast     ? kCompute32FastTf32
                                                            : is_double ? kCompute64Pedantic
                                                                        : kCompute32Pedantic;
  const int m = static_cast<int>(d.m), n = static_cast<int>(d.n), k = static_cast<int>(d.k);
  const auto transpose = [](bool is) { return is ? kTranspose : kNoTranspose; };
  const auto start = [=, self = std::move(cublas)] {
    const Functions& call = self->functions_;
    const Handle handle = self->handle_.get();
    const T one = 1, zero = 0;
    self->check_status(call.set_math(handle, is_fast ? kDefaultMath : kPedanticMath),
                       "cublasSetMathMode");
    self->check_status(
        call.gemm(handle, transpose(d.transpose_b), transpose(d.transpose_a), n, m, k, &one, b,
                  type, d.transpose_b ? k : n, a, type, d.transpose_a ? m : k, &zero, y, type, n,
                  compute, kDefaultAlgorithm),
        "cublasGemmEx");
    cuda::wait_if_asked("matmul");
  };
  const auto key = cuda::bytes_of('b', compute, m, n, k, d.transpose_a, d.transpose_b, a, b, y);
  cuda::step_log().give({nullptr, key}, start);
}

std::string Cublas::description() const {
  int version = 0;
  check_status(functions_.get_version(handle_.get(), &version), "cublasGetVersion");
  return fmt::format("cuBLAS {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

template void Cublas::multiply(std::shared_ptr<const Cublas>, const MatrixProduct&, CublasMath,
                               const float*, const float*, float*);
template void Cublas::multiply(std::shared_ptr<const Cublas>, const MatrixProduct&, CublasMath,
                               const double*, const double*, double*);

}  // namespace maskgrad::ops
