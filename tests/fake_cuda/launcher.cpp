#include "launcher.h"

#include <memory>
#include <string>
#include <utility>

#include "cuda_host.h"
#include "kernels/cuda/cuda.h"
#include "library_work.h"
#include "runtime.h"

namespace fake_cuda {

namespace {

std::string describe(const cuda_host::LaunchSpec& spec) {
  const cuda_host::Dim3 grid = spec.grid;
  return "kernel of " + std::to_string(uint64_t{grid.x} * grid.y * grid.z) + " blocks of " +
         std::to_string(spec.block.x * spec.block.y * spec.block.z);
}

// What every launch has in common.
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

void launch(cuda_host::LaunchSpec&& moved) {
  const auto spec = std::make_shared<const cuda_host::LaunchSpec>(std::move(moved));
  const cudaError_t status =
      put_on_stream(spec->stream, describe(*spec), [spec] { cuda_host::run(*spec); });
  if (status == cudaSuccess) return;
  const std::string text = std::string("cudaLaunchKernel: ") + cudaGetErrorName(status) + ", " +
                           cudaGetErrorString(status);
  throw diabolo::kernels::cuda::LaunchError(static_cast<int>(status), text.c_str());
}

}  // namespace

void take_launches() {
  cuda_host::set_launcher(launch);
}

}  // namespace fake_cuda

int fake_cuda_library_work(void* stream, const char* what, const std::function<void()>& run) {
  return fake_cuda::put_on_stream(stream, what, run);
}
