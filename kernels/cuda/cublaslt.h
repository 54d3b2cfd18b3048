// Dense products by cuBLASLt: the choice (pure but for looking for the library), and one prepared
// product. The entries of policy `fast`: the library picks its kernel by the whole shape, batch
// included, so a row's bits depend on its batch.
//
//   refusal(P, device)                    empty, or why not; the last reason is a missing library
//   scratch_bytes(P, device)              the library's workspace, and the f32 product where a pass
//                                         of ours finishes a bf16 one
//   prepare(P, device, index, scratch)    the call; `index` is the CUDA device's. Where the library
//                                         has no algorithm for these addresses, our tiles do it
//
// The weight gradient is not among them: its column sums (d_bias) ride in our tiles.
#pragma once

#include <string>

#include "kernels/dense.h"

namespace diabolo::kernels::cuda::cublaslt {

#define DIABOLO_CUBLASLT_KERNEL(P)                             \
  std::string refusal(const P& call, const Device& device);    \
  uint64_t scratch_bytes(const P& call, const Device& device); \
  Launch prepare(const P& call, const Device& device, int index, void* scratch);

DIABOLO_CUBLASLT_KERNEL(DenseForward<float>)
DIABOLO_CUBLASLT_KERNEL(DenseForward<Bf16>)
DIABOLO_CUBLASLT_KERNEL(DenseDataGrad<float>)
DIABOLO_CUBLASLT_KERNEL(DenseDataGrad<Bf16>)
#undef DIABOLO_CUBLASLT_KERNEL

// True where the library is expected to beat our tiles. Arithmetic, not measured: no GPU has run
// either.
//
// m x n outputs are one full wave of the largest tile at least; below, our smaller tiles count for
// more. A pass that finishes the product costs about 8 bytes an output (2.4 ps at 3.3 TB/s), the
// library saves at most what mma.sync leaves of the rate on an H100 (63 % against 96 %: 1.1 fs of
// each of k steps in bf16; our FFMA loop taken at 60 %: 18 fs in f32). So k has to reach about 2100
// in bf16 and 130 in f32 there, and, the rate growing with the multiprocessors, 16 and 1 for each
// of them.
struct Extents {
  int64_t m, n, k;
};
bool is_expected_to_win(const Extents& extents, bool is_bf16, bool needs_finish,
                        const Device& device);

// The workspace that NVIDIA recommends (cuBLAS documentation, cublasSetWorkspace): 32 MiB from
// Hopper on, 4 MiB before.
uint64_t workspace_bytes(const Device& device);

// True if a pass of ours has to finish what the library computes. Its own epilogues are not used
// but for the bias of f32 layers: its relu is documented as max(x, 0), which may swallow a NaN that
// must reach the loss; its gelu is the tanh form; and it wants a bf16 bias for a bf16 result, ours
// is f32.
template <class T>
bool needs_finish(const DenseForward<T>& p) {
  const bool has_own_bias = sizeof(T) == 4 || !p.bias;
  return p.activation != Activation::kIdentity || p.z || !has_own_bias;
}
template <class T>
bool needs_finish(const DenseDataGrad<T>& p) {
  return p.saved != nullptr;
}

// d [m,n] = a [m,k] times w, plus bias [n] to every row; row-major without gaps. w is [k,n], or
// with `w_is_transposed` [n,k]. a and w are bf16 if `is_bf16`, d if `d_is_bf16`; the bias is f32
// and only for an f32 d.
struct Product {
  int64_t m = 0, n = 0, k = 0;
  bool w_is_transposed = false, is_bf16 = false, d_is_bf16 = false;
  const void* a = nullptr;
  const void* w = nullptr;
  const float* bias = nullptr;
  void* d = nullptr;
};
// The call, or an empty one where the library has no algorithm. Throws LaunchError for all else.
Launch prepare_product(const Product& product, const Device& device, int index, void* workspace);

}  // namespace diabolo::kernels::cuda::cublaslt
