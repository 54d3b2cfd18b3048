// What a case's outputs must be, and how far from it a correct kernel may end.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "selftest/case.h"

namespace diabolo::selftest {

// The operands of a case as bytes.
struct CaseData {
  std::vector<std::vector<std::byte>> in, out;
};
CaseData data_of(const Case& test_case);

// One output: per element the reference's value and the bound.
struct ExpectedTensor {
  std::vector<double> value, bound;
};

// Several candidates where comparisons could have gone either way (see tracked.h): an element is
// right if it is within the bound of any of them.
struct Expected {
  std::vector<std::vector<ExpectedTensor>> candidates;  // [candidate][output]
};

// Runs the op's reference. `rounds_to_tf32`: the kernel may round operands of products.
Expected expected_of(const Case& test_case, const CaseData& data, bool rounds_to_tf32);

// How a result compares.
struct Comparison {
  double worst = 0;     // largest |actual - expected| / bound; infinite where an exact one differs
  std::string failure;  // the first element outside, and how many; empty if there is none
};
Comparison compare(const Case& test_case, const Expected& expected,
                   const std::vector<std::vector<std::byte>>& actual);

}  // namespace diabolo::selftest
