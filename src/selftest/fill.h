// The bytes of an operand before a call.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "selftest/case.h"

namespace diabolo::selftest {

// `role` names the operand within its case ("in 0"). kGarbage gives no bytes to rely on: 0xff,
// which is NaN in every float type.
std::vector<std::byte> fill_bytes(const Operand& operand, const std::string& case_name,
                                  const std::string& role);

// The element of a tensor as a number.
double element_at(const std::byte* data, DType dtype, int64_t index);

}  // namespace diabolo::selftest
