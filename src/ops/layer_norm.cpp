// layer_norm: rows of mean 0 and variance 1, with a gain and a bias; and its gradient.
#include "ops/layer_norm.h"

#include <array>

#include "kernels/layer_norm.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Accum;
using kernels::Bf16;
using kernels::LayerNorm;
using kernels::LayerNormGrad;

int64_t width(const TensorDesc& x) {
  return x.extent(x.rank() - 1);
}

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const TensorDesc& x = call.in[0].desc;
    return {.B = x.elems() / width(x),
            .D = width(x),
            .epsilon = call.attrs.as<LayerNormAttrs>().epsilon,
            .x = input<T>(call, 0),
            .gain = input<Accum<T>>(call, 1),
            .bias = input<Accum<T>>(call, 2),
            .y = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const LayerNorm<T>& p) {
    kernels::layer_norm_reference(p);
  }
};

// Checks x and gain; returns what gain, bias and their gradients are.
TensorDesc feature_desc(std::span<const TensorDesc> in) {
  glue::expect_count(3, in.size());
  glue::expect_compute_type("x", in[0]);
  glue::expect(in[0].rank() >= 1 && in[0].elems() > 0, "x", "rows of at least one feature", in[0]);
  const TensorDesc feature(glue::accum_dtype(in[0].dtype()), {width(in[0])});
  glue::expect_desc("gain", feature, in[1]);
  return feature;
}

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_desc("bias", feature_desc(in), in[2]);
  return {in[0]};
}

void grad(GradBuilder& builder, const Node& node) {
  const GradBuilder::Slot gain = builder.slot(node.in[1]);
  const GradBuilder::Slot bias = builder.slot(node.in[2]);
  const bool has_dx = builder.wants(node.in[0]);
  const LayerNormGradAttrs attrs{node.attrs.as<LayerNormAttrs>().epsilon, gain.accumulate,
                                 bias.accumulate, has_dx};
  std::vector<ValueId> out = {gain.value, bias.value};
  if (has_dx) out.push_back(kNoValue);
  out = builder.emit_into(kLayerNormGrad, attrs,
                          std::array{node.in[0], node.in[1], builder.gradient(node.out[0])}, out,
                          node.name + " gradient");
  if (has_dx) builder.contribute(node.in[0], out[2]);
}

std::string describe(const Attrs& any) {
  return cat("epsilon ", any.as<LayerNormAttrs>().epsilon);
}

struct GradGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<LayerNormGradAttrs>();
    const TensorDesc& x = call.in[0].desc;
    return {.B = x.elems() / width(x),
            .D = width(x),
            .epsilon = attrs.epsilon,
            .accumulates_gain = attrs.accumulates_gain,
            .accumulates_bias = attrs.accumulates_bias,
            .x = input<T>(call, 0),
            .gain = input<Accum<T>>(call, 1),
            .dy = input<T>(call, 2),
            .d_gain = output<Accum<T>>(call, 0),
            .d_bias = output<Accum<T>>(call, 1),
            .dx = attrs.has_dx ? output<T>(call, 2) : nullptr};
  }
  template <class T>
  static void reference(const LayerNormGrad<T>& p) {
    kernels::layer_norm_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_grad(const Attrs& any, std::span<const TensorDesc> in) {
  const TensorDesc feature = feature_desc(in);
  glue::expect_desc("dy", in[0], in[2]);
  if (!any.as<LayerNormGradAttrs>().has_dx) return {feature, feature};
  return {feature, feature, in[0]};
}

std::string describe_grad(const Attrs& any) {
  const auto attrs = any.as<LayerNormGradAttrs>();
  return cat("epsilon ", attrs.epsilon, attrs.accumulates_gain ? ", adds" : "",
             attrs.has_dx ? "" : ", no dx");
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(8.0 * static_cast<double>(in[0].elems()), in, out);
}

constexpr std::array kInPlace = {InPlace{0, 0}};
constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, LayerNorm<float>>("cuda.layer_norm.f32", kInPlace),
    glue::cuda_kernel<Glue, LayerNorm<Bf16>>("cuda.layer_norm.bf16", kInPlace),
    glue::cpu_kernel<Glue, LayerNorm<float>>("cpu.layer_norm.f32", kInPlace),
    glue::cpu_kernel<Glue, LayerNorm<Bf16>>("cpu.layer_norm.bf16", kInPlace),
    glue::reference_kernel<Glue, LayerNorm<float>, LayerNorm<Bf16>, LayerNorm<double>>(
        "reference.layer_norm", kInPlace),
};
constexpr std::array kGradKernels = {
    glue::cuda_kernel<GradGlue, LayerNormGrad<float>>("cuda.layer_norm_grad.f32"),
    glue::cuda_kernel<GradGlue, LayerNormGrad<Bf16>>("cuda.layer_norm_grad.bf16"),
    glue::cpu_kernel<GradGlue, LayerNormGrad<float>>("cpu.layer_norm_grad.f32"),
    glue::cpu_kernel<GradGlue, LayerNormGrad<Bf16>>("cpu.layer_norm_grad.bf16"),
    glue::reference_kernel<GradGlue, LayerNormGrad<float>, LayerNormGrad<Bf16>,
                           LayerNormGrad<double>>("reference.layer_norm_grad"),
};

}  // namespace

constinit const OpDef kLayerNorm = {"layer_norm", infer, grad, cost, describe, kKernels};
constinit const OpDef kLayerNormGrad = {"layer_norm_grad", infer_grad,  nullptr, cost,
                                        describe_grad,     kGradKernels};

}  // namespace diabolo
