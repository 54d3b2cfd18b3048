// The fast CPU kernels as the op layer sees them: for every record P of kernels/*.h the same three
// overloads as kernels/cuda/cuda.h has.
//
//   refusal(P, cpu)           null if the kernel takes this call, else the reason (shape only;
//                             of pointers only their being null or not is looked at)
//   scratch_bytes(P, cpu)     bytes of scratch, 64-byte aligned, that prepare wants
//   prepare(P, cpu, scratch)  the call: it allocates nothing and asks nothing
//
// Products are oneDNN's (own loops where it is not built in, and below AVX-512), everything else is
// own loops. Forward rows (DenseForward, DenseScore, RowScore) have the same bits for any batch and
// any number of threads; sums run over fixed chunks, so they have the same bits for any number of
// threads. Gradients by oneDNN have the same bits for one number of threads. Own loops other than
// products give the same bits on every instruction set. Aliasing is allowed where the records say
// so, nowhere else.
//
// `cpu.threads` is the most that a call may use; prepare decides by its work how many are worth it.
// They are those of the calling thread's team (kernels/cpu/thread_setup.h); where that has fewer,
// or where there is none, the same call does the same work on fewer.
#pragma once

#include <cstdint>

#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/common/launch.h"
#include "kernels/cpu/features.h"
#include "kernels/dense.h"
#include "kernels/gather.h"
#include "kernels/loss.h"
#include "kernels/noise.h"
#include "kernels/optimizer.h"
#include "kernels/penalty.h"
#include "kernels/score.h"

namespace diabolo::kernels::cpu {

#define DIABOLO_CPU_KERNEL(...)                                            \
  const char* refusal(const __VA_ARGS__& call, const CpuFeatures& cpu);    \
  uint64_t scratch_bytes(const __VA_ARGS__& call, const CpuFeatures& cpu); \
  Launch prepare(const __VA_ARGS__& call, const CpuFeatures& cpu, void* scratch);

// bf16 is refused where the build has no oneDNN or the CPU no bf16 instructions.
DIABOLO_CPU_KERNEL(DenseForward<float>)
DIABOLO_CPU_KERNEL(DenseForward<Bf16>)
DIABOLO_CPU_KERNEL(DenseLoss<float>)
DIABOLO_CPU_KERNEL(DenseLoss<Bf16>)
DIABOLO_CPU_KERNEL(DenseScore<float>)
DIABOLO_CPU_KERNEL(DenseScore<Bf16>)
DIABOLO_CPU_KERNEL(DenseDataGrad<float>)
DIABOLO_CPU_KERNEL(DenseDataGrad<Bf16>)
DIABOLO_CPU_KERNEL(DenseWeightGrad<float>)
DIABOLO_CPU_KERNEL(DenseWeightGrad<Bf16>)
// Never refused.
DIABOLO_CPU_KERNEL(LossOf<float>)
DIABOLO_CPU_KERNEL(LossOf<Bf16>)
DIABOLO_CPU_KERNEL(ActivationGrad<float>)
DIABOLO_CPU_KERNEL(ActivationGrad<Bf16>)
DIABOLO_CPU_KERNEL(Add<float>)
DIABOLO_CPU_KERNEL(Add<Bf16>)
DIABOLO_CPU_KERNEL(Dropout<float>)
DIABOLO_CPU_KERNEL(Dropout<Bf16>)
DIABOLO_CPU_KERNEL(Corrupt<float>)
DIABOLO_CPU_KERNEL(Corrupt<Bf16>)
DIABOLO_CPU_KERNEL(L2Penalty<float>)
DIABOLO_CPU_KERNEL(L2PenaltyGrad<float>)
DIABOLO_CPU_KERNEL(RowScore<float>)
DIABOLO_CPU_KERNEL(RowScore<Bf16>)
DIABOLO_CPU_KERNEL(Gather<uint8_t, float>)
DIABOLO_CPU_KERNEL(Gather<uint8_t, Bf16>)
DIABOLO_CPU_KERNEL(Gather<float, float>)
DIABOLO_CPU_KERNEL(Gather<float, Bf16>)
DIABOLO_CPU_KERNEL(GlobalNorm<float>)
DIABOLO_CPU_KERNEL(OptimizerStep<float>)
DIABOLO_CPU_KERNEL(SumTerms<float>)
DIABOLO_CPU_KERNEL(Advance)
#undef DIABOLO_CPU_KERNEL

}  // namespace diabolo::kernels::cpu
