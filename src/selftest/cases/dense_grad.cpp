// dense_data_grad and dense_weight_grad.
#include "ops/dense.h"
#include "selftest/cases/dense.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;

template <class T>
void data_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DenseDataGradAttrs>(call);
  const TensorDesc& dz = call.in_desc[0];
  const int64_t inputs = row_elems(call.out_desc[0]);
  kernels::dense_data_grad_reference<T>(
      {.shape = {dz.extent(0), inputs, dz.extent(1), attrs.weight_transposed},
       .activation = attrs.activation,
       .dz = call.input(0),
       .weight = call.input(1),
       .saved = attrs.has_epilogue ? call.input(2) : nullptr,
       .dx = call.output(0)});
}

template <class T>
void weight_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DenseWeightGradAttrs>(call);
  const TensorDesc &x = call.in_desc[0], &dz = call.in_desc[1];
  kernels::dense_weight_grad_reference<T>(
      {.shape = {x.extent(0), row_elems(x), dz.extent(1), attrs.weight_transposed},
       .accumulates_weight = attrs.accumulates_weight,
       .accumulates_bias = attrs.accumulates_bias,
       .x = call.input(0),
       .dz = call.input(1),
       .d_weight = call.output(0),
       .d_bias = attrs.has_bias ? call.output(1) : nullptr});
}

Case& add_data(CaseList& list, DenseDataGradAttrs attrs, DType dtype, const LayerSize& size,
               Fill fill) {
  const std::string text =
      cat(layer_text(attrs.activation, dtype, size, fill), attrs.has_epilogue ? " epilogue" : "",
          attrs.weight_transposed ? " transposed" : "");
  const bool is_extreme = fill == Fill::kLarge || fill == Fill::kTiny;
  const Fill rest = is_extreme ? Fill::kUniform : fill;
  std::vector<Operand> in = {{TensorDesc(dtype, {size.B, size.O}), fill},
                             {weight_desc(dtype, size, attrs.weight_transposed), rest}};
  if (attrs.has_epilogue) in.push_back({TensorDesc(dtype, {size.B, size.I}), rest});
  return list.add(kDenseDataGrad, attrs, text, in);
}

void list_data(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const LayerSize& size : kLayerSizes) {
      if (dtype == DType::kF64 && size.B > 64) continue;
      add_data(list, {Activation::kRelu, true, false}, dtype, size, Fill::kUniform);
      add_data(list, {Activation::kIdentity, false, true}, dtype, size, Fill::kIntegers);
    }
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      const auto activation = static_cast<Activation>(a);
      for (const Fill fill : {Fill::kUniform, Fill::kLarge, Fill::kTiny, Fill::kSparse})
        add_data(list, {activation, true, fill == Fill::kSparse}, dtype, {17, 33, 66}, fill)
            .is_quick = fill == Fill::kUniform;
    }
    add_data(list, {Activation::kRelu, true, false}, dtype, {65, 64, 63}, Fill::kIntegers);
    add_data(list, {Activation::kIdentity, false, false}, dtype, {16, 16, 16}, Fill::kZeros);
    Case& images =
        add_data(list, {Activation::kTanh, true, false}, dtype, {5, 42, 9}, Fill::kUniform);
    images.in[2].desc = images.out[0].desc = TensorDesc(dtype, {5, 3, 2, 7});
    if (dtype == DType::kF64) continue;
    for (const LayerSize& size : {kRealLayer, kManyRowsLayer})
      add_data(list, {Activation::kRelu, true, false}, dtype, size, Fill::kUniform).is_large = true;
  }
}

Case& add_weight(CaseList& list, DenseWeightGradAttrs attrs, DType dtype, const LayerSize& size,
                 Fill fill) {
  const std::string text =
      cat(name(dtype), " ", size.text(), " ", name(fill), attrs.has_bias ? "" : " no_bias",
          attrs.accumulates_weight ? " adds_weight" : "",
          attrs.accumulates_bias ? " adds_bias" : "", attrs.weight_transposed ? " transposed" : "");
  const bool is_extreme = fill == Fill::kLarge || fill == Fill::kTiny;
  const Fill rest = is_extreme ? Fill::kUniform : fill;
  std::vector<Fill> out = {attrs.accumulates_weight ? rest : Fill::kGarbage};
  if (attrs.has_bias) out.push_back(attrs.accumulates_bias ? rest : Fill::kGarbage);
  return list.add(
      kDenseWeightGrad, attrs, text,
      {{TensorDesc(dtype, {size.B, size.I}), rest}, {TensorDesc(dtype, {size.B, size.O}), fill}},
      out);
}

void list_weight(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const LayerSize& size : kLayerSizes) {
      if (dtype == DType::kF64 && size.B > 64) continue;
      add_weight(list, {}, dtype, size, Fill::kUniform);
      add_weight(list, {.accumulates_weight = true, .accumulates_bias = true}, dtype, size,
                 Fill::kIntegers);
    }
    for (const LayerSize& size : kSmallLayers) {
      for (const Fill fill : {Fill::kUniform, Fill::kLarge, Fill::kTiny, Fill::kSparse}) {
        add_weight(list, {.has_bias = false}, dtype, size, fill);
        add_weight(list, {.accumulates_weight = true, .weight_transposed = true}, dtype, size, fill)
            .is_quick = fill == Fill::kUniform;
        add_weight(list, {.accumulates_bias = true, .weight_transposed = true}, dtype, size, fill);
      }
    }
    list.add(kDenseWeightGrad, DenseWeightGradAttrs{}, cat(name(dtype), " images"),
             {{TensorDesc(dtype, {9, 3, 2, 5})}, {TensorDesc(dtype, {9, 4})}});
    // Long batches, which kernels split.
    for (const LayerSize& size : {LayerSize{2039, 5, 3}, LayerSize{256, 17, 33}})
      add_weight(list, {}, dtype, size, Fill::kUniform);
    add_weight(list, {}, dtype, {255, 31, 8}, Fill::kIntegers);
    if (dtype == DType::kF64) continue;
    add_weight(list, {}, dtype, {4096, 64, 33}, Fill::kUniform).is_large = true;
    add_weight(list, {}, dtype, {128, 784, 130}, Fill::kUniform).is_large = true;
  }
}

}  // namespace

constinit const OpCases kDenseDataGradCases = {&kDenseDataGrad, DIABOLO_REFERENCE(data_grad),
                                               list_data};
constinit const OpCases kDenseWeightGradCases = {&kDenseWeightGrad, DIABOLO_REFERENCE(weight_grad),
                                                 list_weight};

}  // namespace diabolo::selftest
