// How the CUDA tiles cut up a dense op: for what is said of a plan, not for running it.
#pragma once

#include <span>
#include <vector>

#include "kernels/cuda/choose.h"
#include "ops/op.h"

namespace diabolo {

struct ProductWork {
  kernels::cuda::GemmShape shape;   // C[m,n] = sum over k
  kernels::cuda::TileExtents tile;  // of C, for a block
  int64_t splits = 1;  // of k, by blocks of their own; a second launch or a reader adds them up
};

// One, or of a chain one a layer; none for what is no dense op, or not of our tiles.
std::vector<ProductWork> product_work(const OpDef& op, const Kernel& kernel, const Call& call,
                                      const DeviceInfo& device);

}  // namespace diabolo
