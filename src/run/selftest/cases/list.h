// Every op's cases, each defined in a file of this folder.
#pragma once

#include "run/selftest/case.h"

namespace diabolo::selftest {

extern const OpCases kActivationGradCases;
extern const OpCases kAddCases;
extern const OpCases kAdvanceCases;
extern const OpCases kCorruptCases;
extern const OpCases kDenseDataGradCases;
extern const OpCases kDenseForwardCases;
extern const OpCases kDenseLossCases;
extern const OpCases kDenseScoreCases;
extern const OpCases kDenseWeightGradCases;
extern const OpCases kDropoutCases;
extern const OpCases kGatherCases;
extern const OpCases kGlobalNormCases;
extern const OpCases kL2PenaltyCases;
extern const OpCases kL2PenaltyGradCases;
extern const OpCases kLossCases;
extern const OpCases kOptimizerCases;
extern const OpCases kRowScoreCases;
extern const OpCases kSumTermsCases;

}  // namespace diabolo::selftest
