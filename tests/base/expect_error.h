// The Error that an action throws; fails the test where there is none, or where its text is not one
// line.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace diabolo::testing {

template <class Action>
Error error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::strchr(error.what(), '\n'), nullptr) << error.what();
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCode::kOk, "");
}

}  // namespace diabolo::testing
