// The one list of ops: X(Name) for every kName, whose cases are kNameCases.
#pragma once

#include <span>

#include "ops/op.h"

#define DIABOLO_OPS(X)  \
  X(Activate)           \
  X(ActivationGrad)     \
  X(Add)                \
  X(Advance)            \
  X(Conv2dDataGrad)     \
  X(Conv2dForward)      \
  X(Conv2dWeightGrad)   \
  X(Corrupt)            \
  X(DenseChain)         \
  X(DenseDataGrad)      \
  X(DenseForward)       \
  X(DenseLoss)          \
  X(DenseScore)         \
  X(DenseWeightGrad)    \
  X(DrawNormal)         \
  X(Dropout)            \
  X(Gather)             \
  X(GaussianKl)         \
  X(GaussianKlGrad)     \
  X(GlobalNorm)         \
  X(L2Penalty)          \
  X(L2PenaltyGrad)      \
  X(LayerNorm)          \
  X(LayerNormGrad)      \
  X(Loss)               \
  X(MeanAbs)            \
  X(MeanAbsGrad)        \
  X(Optimizer)          \
  X(Reparameterise)     \
  X(ReparameteriseGrad) \
  X(RowScore)           \
  X(Shuffle)            \
  X(SumTerms)           \
  X(TopK)               \
  X(TopKGrad)           \
  X(UnitUse)            \
  X(UpdateState)        \
  X(WeighTerm)

namespace diabolo {

std::span<const OpDef* const> all_ops();

}  // namespace diabolo
