// draw_normal: draws without a gradient.
#include "kernels/draw_normal.h"

#include <cmath>

#include "ops/draw_normal.h"
#include "ops/training.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void draw_normal(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DrawNormalAttrs>(call);
  const T* const scale = call.input(0);
  kernels::draw_normal_reference<T>({.B = attrs.rows,
                                     .D = attrs.width,
                                     .scale = scale,
                                     .state = call.template raw_input<kernels::StepState>(1),
                                     .z = call.output(0)});
  const double size = std::fabs(scale->value());
  if (std::isfinite(size)) call.slack = size * kNormalError;
}

void list(CaseList& list) {
  const auto add = [&](int64_t rows, int64_t width, Fill fill) -> Case& {
    return list.add(kDrawNormal, DrawNormalAttrs{rows, width},
                    cat("[", rows, ",", width, "] ", name(fill)),
                    {{TensorDesc(DType::kF32, {1}), fill}, {step_state_desc(), Fill::kState}});
  };
  struct Rows {
    int64_t rows, width;
  };
  // Around a quad of draws and the CPU's blocks of a row.
  for (const Rows& each : {Rows{1, 1}, {3, 5}, {7, 31}, {16, 64}, {5, 130}, {2, 515}, {64, 3}})
    add(each.rows, each.width, Fill::kUniform).is_quick = each.rows == 7;
  for (const Fill fill : {Fill::kTiny, Fill::kZeros, Fill::kBroken}) add(9, 33, fill);
  add(kManyRows, kManyColumns, Fill::kUniform).is_large = true;
}

}  // namespace

constinit const OpCases kDrawNormalCases = {
    &kDrawNormal, {draw_normal<Tracked<InF32>>, nullptr, nullptr}, list};

}  // namespace diabolo::selftest
