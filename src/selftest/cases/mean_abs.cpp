// mean_abs and its gradient.
#include "kernels/mean_abs.h"

#include "ops/mean_abs.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void mean_abs(ReferenceCall<T>& call) {
  kernels::mean_abs_reference<T>(
      {.n = call.in_desc[0].elems(), .x = call.input(0), .mean = call.output(0)});
}

template <class T>
void mean_abs_grad(ReferenceCall<T>& call) {
  kernels::mean_abs_grad_reference<T>(
      {.n = call.in_desc[0].elems(), .x = call.input(0), .g = call.input(1), .dx = call.output(0)});
}

// Calls add(x). Around a quad, the CPU's lanes, blocks and chunks, a part of the sum on CUDA.
template <class Add>
void for_each_operand(const Add& add) {
  for (const DType dtype : kComputeTypes) {
    for (const int64_t length : kLengths) add(Operand{TensorDesc(dtype, {length})});
    add(Operand{TensorDesc(dtype, {8195})});
    add(Operand{TensorDesc(dtype, {3, 2, 5, 7})});
    add(Operand{TensorDesc(dtype, {kManyElems})});
    for (const Fill fill :
         {Fill::kIntegers, Fill::kLarge, Fill::kTiny, Fill::kSparse, Fill::kBroken})
      add(Operand{TensorDesc(dtype, {8, 128}), fill});
  }
}

std::string text_of(const Operand& x) {
  return cat(x.desc.text(), " ", name(x.fill));
}

void list_value(CaseList& list) {
  for_each_operand([&](const Operand& x) {
    mark_by_length(list.add(kMeanAbs, MeanAbsAttrs{}, text_of(x), {x}));
  });
}

void list_grad(CaseList& list) {
  for_each_operand([&](const Operand& x) {
    const TensorDesc one(accum_of(x.desc.dtype()), {1});
    mark_by_length(list.add(kMeanAbsGrad, MeanAbsGradAttrs{}, text_of(x), {x, {one}}));
  });
}

}  // namespace

constinit const OpCases kMeanAbsCases = {&kMeanAbs, DIABOLO_REFERENCE_WITHOUT_TF32(mean_abs),
                                         list_value, mean_abs<Complex>};
constinit const OpCases kMeanAbsGradCases = {
    &kMeanAbsGrad, DIABOLO_REFERENCE_WITHOUT_TF32(mean_abs_grad), list_grad};

}  // namespace diabolo::selftest
