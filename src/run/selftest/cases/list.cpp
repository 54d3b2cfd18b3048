#include "run/selftest/cases/list.h"

#include <array>

namespace diabolo::selftest {
namespace {

constexpr std::array kAll = {
    &kActivationGradCases,  &kAddCases,           &kAdvanceCases,   &kCorruptCases,
    &kDenseDataGradCases,   &kDenseForwardCases,  &kDenseLossCases, &kDenseScoreCases,
    &kDenseWeightGradCases, &kDropoutCases,       &kGatherCases,    &kGlobalNormCases,
    &kL2PenaltyCases,       &kL2PenaltyGradCases, &kLossCases,      &kOptimizerCases,
    &kRowScoreCases,        &kSumTermsCases,
};

}  // namespace

std::span<const OpCases* const> all_op_cases() {
  return kAll;
}

}  // namespace diabolo::selftest
