// Runs one kernel on one case and says what is wrong with it.
//
// Whatever the case, every run has: outputs and scratch full of garbage, a guard of NaN before and
// after every operand and the scratch, inputs that must come back unchanged. A kernel runs
//
//   plain      operands aligned as the executor aligns them; then the same prepared call again, on
//              the same inputs and other garbage: equal bits
//   shifted    every operand one element off its alignment, as rows that a caller hands in are
//   in place   for each pair that the kernel allows
//
// and must be within the derived bound (expected.h) each time.
#pragma once

#include <span>
#include <string>

#include "selftest/case.h"
#include "selftest/expected.h"
#include "selftest/targets.h"

namespace diabolo::selftest {

struct CheckResult {
  double worst = 0;     // see Comparison
  std::string failure;  // "shifted: output 0 f32[7,13] element 5: …"; empty if all is right
};

// The kernel must accept the case there.
CheckResult check_kernel(const Case& test_case, const CaseData& data, const Expected& expected,
                         const Kernel& kernel, const Target& target);

// Empty, or why this kernel cannot run the case there.
std::string refusal(const Case& test_case, const Kernel& kernel, const DeviceInfo& device);

// Runs rows of the case alone (batches of 1 and 7, at several positions) and compares their bits
// with those of the whole batch. Empty if all are equal. The case must have has_rows.
std::string check_rows(const Case& test_case, const CaseData& data, const Kernel& kernel,
                       const Target& target);

// The outputs of one run; the same bits for any number of threads, where the kernel promises it.
std::vector<std::vector<std::byte>> outputs_of(const Case& test_case, const CaseData& data,
                                               const Kernel& kernel, const Target& target);

}  // namespace diabolo::selftest
