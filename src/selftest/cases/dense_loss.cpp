// dense_loss: the last layer with its loss and the gradient of that.
#include "ops/dense.h"
#include "selftest/cases/dense.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;
using kernels::Loss;

template <class T>
void loss(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DenseLossAttrs>(call);
  kernels::dense_loss_reference<T>({.shape = dense_shape(call, attrs.weight_transposed),
                                    .activation = attrs.activation,
                                    .kind = attrs.loss,
                                    .scale = attrs.scale,
                                    .x = call.input(0),
                                    .weight = call.input(1),
                                    .bias = attrs.has_bias ? call.input(2) : nullptr,
                                    .target = call.input(attrs.has_bias ? 3 : 2),
                                    .dz = attrs.with_gradient ? call.output(1) : nullptr,
                                    .loss = call.output(0)});
}

Case& add(CaseList& list, DenseLossAttrs attrs, DType dtype, const LayerSize& size, Fill fill) {
  const std::string text =
      cat(kernels::name(attrs.loss), " ", layer_text(attrs.activation, dtype, size, fill),
          attrs.scale == 1 ? "" : cat(" times ", attrs.scale), attrs.has_bias ? "" : " no_bias",
          attrs.with_gradient ? "" : " value_only", attrs.weight_transposed ? " transposed" : "");
  auto in = layer_operands(dtype, size, fill, attrs.has_bias, attrs.weight_transposed);
  const bool is_extreme = fill == Fill::kLarge || fill == Fill::kTiny;
  in.push_back({TensorDesc(dtype, {size.B, size.O}), is_extreme ? Fill::kUnit : fill});
  return list.add(kDenseLoss, attrs, text, in);
}

void list_cases(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const LayerSize& size : kLayerSizes) {
      if (dtype == DType::kF64 && size.B > 64) continue;
      add(list, {.activation = Activation::kSigmoid, .scale = 0.5f}, dtype, size, Fill::kUniform);
    }
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      for (int l = 0; l < kernels::kLossCount; ++l) {
        const DenseLossAttrs attrs{.activation = static_cast<Activation>(a),
                                   .loss = static_cast<Loss>(l)};
        DenseLossAttrs plain = attrs;
        plain.has_bias = false;
        plain.weight_transposed = true;
        plain.with_gradient = l % 2 == 0;
        add(list, attrs, dtype, {7, 13, 31}, Fill::kUniform).is_quick = true;
        add(list, plain, dtype, {17, 33, 18}, Fill::kSparse);
        add(list, attrs, dtype, {5, 9, 33}, Fill::kTiny);
        add(list, attrs, dtype, {5, 9, 33}, Fill::kLarge);
      }
    }
    add(list, {.activation = Activation::kRelu}, dtype, {16, 32, 64}, Fill::kIntegers);
    add(list, {.loss = Loss::kL1, .scale = 4}, dtype, {64, 33, 64}, Fill::kIntegers);
    add(list, {.with_gradient = false}, dtype, {33, 64, 65}, Fill::kUniform);
    add(list, {.has_bias = false, .weight_transposed = true}, dtype, {7, 13, 5}, Fill::kUniform);
    if (dtype == DType::kF64) continue;
    for (const LayerSize& size : {LayerSize{32, 512, 784}, kManyRowsLayer})
      add(list, {.activation = Activation::kSigmoid}, dtype, size, Fill::kUniform).is_large = true;
  }
}

}  // namespace

constinit const OpCases kDenseLossCases = {&kDenseLoss, DIABOLO_REFERENCE(loss), list_cases,
                                           loss<Complex>};

}  // namespace diabolo::selftest
