// A case: one call of one op, with how its operands are filled. Cases are plain descriptions; what
// is done with them is check.h. The command `diabolo selftest`, the tests and the benchmarks read
// the same ones.
//
// A case's name is its text, its filter and its repro line:
//   diabolo selftest --filter 'dense_forward/relu f32 7x13x31 uniform'
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ops/registry.h"
#include "selftest/tracked.h"

namespace diabolo::selftest {

// What an operand holds. Numbers are drawn by the case's name, so a case is always the same.
enum class Fill {
  kGarbage,   // outputs only: whatever was there; nothing may depend on it
  kUniform,   // in [-1, 1)
  kUnit,      // in [0, 1)
  kIntegers,  // -3 … 3: sums are exact, so the bound is 0
  kBinary,    // 0 or 1
  kSparse,    // half exact zeros (of both signs), else in [-1, 1)
  kLarge,     // +-2^10 … 2^20
  kTiny,      // +-2^-70 … 2^-60: squares are subnormal
  kZeros,
  kOnes,
  kNotANumber,
  kBroken,       // integers as above, among them some NaN and infinities of both signs
  kRankings,     // each row a permutation of 0 … D - 1: no two alike
  kBytes,        // u8: 0 … 255
  kPermutation,  // u32: an order of rows
  kBadOrder,     // u32: the same, with a row that is not there
  kState,        // the StepState of some step
  kHaltedState,  // the same, after a loss that was not finite
};

struct Operand {
  TensorDesc desc;
  Fill fill = Fill::kUniform;
};

struct Case {
  std::string name;
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<Operand> in, out;
  bool is_large = false;  // a real size: not for the reference kernel, nor for emulated devices
  bool is_quick = false;  // of the few that `diabolo selftest` runs on slow devices
  // Rows of the first input and of all outputs correspond: row b of the outputs must have the same
  // bits whatever the batch around it. Says which inputs have such rows.
  std::vector<bool> has_rows;
};

// The operands of a case on scalars of a reference. `in` and `out` hold the float tensors, empty
// for others; raw_in and raw_out all of them as stored. A reference that leaves an `out` empty has
// written raw_out, whose values are then exact.
template <class T>
struct ReferenceCall {
  explicit ReferenceCall(const Attrs& of) : attrs(of) {}

  const Attrs& attrs;
  std::vector<TensorDesc> in_desc, out_desc;
  std::vector<std::vector<T>> in, out;
  std::vector<const std::byte*> raw_in;
  std::vector<std::byte*> raw_out;
  double slack = 0;  // added to every bound; whoever sets it says why

  const T* input(size_t k) const { return in[k].data(); }
  T* output(size_t k) { return out[k].data(); }
  template <class Raw>
  const Raw* raw_input(size_t k) const {
    return reinterpret_cast<const Raw*>(raw_in[k]);
  }
  template <class Raw>
  Raw* raw_output(size_t k) {
    return reinterpret_cast<Raw*>(raw_out[k]);
  }
};

template <class A, class T>
A attrs_of(const ReferenceCall<T>& call) {
  return call.attrs.template as<A>();
}

// The reference of an op on the three tracked scalars; null where the op has no such type.
struct Reference {
  void (*in_f32)(ReferenceCall<Tracked<InF32>>&) = nullptr;
  void (*in_tf32)(ReferenceCall<Tracked<InTf32>>&) = nullptr;
  void (*in_f64)(ReferenceCall<Tracked<InF64>>&) = nullptr;
};

// Collects cases. The shapes of outputs come from the op.
class CaseList {
 public:
  Case& add(const OpDef& op, const Attrs& attrs, const std::string& variant,
            std::vector<Operand> in, std::vector<Fill> out = {});
  std::vector<Case> take() { return std::move(cases_); }

 private:
  std::vector<Case> cases_;
};

// All that the ladder knows of one op.
struct OpCases {
  const OpDef* op;
  Reference reference;
  void (*list)(CaseList&);
  // The reference on complex numbers, of an op that has a gradient: tests/ops/complex_step_test.cpp
  // holds the gradient against its derivative.
  void (*on_complex)(ReferenceCall<std::complex<double>>&) = nullptr;
};
#define DIABOLO_DECLARE_CASES(Name) extern const OpCases k##Name##Cases;
DIABOLO_OPS(DIABOLO_DECLARE_CASES)  // each is defined in a file of cases/
#undef DIABOLO_DECLARE_CASES
std::span<const OpCases* const> all_op_cases();
const OpCases* find_cases(const OpDef& op);  // null if there are none
std::vector<Case> cases_of(const OpCases& op);

const char* name(Fill fill);

}  // namespace diabolo::selftest
