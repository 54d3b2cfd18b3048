#include "backend/cuda/capture.h"

#include "backend/cuda/cuda_check.h"
#include "base/error.h"

namespace diabolo::cuda {

namespace {

class CudaReplay : public Replay {
 public:
  CudaReplay(int device, cudaGraphExec_t graph) : device_(device), graph_(graph) {}
  ~CudaReplay() override { (void)cudaGraphExecDestroy(graph_); }

  void launch(Stream& stream) override {
    CudaStream& target = cuda_stream(stream);
    DIABOLO_CHECK(target.device() == device_, "recorded on device ", device_, ", launched on ",
                  target.device());
    target.launch(graph_);
  }

 private:
  int device_;
  cudaGraphExec_t graph_;
};

// Ends a capture in any case; the graph is null if it was invalidated meanwhile.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    // Thread-local: other threads may go on allocating, which a global capture would forbid them.
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
          "cudaStreamBeginCapture");
    active_ = true;
  }
  ~Capture() {
    if (active_) (void)end();
    if (graph_ != nullptr) (void)cudaGraphDestroy(graph_);
    if (failed_) (void)cudaGetLastError();
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaError_t end() {
    active_ = false;
    const cudaError_t status = cudaStreamEndCapture(stream_, &graph_);
    failed_ = status != cudaSuccess;
    return status;
  }
  cudaGraph_t graph() const { return graph_; }

 private:
  cudaStream_t stream_;
  cudaGraph_t graph_ = nullptr;
  bool active_ = false;
  bool failed_ = false;
};

[[noreturn]] void fail(const std::string& reason) {
  throw Error(ErrorCode::kDevice, cat("CUDA: the step cannot be recorded: ", reason));
}

}  // namespace

std::unique_ptr<Replay> capture(CudaStream& stream,
                                const std::function<void(void* native)>& launches) {
  const DeviceGuard guard(stream.device());
  Capture recording(stream.handle());
  try {
    launches(stream.handle());
  } catch (...) {
    std::rethrow_exception(current_failure());
  }
  const cudaError_t ended = recording.end();
  if (ended != cudaSuccess) fail(describe(ended, "cudaStreamEndCapture"));
  cudaGraphExec_t graph = nullptr;
  check(cudaGraphInstantiate(&graph, recording.graph(), 0), "cudaGraphInstantiate");
  auto replay = std::make_unique<CudaReplay>(stream.device(), graph);
  // So that the first launch does not pay for it.
  check(cudaGraphUpload(graph, stream.handle()), "cudaGraphUpload");
  return replay;
}

}  // namespace diabolo::cuda
