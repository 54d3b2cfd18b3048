// dense_chain: dense layers one after the other.
#include "ops/dense_chain.h"

#include <array>

#include "ops/dense_shape.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::DenseChain;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DenseChainAttrs>();
    const TensorDesc& x = call.in[0].desc;
    P p{.B = x.extent(0), .I = row_elems(x), .layers = attrs.layers, .x = input<T>(call, 0)};
    size_t at = 1;
    for (int k = 0; k < attrs.layers; ++k) {
      const DenseChainAttrs::Layer& of = attrs.layer[k];
      auto& layer = p.layer[k];
      layer.O = call.in[at].desc.extent(of.weight_transposed ? 0 : 1);
      layer.activation = of.activation;
      layer.weight_transposed = of.weight_transposed != 0;
      layer.weight = input<T>(call, at++);
      if (of.has_bias) layer.bias = input<kernels::Accum<T>>(call, at++);
    }
    if (attrs.scores) {
      p.target = input<T>(call, at);
      p.score = output<kernels::Accum<T>>(call, 0);
    } else {
      p.y = output<T>(call, 0);
    }
    return p;
  }
  template <class T>
  static void reference(const DenseChain<T>& p) {
    kernels::dense_chain_reference(p, [](const T& value) { return value; });
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DenseChainAttrs>();
  size_t wanted = attrs.scores ? 2 : 1;
  for (int k = 0; k < attrs.layers; ++k) wanted += attrs.layer[k].has_bias ? 2 : 1;
  glue::expect_count(wanted, in.size());
  TensorDesc x = in[0];
  size_t at = 1;
  for (int k = 0; k < attrs.layers; ++k) {
    const auto shape = glue::dense_shape(x, in[at++], attrs.layer[k].weight_transposed != 0);
    if (attrs.layer[k].has_bias) glue::expect_bias(shape, x, in[at++]);
    x = TensorDesc(x.dtype(), {shape.B, shape.O});
  }
  if (!attrs.scores) return {x};
  glue::expect_desc("target", x, in.back());
  return {TensorDesc(glue::accum_dtype(x.dtype()), {x.extent(0)})};
}

Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  double flops = 0;
  const double rows = static_cast<double>(in[0].extent(0));
  const auto attrs = any.as<DenseChainAttrs>();
  size_t at = 1;
  for (int k = 0; k < attrs.layers; ++k) {
    flops += 2 * rows * static_cast<double>(in[at].elems());
    at += attrs.layer[k].has_bias ? 2 : 1;
  }
  return streamed(flops, in, out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<DenseChainAttrs>();
  std::string text;
  for (int k = 0; k < attrs.layers; ++k)
    text += cat(k == 0 ? "" : ", then ",
                glue::dense_text(attrs.layer[k].activation, attrs.layer[k].has_bias != 0,
                                 attrs.layer[k].weight_transposed != 0));
  return text + (attrs.scores ? ", scored" : "");
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, DenseChain<float>>("cuda.dense_chain.f32"),
    glue::cuda_kernel<Glue, DenseChain<Bf16>>("cuda.dense_chain.bf16"),
    glue::reference_kernel<Glue, DenseChain<float>, DenseChain<Bf16>, DenseChain<double>>(
        "reference.dense_chain"),
};

}  // namespace

bool chain_pays(const Call& call, const DeviceInfo& device) {
  if (device.space != Space::kCuda) return false;
  if (call.in[0].desc.dtype() == DType::kBf16)
    return kernels::cuda::chain_pays(Glue::params<DenseChain<Bf16>>(call), device.cuda);
  return call.in[0].desc.dtype() == DType::kF32 &&
         kernels::cuda::chain_pays(Glue::params<DenseChain<float>>(call), device.cuda);
}

constinit const OpDef kDenseChain = {"dense_chain", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
