#include "launcher.h"

#include <memory>
#include <string>
#include <utility>

#include "cuda_host.h"
#include "kernels/cuda/cuda.h"
#include "stream_work.h"

namespace fake_cuda {

namespace {

std::string describe(const cuda_host::LaunchSpec& spec) {
  const cuda_host::Dim3 grid = spec.grid;
  return "kernel of " + std::to_string(uint64_t{grid.x} * grid.y * grid.z) + " blocks of " +
         std::to_string(spec.block.x * spec.block.y * spec.block.z);
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
