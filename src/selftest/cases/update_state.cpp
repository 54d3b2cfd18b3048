// update_state: steps, and those that must change nothing.
#include "kernels/update_state.h"

#include "ops/training.h"
#include "ops/update_state.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void update_state(ReferenceCall<T>& call) {
  const bool has_norm = attrs_of<UpdateStateAttrs>(call).has_norm;
  kernels::update_state_reference<T>({.n = call.in_desc[0].elems(),
                                      .state = call.template raw_input<kernels::StepState>(1),
                                      .loss = call.input(2),
                                      .norm = has_norm ? call.input(3) : nullptr,
                                      .next = call.input(0),
                                      .value = call.output(0)});
}

void list(CaseList& list) {
  const TensorDesc one(DType::kF32, {1});
  const auto add = [&](const std::string& text, int64_t length, bool has_norm, Fill state,
                       Fill loss, Fill norm) {
    std::vector<Operand> in = {{TensorDesc(DType::kF32, {length}), Fill::kUniform},
                               {step_state_desc(), state},
                               {one, loss}};
    if (has_norm) in.push_back({one, norm});
    list.add(kUpdateState, UpdateStateAttrs{has_norm}, cat(text, " ", length), in, {Fill::kUniform})
        .is_quick = length == 129;
  };
  for (const int64_t length : kLengths)
    add("step", length, length % 2 == 1, Fill::kState, Fill::kOnes, Fill::kUnit);
  // Steps that must change nothing.
  add("halted", 129, false, Fill::kHaltedState, Fill::kOnes, Fill::kUnit);
  add("loss nan", 129, false, Fill::kState, Fill::kNotANumber, Fill::kUnit);
  add("norm nan", 129, true, Fill::kState, Fill::kOnes, Fill::kNotANumber);
}

}  // namespace

constinit const OpCases kUpdateStateCases = {
    &kUpdateState, {update_state<Tracked<InF32>>, nullptr, nullptr}, list};

}  // namespace diabolo::selftest
