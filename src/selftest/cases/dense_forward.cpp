// dense_forward and dense_score: rows through one layer.
#include "ops/dense.h"
#include "selftest/cases/dense.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;

template <class T>
void forward(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DenseForwardAttrs>(call);
  kernels::dense_forward_reference<T>({.shape = dense_shape(call, attrs.weight_transposed),
                                       .activation = attrs.activation,
                                       .x = call.input(0),
                                       .weight = call.input(1),
                                       .bias = attrs.has_bias ? call.input(2) : nullptr,
                                       .y = call.output(0),
                                       .z = attrs.stores_z ? call.output(1) : nullptr});
}

template <class T>
void score(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DenseScoreAttrs>(call);
  kernels::dense_score_reference<T>({.shape = dense_shape(call, attrs.weight_transposed),
                                     .activation = attrs.activation,
                                     .x = call.input(0),
                                     .weight = call.input(1),
                                     .bias = attrs.has_bias ? call.input(2) : nullptr,
                                     .target = call.input(attrs.has_bias ? 3 : 2),
                                     .score = call.output(0)});
}

Case& add_forward(CaseList& list, DenseForwardAttrs attrs, DType dtype, const LayerSize& size,
                  Fill fill) {
  const std::string text =
      cat(layer_text(attrs.activation, dtype, size, fill), attrs.has_bias ? "" : " no_bias",
          attrs.stores_z ? " with_z" : "", attrs.weight_transposed ? " transposed" : "");
  Case& added =
      list.add(kDenseForward, attrs, text,
               layer_operands(dtype, size, fill, attrs.has_bias, attrs.weight_transposed));
  added.has_rows = {true, false, false};
  return added;
}

void list_forward(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const LayerSize& size : kLayerSizes) {
      if (dtype == DType::kF64 && size.B > 64) continue;
      add_forward(list, {Activation::kRelu}, dtype, size, Fill::kUniform);
      add_forward(list, {Activation::kIdentity}, dtype, size, Fill::kIntegers);
    }
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      for (const LayerSize& size : kSmallLayers) {
        for (const Fill fill : {Fill::kUniform, Fill::kLarge, Fill::kTiny, Fill::kSparse}) {
          DenseForwardAttrs attrs{.activation = static_cast<Activation>(a)};
          attrs.stores_z = fill != Fill::kLarge;
          attrs.has_bias = fill != Fill::kTiny;
          attrs.weight_transposed = fill == Fill::kSparse;
          add_forward(list, attrs, dtype, size, fill).is_quick = fill == Fill::kUniform;
        }
      }
    }
    add_forward(list, {Activation::kRelu, true, true, true}, dtype, {65, 63, 65}, Fill::kIntegers);
    add_forward(list, {Activation::kRelu, true, false, true}, dtype, {64, 64, 64}, Fill::kUniform);
    auto images = layer_operands(dtype, {7, 12, 5}, Fill::kUniform, true, false);
    images[0].desc = TensorDesc(dtype, {7, 2, 3, 2});
    list.add(kDenseForward, DenseForwardAttrs{}, cat(name(dtype), " images"), images).has_rows = {
        true, false, false};
    add_forward(list, {Activation::kTanh, false, false, true}, dtype, {7, 13, 5}, Fill::kUniform);
    add_forward(list, {Activation::kRelu}, dtype, {16, 16, 16}, Fill::kZeros);
    if (dtype == DType::kF64) continue;
    for (const LayerSize& size : {kRealLayer, kManyRowsLayer})
      add_forward(list, {Activation::kRelu}, dtype, size, Fill::kUniform).is_large = true;
  }
}

Case& add_score(CaseList& list, DenseScoreAttrs attrs, DType dtype, const LayerSize& size,
                Fill fill) {
  const std::string text =
      cat(layer_text(attrs.activation, dtype, size, fill), attrs.has_bias ? "" : " no_bias",
          attrs.weight_transposed ? " transposed" : "");
  auto in = layer_operands(dtype, size, fill, attrs.has_bias, attrs.weight_transposed);
  in.push_back({TensorDesc(dtype, {size.B, size.O}), fill});
  Case& added = list.add(kDenseScore, attrs, text, in);
  added.has_rows = {true, false, false, true};
  if (!attrs.has_bias) added.has_rows = {true, false, true};
  return added;
}

void list_score(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const LayerSize& size : kLayerSizes) {
      if (dtype == DType::kF64 && size.B > 64) continue;
      add_score(list, {Activation::kSigmoid}, dtype, size, Fill::kUniform);
    }
    add_score(list, {Activation::kIdentity}, dtype, {65, 63, 64}, Fill::kIntegers);
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      const auto activation = static_cast<Activation>(a);
      add_score(list, {activation}, dtype, {7, 13, 31}, Fill::kSparse).is_quick = true;
      add_score(list, {activation, false, true}, dtype, {17, 33, 66}, Fill::kUniform);
      add_score(list, {activation}, dtype, {33, 5, 3}, Fill::kBroken).is_quick = true;
    }
    if (dtype == DType::kF64) continue;
    for (const LayerSize& size : {LayerSize{32, 512, 784}, kManyRowsLayer})
      add_score(list, {Activation::kSigmoid}, dtype, size, Fill::kUniform).is_large = true;
  }
}

}  // namespace

constinit const OpCases kDenseForwardCases = {&kDenseForward, DIABOLO_REFERENCE(forward),
                                              list_forward, forward<Complex>};
constinit const OpCases kDenseScoreCases = {&kDenseScore, DIABOLO_REFERENCE(score), list_score};

}  // namespace diabolo::selftest
