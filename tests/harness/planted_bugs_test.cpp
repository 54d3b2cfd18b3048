// The ladder against kernels with one known mistake each: it must catch every one, by the mode that
// is meant for it, and must not flag the same kernel without the mistake. A check that lets its
// planted bug through has stopped checking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "harness/planted_kernels.h"
#include "ops/add.h"
#include "ops/conv2d.h"
#include "ops/dense.h"
#include "ops/gaussian_kl.h"
#include "ops/loss.h"
#include "ops/mean_abs.h"
#include "ops/reparameterise.h"
#include "ops/top_k.h"
#include "ops/training.h"
#include "ops/update_state.h"
#include "ops/weigh_term.h"
#include "selftest/check.h"

namespace diabolo {
namespace {

using planted::Bug;
using selftest::Case;
using selftest::CaseData;
using selftest::Expected;

struct ReadyCase {
  Case test_case;
  CaseData data;
  Expected expected;
};

// The cases of an op up to a middle size, with what they expect: made once for all its bugs.
const std::vector<ReadyCase>& ready_cases(const OpDef& op) {
  static std::map<const OpDef*, std::vector<ReadyCase>> all;
  std::vector<ReadyCase>& cases = all[&op];
  if (!cases.empty()) return cases;
  for (Case& test_case : cases_of(*selftest::find_cases(op))) {
    const int64_t elems = test_case.in[0].desc.elems();
    if (test_case.is_large || elems > 5000) continue;
    const DType dtype = test_case.in[0].desc.dtype();
    if (dtype != (&op == &kAdd ? DType::kBf16 : DType::kF32)) continue;
    CaseData data = data_of(test_case);
    Expected expected = expected_of(test_case, data, false);
    cases.push_back({std::move(test_case), std::move(data), std::move(expected)});
  }
  return cases;
}

// Everything that the ladder has to say about a kernel, one line each.
std::vector<std::string> findings(const OpDef& op, const Kernel& kernel) {
  const auto backend = create_host_backend(1);
  const auto stream = backend->create_stream();
  const selftest::Target target{*backend, *stream, backend->info()};
  std::vector<std::string> all;
  for (const auto& [test_case, data, expected] : ready_cases(op)) {
    EXPECT_EQ(refusal(test_case, kernel, backend->info()), "");
    auto result = check_kernel(test_case, data, expected, kernel, target);
    if (!result.failure.empty()) all.push_back(test_case.name + ": " + result.failure);
    if (test_case.has_rows.empty() || test_case.in[0].desc.extent(0) < 21) continue;
    const std::string rows = check_rows(test_case, data, kernel, target);
    if (!rows.empty()) all.push_back(test_case.name + ": " + rows);
  }
  return all;
}

const OpDef* const kOps[] = {&kDenseWeightGrad, &kDenseDataGrad, &kDenseForward,  &kLoss,
                             &kOptimizer,       &kUpdateState,   &kMeanAbsGrad,   &kReparameterise,
                             &kGaussianKlGrad,  &kWeighTerm,     &kConv2dForward, &kAdd};

TEST(PlantedBugs, TheRightKernelsAreNotFlagged) {
  for (const OpDef* op : kOps)
    EXPECT_THAT(findings(*op, planted_kernel(*op, Bug::kNone)), testing::IsEmpty()) << op->name;
}

struct Planted {
  const OpDef* op;
  Bug bug;
  const char* found_as;  // part of at least one finding: the mode that is meant for it
};

class PlantedBugs : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBugs, IsCaught) {
  const auto& [op, bug, found_as] = GetParam();
  const auto all = findings(*op, planted_kernel(*op, bug));
  ASSERT_THAT(all, testing::Not(testing::IsEmpty()));
  EXPECT_THAT(all, testing::Contains(testing::HasSubstr(found_as)));
}

constexpr const char* kWrongNumber = " instead of ";

const Planted kPlanted[] = {
    {&kDenseWeightGrad, Bug::kWrongTransposition, kWrongNumber},
    {&kDenseWeightGrad, Bug::kMissingBias, "nan instead of "},
    {&kDenseWeightGrad, Bug::kMissingTailRow, kWrongNumber},
    {&kDenseWeightGrad, Bug::kMissingTailColumn, "nan instead of "},
    {&kDenseWeightGrad, Bug::kUninitialisedSum, "nan instead of "},
    {&kDenseWeightGrad, Bug::kMissingLastTile, kWrongNumber},
    {&kDenseWeightGrad, Bug::kIgnoresAccumulate, kWrongNumber},
    {&kDenseWeightGrad, Bug::kLowPrecisionSum, kWrongNumber},
    {&kDenseWeightGrad, Bug::kUnstableOrder, "differ in bits"},
    {&kDenseWeightGrad, Bug::kWritesPastTheEnd, "writes outside output 0"},
    {&kDenseWeightGrad, Bug::kWritesPastScratch, "writes outside its scratch"},
    {&kDenseWeightGrad, Bug::kChangesItsInput, "changes input 0"},
    {&kDenseWeightGrad, Bug::kReadsPastTheEnd, "nan instead of "},
    {&kDenseWeightGrad, Bug::kAssumesAlignment, "shifted: "},
    {&kDenseDataGrad, Bug::kWrongTransposition, kWrongNumber},
    {&kDenseDataGrad, Bug::kMissingTailRow, "nan instead of "},
    {&kDenseDataGrad, Bug::kMissingTailColumn, "nan instead of "},
    {&kDenseDataGrad, Bug::kDerivativeAtH, "gelu"},
    {&kDenseDataGrad, Bug::kSlopeAtZero, "instead of 0 +- 0"},
    {&kDenseDataGrad, Bug::kAssumesAlignment, "shifted: "},
    {&kDenseForward, Bug::kMissingBias, kWrongNumber},
    {&kDenseForward, Bug::kRowsDependOnBatch, "alone differ in bits"},
    {&kLoss, Bug::kReadsOverwritten, "in place: "},
    {&kLoss, Bug::kWrongCount, kWrongNumber},
    {&kLoss, Bug::kOverflows, "inf instead of "},
    {&kOptimizer, Bug::kIgnoresHalt, "halted"},
    {&kUpdateState, Bug::kIgnoresHalt, "halted"},
    {&kWeighTerm, Bug::kIgnoresStep, kWrongNumber},
    {&kMeanAbsGrad, Bug::kSlopeAtZero, "instead of 0 +- 0"},
    {&kMeanAbsGrad, Bug::kIgnoresUpstream, kWrongNumber},
    {&kGaussianKlGrad, Bug::kSlopeOutside, "instead of 0 +- 0"},
    {&kReparameterise, Bug::kIgnoresStep, kWrongNumber},
    {&kReparameterise, Bug::kIgnoresLayer, "layer 3"},
    {&kTopK, Bug::kLaterOfEqual, kWrongNumber},
    {&kConv2dForward, Bug::kPhaseOffByOne, kWrongNumber},
    {&kConv2dForward, Bug::kForgetsRest, "nan instead of "},
    {&kConv2dForward, Bug::kInterleavesGroups, "groups"},
    {&kAdd, Bug::kForgetsToRound, kWrongNumber},
};

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs, testing::ValuesIn(kPlanted), [](const auto& planted) {
  return std::string(planted.param.op->name) + "_" + name(planted.param.bug);
});

}  // namespace
}  // namespace diabolo
