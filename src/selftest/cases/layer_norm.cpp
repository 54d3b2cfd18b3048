// layer_norm and its gradient.
#include "kernels/layer_norm.h"

#include "ops/layer_norm.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

int64_t width(const TensorDesc& x) {
  return x.extent(x.rank() - 1);
}

template <class T>
void layer_norm(ReferenceCall<T>& call) {
  const TensorDesc& x = call.in_desc[0];
  kernels::layer_norm_reference<T>({.B = x.elems() / width(x),
                                    .D = width(x),
                                    .epsilon = attrs_of<LayerNormAttrs>(call).epsilon,
                                    .x = call.input(0),
                                    .gain = call.input(1),
                                    .bias = call.input(2),
                                    .y = call.output(0)});
}

template <class T>
void layer_norm_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<LayerNormGradAttrs>(call);
  const TensorDesc& x = call.in_desc[0];
  kernels::layer_norm_grad_reference<T>({.B = x.elems() / width(x),
                                         .D = width(x),
                                         .epsilon = attrs.epsilon,
                                         .accumulates_gain = attrs.accumulates_gain,
                                         .accumulates_bias = attrs.accumulates_bias,
                                         .x = call.input(0),
                                         .gain = call.input(1),
                                         .dy = call.input(2),
                                         .d_gain = call.output(0),
                                         .d_bias = call.output(1),
                                         .dx = attrs.has_dx ? call.output(2) : nullptr});
}

// Around a lane's quad, a warp's quads, the CPU's lanes and blocks; around the parts of 64 rows.
struct Rows {
  int64_t B, D;
};
constexpr Rows kRows[] = {{1, 1},   {3, 2},   {2, 5},   {7, 31},  {16, 64}, {17, 65},
                          {9, 127}, {3, 128}, {5, 132}, {2, 515}, {65, 7},  {129, 33}};
constexpr Fill kFills[] = {Fill::kIntegers, Fill::kLarge, Fill::kTiny, Fill::kSparse, Fill::kZeros};

std::vector<Operand> operands(const TensorDesc& x, Fill fill, bool is_gradient) {
  const TensorDesc feature(accum_of(x.dtype()), {width(x)});
  if (is_gradient) return {{x, fill}, {feature}, {x}};
  return {{x, fill}, {feature}, {feature}};
}

Case& add_forward(CaseList& list, const TensorDesc& x, Fill fill, float epsilon = 1e-5f) {
  Case& added = list.add(kLayerNorm, LayerNormAttrs{epsilon}, cat(x.text(), " ", name(fill)),
                         operands(x, fill, false));
  added.has_rows = {true, false, false};
  added.is_quick = x.extent(0) == 7;
  return added;
}

Case& add_grad(CaseList& list, const TensorDesc& x, Fill fill, LayerNormGradAttrs attrs = {}) {
  std::vector<Fill> out = {attrs.accumulates_gain ? Fill::kUniform : Fill::kGarbage,
                           attrs.accumulates_bias ? Fill::kUniform : Fill::kGarbage};
  if (attrs.has_dx) out.push_back(Fill::kGarbage);
  Case& added =
      list.add(kLayerNormGrad, attrs,
               cat(x.text(), " ", name(fill), attrs.accumulates_gain ? " adds_gain" : "",
                   attrs.accumulates_bias ? " adds_bias" : "", attrs.has_dx ? "" : " no_dx"),
               operands(x, fill, true), out);
  added.is_quick = x.extent(0) == 7;
  return added;
}

void list_forward(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const Rows& rows : kRows) add_forward(list, {dtype, {rows.B, rows.D}}, Fill::kUniform);
    add_forward(list, {dtype, {kManyRows, kManyColumns}}, Fill::kUniform).is_large = true;
    for (const Fill fill : kFills) add_forward(list, {dtype, {6, 40}}, fill);
    add_forward(list, {dtype, {3, 2, 2, 9}}, Fill::kUniform, 0.1f);
  }
}

void list_grad(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const Rows& rows : kRows) {
      const TensorDesc x(dtype, {rows.B, rows.D});
      add_grad(list, x, Fill::kUniform);
      add_grad(list, x, Fill::kUniform, {.accumulates_gain = true, .has_dx = false});
    }
    add_grad(list, {dtype, {kManyRows, kManyColumns}}, Fill::kUniform).is_large = true;
    for (const Fill fill : kFills) add_grad(list, {dtype, {6, 40}}, fill);
    add_grad(list, {dtype, {3, 2, 2, 9}}, Fill::kUniform,
             {.epsilon = 0.1f, .accumulates_gain = true, .accumulates_bias = true});
  }
}

}  // namespace

constinit const OpCases kLayerNormCases = {&kLayerNorm, DIABOLO_REFERENCE_WITHOUT_TF32(layer_norm),
                                           list_forward, layer_norm<Complex>};
constinit const OpCases kLayerNormGradCases = {
    &kLayerNormGrad, DIABOLO_REFERENCE_WITHOUT_TF32(layer_norm_grad), list_grad};

}  // namespace diabolo::selftest
