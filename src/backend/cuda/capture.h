// Recording what launches would do on a stream as one CUDA graph. The only place that captures.
#pragma once

#include <functional>
#include <memory>

#include "backend/backend.h"
#include "backend/cuda/cuda_stream.h"

namespace diabolo::cuda {

std::unique_ptr<Replay> capture(CudaStream& stream,
                                const std::function<void(void* native)>& launches);

}  // namespace diabolo::cuda
