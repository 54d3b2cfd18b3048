// What the op layer sees of the fast kernels: for every record P of kernels/*.h the same overloads,
// in namespace cpu with the CPU's features and in namespace cuda with the device.
//
//   refusal(P, where)                 null if the kernel takes this call, else the reason (shape
//                                     only; of pointers only their being null or not is looked at)
//   scratch_bytes(P, where)           bytes of scratch that prepare wants, 64-byte (CPU) or
//                                     256-byte (CUDA) aligned
//   prepare(P, where, void* scratch)  the call: it allocates nothing and asks nothing
//
// A record's header declares them by one of the macros below; they are found by their arguments.
//
// CPU. kernels/cpu defines all three. Products are oneDNN's (own loops where it is not built in,
// and below AVX-512; bf16 is refused without its bf16 instructions), everything else is own loops.
// Forward rows (DenseForward, DenseScore, RowScore) have the same bits for any batch and any number
// of threads; sums run over fixed chunks, so they have the same bits for any number of threads.
// Gradients by oneDNN have the same bits for one number of threads. Own loops other than products
// give the same bits on every instruction set. Aliasing is allowed where the records say so,
// nowhere else. `cpu.threads` is the most that a call may use; prepare decides by its work how many
// are worth it. They are those of the calling thread's team (kernels/cpu/thread_setup.h); where
// that has fewer, or where there is none, the same call does the same work on fewer.
//
// CUDA. prepare is in the .cu files; the call throws LaunchError if a launch fails. The rest is
// plain C++, built everywhere, so that a plan can be made for a GPU that is not there: refusal and
// scratch_bytes of kernels/cuda/cuda.h, which go by the record's extents, unless a record's header
// has overloads of its own.
#pragma once

#include <cstdint>

#include "kernels/common/launch.h"
#include "kernels/common/scalar.h"
#include "kernels/cpu/features.h"
#include "kernels/cuda/cuda.h"

#define DIABOLO_KERNEL(...)                                                       \
  namespace cpu {                                                                 \
  const char* refusal(const __VA_ARGS__& call, const CpuFeatures& cpu);           \
  uint64_t scratch_bytes(const __VA_ARGS__& call, const CpuFeatures& cpu);        \
  Launch prepare(const __VA_ARGS__& call, const CpuFeatures& cpu, void* scratch); \
  }                                                                               \
  namespace cuda {                                                                \
  Launch prepare(const __VA_ARGS__& call, const Device& device, void* scratch);   \
  }

// Of a template of one type, in both types that kernels compute in.
#define DIABOLO_KERNELS(Record) \
  DIABOLO_KERNEL(Record<float>) \
  DIABOLO_KERNEL(Record<Bf16>)
