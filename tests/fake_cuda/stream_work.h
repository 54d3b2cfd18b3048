// What a launch puts on a stream of the fake device, whoever runs the kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>

namespace fake_cuda {

// As a call of cudaLaunchKernel: refused where that is. `what`: for the log.
cudaError_t put_on_stream(void* stream, std::string what, std::function<void()> run);

}  // namespace fake_cuda
