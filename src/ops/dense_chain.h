// dense_chain: dense layers one after the other; graph/chain.h makes it of them.
#pragma once

#include "backend/device_info.h"
#include "kernels/dense_chain.h"
#include "ops/op.h"

namespace diabolo {

// x T[B,I], then of each layer its weight, and its bias where it has one, as dense_forward's; and
// target T[B,O] if scores -> y T[B,O], or score A[B].
struct DenseChainAttrs {
  int32_t layers = 0;  // 2 … kernels::kMostChained
  bool scores = false;
  struct Layer {
    kernels::Activation activation = kernels::Activation::kIdentity;
    uint8_t has_bias = 1, weight_transposed = 0;
  };
  Layer layer[kernels::kMostChained];
};
extern const OpDef kDenseChain;

// True where one launch of such a chain is expected to take less than one a layer.
bool chain_pays(const Call& call, const DeviceInfo& device);

}  // namespace diabolo
