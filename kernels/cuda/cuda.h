// The CUDA kernels as the op layer sees them: for every record P of kernels/*.h the same three
// overloads. No CUDA header is needed to include this.
//
//   refusal(P, device)        null if the kernel takes this call, else the reason (shape only;
//                             pointers are not looked at)
//   scratch_bytes(P, device)  bytes of scratch, 256-byte aligned, that prepare wants
//   prepare(P, device, scratch)  the call; throws LaunchError later, from the call, if a launch
//                             fails
//
// refusal and scratch_bytes are plain C++ (choose.cpp), built everywhere: a plan can be made for a
// GPU that is not there. prepare is in the .cu files.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/common/launch.h"
#include "kernels/dense.h"
#include "kernels/gather.h"
#include "kernels/loss.h"
#include "kernels/noise.h"
#include "kernels/optimizer.h"
#include "kernels/penalty.h"
#include "kernels/score.h"

namespace diabolo::kernels::cuda {

// What the choice of a kernel may depend on.
struct Device {
  int arch = 80;  // compute capability, major * 10 + minor
  int multiprocessors = 108;
  int64_t shared_bytes_per_block = 166912;  // with opt-in
  bool allows_tf32 = false;                 // products of f32 may round their operands to tf32
};

// A launch that the CUDA runtime refused; the message has the kernel's name and the runtime's text.
class LaunchError : public std::runtime_error {
 public:
  LaunchError(int cuda_error, const char* message)
      : std::runtime_error(message), cuda_error_(cuda_error) {}
  int cuda_error() const { return cuda_error_; }

 private:
  int cuda_error_;
};

#define DIABOLO_CUDA_KERNEL(...)                                         \
  const char* refusal(const __VA_ARGS__& call, const Device& device);    \
  uint64_t scratch_bytes(const __VA_ARGS__& call, const Device& device); \
  Launch prepare(const __VA_ARGS__& call, const Device& device, void* scratch);

DIABOLO_CUDA_KERNEL(DenseForward<float>)
DIABOLO_CUDA_KERNEL(DenseForward<Bf16>)
DIABOLO_CUDA_KERNEL(DenseLoss<float>)
DIABOLO_CUDA_KERNEL(DenseLoss<Bf16>)
DIABOLO_CUDA_KERNEL(DenseScore<float>)
DIABOLO_CUDA_KERNEL(DenseScore<Bf16>)
DIABOLO_CUDA_KERNEL(DenseDataGrad<float>)
DIABOLO_CUDA_KERNEL(DenseDataGrad<Bf16>)
DIABOLO_CUDA_KERNEL(DenseWeightGrad<float>)
DIABOLO_CUDA_KERNEL(DenseWeightGrad<Bf16>)
DIABOLO_CUDA_KERNEL(LossOf<float>)
DIABOLO_CUDA_KERNEL(LossOf<Bf16>)
DIABOLO_CUDA_KERNEL(ActivationGrad<float>)
DIABOLO_CUDA_KERNEL(ActivationGrad<Bf16>)
DIABOLO_CUDA_KERNEL(Add<float>)
DIABOLO_CUDA_KERNEL(Add<Bf16>)
DIABOLO_CUDA_KERNEL(Dropout<float>)
DIABOLO_CUDA_KERNEL(Dropout<Bf16>)
DIABOLO_CUDA_KERNEL(Corrupt<float>)
DIABOLO_CUDA_KERNEL(Corrupt<Bf16>)
DIABOLO_CUDA_KERNEL(L2Penalty<float>)
DIABOLO_CUDA_KERNEL(L2PenaltyGrad<float>)
DIABOLO_CUDA_KERNEL(RowScore<float>)
DIABOLO_CUDA_KERNEL(RowScore<Bf16>)
DIABOLO_CUDA_KERNEL(Gather<uint8_t, float>)
DIABOLO_CUDA_KERNEL(Gather<uint8_t, Bf16>)
DIABOLO_CUDA_KERNEL(Gather<float, float>)
DIABOLO_CUDA_KERNEL(Gather<float, Bf16>)
DIABOLO_CUDA_KERNEL(GlobalNorm<float>)
DIABOLO_CUDA_KERNEL(OptimizerStep<float>)
DIABOLO_CUDA_KERNEL(SumTerms<float>)
DIABOLO_CUDA_KERNEL(Advance)
#undef DIABOLO_CUDA_KERNEL

}  // namespace diabolo::kernels::cuda
