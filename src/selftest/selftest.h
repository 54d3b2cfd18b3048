// Every op and kernel of a machine against the reference in double: what `diabolo selftest` prints.
// The tests run the same cases, one by one (tests/harness/ladder_test.cpp).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "selftest/case.h"

namespace diabolo {

enum class SelftestVerdict { kPass, kFail, kSkip };

// One kernel on one device. A kernel that no given device can run has one row, skipped.
struct SelftestRow {
  std::string op;      // "dense_forward"
  std::string kernel;  // "cpu.dense_forward.f32"
  std::string device;  // as DeviceInfo names it; "-" if skipped everywhere
  int cases = 0;       // that the kernel accepted
  double worst = 0;    // largest |actual - expected| / bound of all; 1 and less is right
  SelftestVerdict verdict = SelftestVerdict::kSkip;
  std::string reason;  // the first failure with its case's name, or why it was skipped
};

struct SelftestOptions {
  std::string filter;       // only cases whose name contains this
  bool quick_only = false;  // a few cases of each kind instead of all
  // Called before each op; false stops, with the rows so far.
  std::function<bool(const char* op)> progress;
};

// Rows in the order of the ops and of their kernels. Failures of kernels are rows, not exceptions;
// throws what the backends throw, and Error{kUsage} if the filter matches no case.
std::vector<SelftestRow> run_selftest(std::span<Backend* const> backends,
                                      const SelftestOptions& options = {});

}  // namespace diabolo
