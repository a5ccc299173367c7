// Streams, events, pinned memory and graphs of the emulated device.
#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/tensor.hpp>

#include "cuda/on_cuda.hpp"
#include "cuda/test_kernels.hpp"
#include "emulation/device.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;

void must(cudaError_t error) { cuda::check_cuda(error, "test"); }

class EmulatedStream : public ::testing::Test {
 protected:
  EmulatedStream() {
    void* memory = nullptr;
    must(cudaHostAlloc(&memory, 4 * sizeof(float), cudaHostAllocDefault));
    pinned_ = static_cast<float*>(memory);
    cuda::synchronize();
  }
  ~EmulatedStream() override { must(cudaFreeHost(pinned_)); }

  void fill_pinned(float value) { std::fill_n(pinned_, 4, value); }
  void copy_pinned(Tensor& to) {
    must(cudaMemcpyAsync(to.device_data<float>(), pinned_, 4 * sizeof(float),
                         cudaMemcpyHostToDevice, stream_));
  }
  // Of what `give` gives the stream.
  template <class F>
  cudaGraphExec_t graph_of(F give) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t made = nullptr;
    must(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
    give();
    must(cudaStreamEndCapture(stream_, &graph));
    must(cudaGraphInstantiate(&made, graph, 0));
    must(cudaGraphDestroy(graph));
    return made;
  }

  const cudaStream_t stream_ = cuda::stream();
  float* pinned_ = nullptr;
  Tensor x_ = Tensor::zeros({4}, DType::kFloat32, kCuda);
};

TEST_F(EmulatedStream, ReadsPinnedMemoryWhenItGetsThere) {
  fill_pinned(1);
  copy_pinned(x_);
  fill_pinned(2);  // too early
  EXPECT_THAT(to_doubles(x_.to(Device{})), Each(2));
}

TEST_F(EmulatedStream, ReadsOtherMemoryOfTheHostAtOnce) {
  float host[4] = {1, 2, 3, 4};
  must(
      cudaMemcpyAsync(x_.device_data<float>(), host, sizeof host, cudaMemcpyHostToDevice, stream_));
  std::fill_n(host, 4, 0.0f);
  EXPECT_THAT(to_doubles(x_.to(Device{})), ElementsAre(1, 2, 3, 4));
}

TEST_F(EmulatedStream, RunsUpToAnEventForWhoWaitsForIt) {
  cudaEvent_t event = nullptr;
  must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);  // it was never recorded
  Tensor y = x_.clone();
  cuda::synchronize();
  for (int turn = 0; turn < 2; ++turn) {
    fill_pinned(1);
    copy_pinned(x_);
    must(cudaEventRecord(event, stream_));
    copy_pinned(y);
    EXPECT_EQ(emulation::waiting(), 3U);
    must(cudaEventSynchronize(event));
    EXPECT_EQ(emulation::waiting(), 1U);
    fill_pinned(2);
    EXPECT_THAT(to_doubles(x_.to(Device{})), Each(1));
    EXPECT_THAT(to_doubles(y.to(Device{})), Each(2));
  }
  must(cudaEventDestroy(event));
}

TEST_F(EmulatedStream, RepeatsInAGraphWhatItWasGiven) {
  Tensor y = Tensor::zeros({4}, DType::kFloat32, kCuda);
  int threads = 4;
  const cudaGraphExec_t graph = graph_of([&] {
    copy_pinned(x_);
    test::copy(std::as_const(x_).device_data<float>(), y.device_data<float>(),
               static_cast<unsigned>(threads));
  });
  threads = 1;  // the number is in the graph
  for (const float value : {1.0f, 2.0f}) {
    fill_pinned(value);  // what it reads is not
    must(cudaGraphLaunch(graph, stream_));
    EXPECT_THAT(to_doubles(y.to(Device{})), Each(value));
    y.fill(0);
  }
  must(cudaGraphExecDestroy(graph));
}

TEST_F(EmulatedStream, DoesNothingWhileItIsCaptured) {
  cuda::synchronize();
  const cudaGraphExec_t graph = graph_of([&] { copy_pinned(x_); });
  EXPECT_EQ(emulation::waiting(), 0U);
  fill_pinned(3);
  EXPECT_THAT(to_doubles(x_.to(Device{})), Each(0));
  must(cudaGraphLaunch(graph, stream_));
  must(cudaGraphExecDestroy(graph));  // it runs to its end
  EXPECT_THAT(to_doubles(x_.to(Device{})), Each(3));
}

TEST_F(EmulatedStream, IsNotWaitedForWhileItIsCaptured) {
  cudaEvent_t event = nullptr;
  must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  const auto broken_by = [&](auto call) {
    must(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed),
              cudaErrorStreamCaptureUnsupported);
    must(cudaEventRecord(event, stream_));
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  };
  broken_by([&] { return cudaStreamSynchronize(stream_); });
  broken_by([&] { return cudaEventSynchronize(event); });
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorInvalidValue);
  must(cudaEventRecord(event, stream_));
  must(cudaEventDestroy(event));  // before it is reached
  cuda::synchronize();
}

TEST_F(EmulatedStream, GivesNoMemoryWhileItIsCapturedUnlessThatIsRelaxed) {
  for (const auto mode : {cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed}) {
    const bool is_relaxed = mode == cudaStreamCaptureModeRelaxed;
    void* memory = nullptr;
    must(cudaStreamBeginCapture(stream_, mode));
    EXPECT_EQ(cudaMalloc(&memory, 100),
              is_relaxed ? cudaSuccess : cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph),
              is_relaxed ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
    if (memory) must(cudaFree(memory));
    if (graph) must(cudaGraphDestroy(graph));
  }
}

TEST_F(EmulatedStream, GoesOnAfterAnErrorWithTheWorkBehindItLost) {
  cudaEvent_t event = nullptr;
  must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  emulation::enqueue(stream_, [] { fail("kernel", "went wrong"); });
  must(cudaEventRecord(event, stream_));
  EXPECT_EQ(test::error_of([&] { cuda::synchronize(); }), "[kernel] went wrong");
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);  // nobody waits for ever
  must(cudaEventDestroy(event));
  fill_pinned(1);
  copy_pinned(x_);
  EXPECT_THAT(to_doubles(x_.to(Device{})), Each(1));
}

}  // namespace
}  // namespace maskgrad
