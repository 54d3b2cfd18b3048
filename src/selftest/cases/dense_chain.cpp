// dense_chain: rows through several layers.
#include "ops/dense_chain.h"

#include "selftest/cases/dense.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;

template <class T>
kernels::DenseChain<T> chain_of(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DenseChainAttrs>(call);
  kernels::DenseChain<T> p{.B = call.in_desc[0].extent(0),
                           .I = row_elems(call.in_desc[0]),
                           .layers = attrs.layers,
                           .x = call.input(0)};
  size_t at = 1;
  for (int k = 0; k < attrs.layers; ++k) {
    kernels::ChainedLayer<T>& layer = p.layer[k];
    layer.O = call.in_desc[at].extent(attrs.layer[k].weight_transposed ? 0 : 1);
    layer.activation = attrs.layer[k].activation;
    layer.weight_transposed = attrs.layer[k].weight_transposed != 0;
    layer.weight = call.input(at++);
    if (attrs.layer[k].has_bias) layer.bias = call.input(at++);
  }
  if (attrs.scores) {
    p.target = call.input(at);
    p.score = call.output(0);
  } else {
    p.y = call.output(0);
  }
  return p;
}

// What a layer makes is stored for the next, in bf16 with a rounding.
template <class T>
void chain(ReferenceCall<T>& call) {
  const bool is_rounded = call.in_desc[0].dtype() == DType::kBf16;
  kernels::dense_chain_reference(
      chain_of(call), [&](const T& value) { return is_rounded ? value.kept_in_bf16() : value; });
}

// Widths of the rows and of each layer.
using Widths = std::vector<int64_t>;

Case& add(CaseList& list, const std::vector<Activation>& activations, DType dtype, int64_t rows,
          const Widths& widths, Fill fill, bool scores, bool has_bias = true) {
  DenseChainAttrs attrs;
  attrs.scores = scores;
  std::vector<Operand> in = {{TensorDesc(dtype, {rows, widths[0]}), fill}};
  std::string text = cat(name(dtype), " ", rows, "x", widths[0]);
  for (size_t k = 1; k < widths.size(); ++k) {
    const Activation activation = activations[(k - 1) % activations.size()];
    attrs.layer[attrs.layers++] = {activation, has_bias, 0};
    in.push_back({TensorDesc(dtype, {widths[k - 1], widths[k]}), fill});
    if (has_bias) in.push_back({TensorDesc(accum_of(dtype), {widths[k]}), fill});
    text += cat("x", widths[k], " ", kernels::name(activation));
  }
  if (scores) in.push_back({TensorDesc(dtype, {rows, widths.back()}), fill});
  text += cat(" ", name(fill), scores ? " scored" : "", has_bias ? "" : " no_bias");
  std::vector<bool> has_rows(in.size(), false);
  has_rows.front() = true;
  if (scores) has_rows.back() = true;
  Case& added = list.add(kDenseChain, attrs, text, std::move(in));
  added.has_rows = std::move(has_rows);
  return added;
}

void list(CaseList& list) {
  const Widths all[] = {{1, 1, 1},        {5, 3, 5},      {30, 16, 8},
                        {63, 64, 17, 64}, {65, 33, 130},  {128, 128, 64},
                        {129, 7, 31},     {256, 65, 200}, {40, 256, 24, 40}};
  const std::vector<Activation> smooth = {Activation::kTanh, Activation::kSigmoid};
  int64_t rows = 1;
  for (const DType dtype : kComputeTypes) {
    for (const Widths& widths : all) {
      for (const bool scores : {false, true}) {
        add(list, smooth, dtype, rows % 70, widths, Fill::kUniform, scores).is_quick = true;
        rows = rows * 2 % 71;  // 1, 2, 4 … 64, 57, 43 …
      }
    }
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      const std::vector<Activation> one = {static_cast<Activation>(a)};
      add(list, one, dtype, 33, {17, 31, 9}, Fill::kUniform, a % 2 == 1, a % 3 != 0);
      add(list, one, dtype, 7, {12, 20, 12}, Fill::kSparse, a % 2 == 0);
    }
    add(list, {Activation::kIdentity}, dtype, 65, {9, 7, 5}, Fill::kIntegers, false);
    add(list, smooth, dtype, 3, {6, 5, 4, 5, 4, 5, 4, 6}, Fill::kUniform, true);
  }
}

}  // namespace

constinit const OpCases kDenseChainCases = {&kDenseChain, DIABOLO_REFERENCE(chain), list};

}  // namespace diabolo::selftest
