#include "emulation/streams.hpp"

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "emulation/device.hpp"

using maskgrad::emulation::enqueue;

namespace {

using Work = std::function<void()>;
using Nodes = std::vector<Work>;

}  // namespace

// How often it was recorded, and how many of these were reached.
struct CUevent_st {
  std::uint64_t recorded = 0;
  std::shared_ptr<std::uint64_t> reached = std::make_shared<std::uint64_t>(0);
  bool is_captured = false;
};

struct CUgraph_st {
  std::shared_ptr<Nodes> nodes = std::make_shared<Nodes>();
};
struct CUgraphExec_st {
  std::shared_ptr<const Nodes> nodes;
};

struct CUstream_st {
  std::deque<Work> waiting;
  std::unique_ptr<CUgraph_st> captured;  // while it is captured
  cudaStreamCaptureMode mode{};
  bool is_invalid = false;  // the capture

  // What a kernel did wrong is thrown here: its text tells more than a cudaError_t could. The rest
  // is lost then.
  void run_next() {
    const Work next = std::move(waiting.front());
    waiting.pop_front();
    try {
      next();
    } catch (...) {
      waiting.clear();
      throw;
    }
  }
};

namespace {

CUstream_st the_stream;

}  // namespace

namespace maskgrad::emulation {

std::size_t waiting() { return the_stream.waiting.size(); }

void enqueue(cudaStream_t stream, std::function<void()> work) {
  if (stream->captured) {
    stream->captured->nodes->push_back(std::move(work));
  } else {
    stream->waiting.push_back(std::move(work));
  }
}

bool is_capturing() { return the_stream.captured != nullptr; }

bool refuses_calls() {
  if (!is_capturing() || the_stream.mode == cudaStreamCaptureModeRelaxed) return false;
  the_stream.is_invalid = true;
  return true;
}

void run_streams() {
  while (!the_stream.waiting.empty()) the_stream.run_next();
}

}  // namespace maskgrad::emulation

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = &the_stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->captured) {
    stream->is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  while (!stream->waiting.empty()) stream->run_next();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->is_captured = stream->captured != nullptr;
  if (event->is_captured) return cudaSuccess;
  enqueue(stream, [reached = event->reached, number = ++event->recorded] { *reached = number; });
  return cudaSuccess;
}

// Runs what stands before it, and no more.
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->is_captured) {
    the_stream.is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  while (*event->reached < event->recorded && !the_stream.waiting.empty()) the_stream.run_next();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (stream->captured) return cudaErrorStreamCaptureUnsupported;
  stream->captured = std::make_unique<CUgraph_st>();
  stream->mode = mode;
  stream->is_invalid = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!stream->captured) return cudaErrorInvalidValue;
  const std::unique_ptr<CUgraph_st> captured = std::move(stream->captured);
  if (stream->is_invalid) return cudaErrorStreamCaptureInvalidated;
  *graph = new CUgraph_st(*captured);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  constexpr std::size_t kBytes = 65536;
  if (!maskgrad::emulation::fits_limit(kBytes)) return cudaErrorMemoryAllocation;
  *made = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t made) {
  delete made;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t made, cudaStream_t stream) {
  constexpr std::size_t kBytes = 32768;
  if (!maskgrad::emulation::fits_limit(kBytes)) return cudaErrorMemoryAllocation;
  enqueue(stream, [nodes = made->nodes] {
    for (const Work& node : *nodes) node();
  });
  return cudaSuccess;
}
