#include "stream_work.h"

#include <utility>

#include "library_work.h"
#include "runtime.h"

namespace fake_cuda {

cudaError_t put_on_stream(void* native, std::string what, std::function<void()> run) {
  return call("cudaLaunchKernel", kPlain, [&](Runtime& runtime) {
    auto* stream = static_cast<CUstream_st*>(native);
    if (!runtime.is_live(stream, "cudaLaunchKernel")) return cudaErrorInvalidResourceHandle;
    if (stream->device != current_device()) {
      runtime.violate("a launch on a stream of another device than the current one");
      return cudaErrorInvalidResourceHandle;
    }
    ++runtime.counters.kernels;
    Operation operation;
    operation.what = std::move(what);
    operation.run = std::move(run);
    return runtime.enqueue(stream, std::move(operation));
  });
}

}  // namespace fake_cuda

int fake_cuda_library_work(void* stream, const char* what, const std::function<void()>& run) {
  return fake_cuda::put_on_stream(stream, what, run);
}
