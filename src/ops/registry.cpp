#include "ops/registry.h"

#include <array>

#include "ops/ops.h"

namespace diabolo {
namespace {

constexpr std::array kOps = {
    &kActivationGrad, &kAdd,        &kAdvance,    &kCorrupt,         &kDenseDataGrad,
    &kDenseForward,   &kDenseLoss,  &kDenseScore, &kDenseWeightGrad, &kDropout,
    &kGather,         &kGlobalNorm, &kL2Penalty,  &kL2PenaltyGrad,   &kLoss,
    &kOptimizer,      &kRowScore,   &kSumTerms,
};

}  // namespace

std::span<const OpDef* const> all_ops() {
  return kOps;
}

}  // namespace diabolo
