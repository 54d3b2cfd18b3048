// weigh_term: weights that stay and weights of the step.
#include "kernels/weigh_term.h"

#include "ops/training.h"
#include "ops/weigh_term.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void weigh_term(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<WeighTermAttrs>(call);
  kernels::WeighTerm<T> p{.constant = attrs.weight,
                          .raw = call.input(0),
                          .contribution = call.output(0),
                          .weight = call.output(1)};
  if (attrs.column >= 0) {
    p.count = call.in_desc[1].extent(1);
    p.column = attrs.column;
    p.weights = call.template raw_input<float>(1);
    p.state = call.template raw_input<kernels::StepState>(2);
  }
  kernels::weigh_term(p);
}

void list(CaseList& list) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const TensorDesc one(dtype, {1});
    for (const float weight : {0.0f, 1.0f, 0.3f})
      list.add(kWeighTerm, WeighTermAttrs{weight}, cat(name(dtype), " by ", weight), {{one}})
          .is_quick = true;
    for (const Fill fill : {Fill::kIntegers, Fill::kLarge, Fill::kTiny, Fill::kNotANumber})
      list.add(kWeighTerm, WeighTermAttrs{0.3f}, cat(name(dtype), " by 0.3 ", name(fill)),
               {{one, fill}});
    for (const Fill fill : {Fill::kNotANumber, Fill::kBroken})
      list.add(kWeighTerm, WeighTermAttrs{0}, cat(name(dtype), " by 0 ", name(fill)),
               {{one, fill}});
    const auto add_scheduled = [&](int column, int64_t count) {
      const TensorDesc weights(DType::kF32, {static_cast<int64_t>(kernels::kStepSlots), count});
      list.add(kWeighTerm, WeighTermAttrs{1, column},
               cat(name(dtype), " by column ", column, " of ", count),
               {{one}, {weights, Fill::kUnit}, {step_state_desc(), Fill::kState}})
          .is_quick = true;
    };
    add_scheduled(0, 1);
    add_scheduled(1, 3);
    add_scheduled(15, 16);
  }
}

}  // namespace

constinit const OpCases kWeighTermCases = {&kWeighTerm, DIABOLO_REFERENCE_WITHOUT_TF32(weigh_term),
                                           list, weigh_term<Complex>};

}  // namespace diabolo::selftest
