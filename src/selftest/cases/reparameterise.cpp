// reparameterise and its gradient.
#include "kernels/reparameterise.h"

#include <cmath>

#include "ops/reparameterise.h"
#include "ops/training.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class P, class T>
P params_of(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<ReparameteriseAttrs>(call);
  P p;
  p.B = call.in_desc[0].extent(0);
  p.D = row_elems(call.in_desc[0]);
  p.low = attrs.low;
  p.high = attrs.high;
  p.purpose = kernels::RandomPurpose::kReparameterise + attrs.layer;
  p.state = call.template raw_input<kernels::StepState>(2);
  return p;
}

// The draw's error times what it is multiplied by, at its largest.
template <class T>
double slack_of(const ReferenceCall<T>& call, const T* log_variance, const T* factor) {
  double largest = 0;
  if constexpr (!std::is_same_v<T, Complex>) {
    const auto attrs = attrs_of<ReparameteriseAttrs>(call);
    for (int64_t k = 0; k < call.in_desc[0].elems(); ++k) {
      const auto deviation = kernels::deviation_of(log_variance[k], attrs.low, attrs.high);
      const double size = std::fabs(deviation.value() * (factor ? factor[k].value() / 2 : 1));
      if (std::isfinite(size)) largest = std::max(largest, size);
    }
  }
  return largest * kNormalError;
}

template <class T>
void reparameterise(ReferenceCall<T>& call) {
  auto p = params_of<kernels::Reparameterise<T>>(call);
  p.mean = call.input(0);
  p.log_variance = call.input(1);
  p.z = call.output(0);
  kernels::reparameterise_reference(p);
  call.slack = slack_of<T>(call, p.log_variance, nullptr);
}

template <class T>
void reparameterise_grad(ReferenceCall<T>& call) {
  auto p = params_of<kernels::ReparameteriseGrad<T>>(call);
  p.log_variance = call.input(0);
  p.dz = call.input(1);
  p.d_log_variance = call.output(0);
  kernels::reparameterise_grad_reference(p);
  call.slack = slack_of<T>(call, p.log_variance, p.dz);
}

struct Rows {
  int64_t B, D;
};
// Around a quad of draws and the CPU's blocks of a row.
constexpr Rows kRows[] = {{1, 1},   {3, 5},   {7, 31},  {16, 64}, {17, 65},
                          {2, 127}, {5, 130}, {2, 515}, {64, 3},  {129, 20}};

// Calls add(attributes, shape, fill of the log variance, is_quick). Log variances of kLarge lie
// outside of the range; the narrow range has them on both sides, and among kIntegers on its ends.
template <class Add>
void for_each_call(const Add& add) {
  for (const DType dtype : kComputeTypes) {
    for (const Rows& rows : kRows)
      add(ReparameteriseAttrs{}, TensorDesc(dtype, {rows.B, rows.D}), Fill::kUniform, rows.B == 7);
    add({}, TensorDesc(dtype, {kManyRows, kManyColumns}), Fill::kUniform, false);
    add({.layer = 3}, TensorDesc(dtype, {5, 3, 2, 7}), Fill::kUniform, false);
    add({.low = -0.5f, .high = 0.25f}, TensorDesc(dtype, {9, 33}), Fill::kUniform, false);
    add({.low = -1, .high = 2}, TensorDesc(dtype, {9, 33}), Fill::kIntegers, true);
    for (const Fill fill : {Fill::kLarge, Fill::kTiny, Fill::kZeros, Fill::kBroken})
      add({}, TensorDesc(dtype, {9, 33}), fill, false);
  }
}

void list_of(CaseList& list, const OpDef& op, size_t log_variance) {
  for_each_call(
      [&](const ReparameteriseAttrs& attrs, const TensorDesc& desc, Fill fill, bool is_quick) {
        std::vector<Operand> in = {{desc}, {desc}, {step_state_desc(), Fill::kState}};
        in[log_variance].fill = fill;
        Case& added = list.add(op, attrs,
                               cat(desc.text(), " layer ", attrs.layer, " in ", attrs.low, " to ",
                                   attrs.high, " ", name(fill)),
                               in);
        added.is_quick = is_quick;
        added.is_large = desc.extent(0) == kManyRows;
      });
}

void list_value(CaseList& list) {
  list_of(list, kReparameterise, 1);
}
void list_grad(CaseList& list) {
  list_of(list, kReparameteriseGrad, 0);
}

}  // namespace

constinit const OpCases kReparameteriseCases = {&kReparameterise,
                                                DIABOLO_REFERENCE_WITHOUT_TF32(reparameterise),
                                                list_value, reparameterise<Complex>};
constinit const OpCases kReparameteriseGradCases = {
    &kReparameteriseGrad, DIABOLO_REFERENCE_WITHOUT_TF32(reparameterise_grad), list_grad};

}  // namespace diabolo::selftest
