// dense_loss: the last layer, its activation, the loss and the gradient dz in one; the
// reconstruction is never stored.
#include <array>

#include "ops/dense.h"
#include "ops/dense_grad.h"
#include "ops/dense_shape.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::DenseLoss;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DenseLossAttrs>();
    const size_t target = attrs.has_bias ? 3 : 2;
    return {.shape = glue::dense_shape(call.in[0].desc, call.in[1].desc, attrs.weight_transposed),
            .activation = attrs.activation,
            .kind = attrs.loss,
            .scale = attrs.scale,
            .x = input<T>(call, 0),
            .weight = input<T>(call, 1),
            .bias = attrs.has_bias ? input<kernels::Accum<T>>(call, 2) : nullptr,
            .target = input<T>(call, target),
            .dz = attrs.with_gradient ? output<T>(call, 1) : nullptr,
            .loss = output<kernels::Accum<T>>(call, 0)};
  }
  template <class T>
  static void reference(const DenseLoss<T>& p) {
    kernels::dense_loss_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DenseLossAttrs>();
  glue::expect_count(attrs.has_bias ? 4 : 3, in.size());
  const auto shape = glue::dense_shape(in[0], in[1], attrs.weight_transposed);
  if (attrs.has_bias) glue::expect_bias(shape, in[0], in[2]);
  const TensorDesc dz(in[0].dtype(), {shape.B, shape.O});
  glue::expect_desc("target", dz, in.back());
  const TensorDesc loss(glue::accum_dtype(in[0].dtype()), {1});
  return attrs.with_gradient ? std::vector{loss, dz} : std::vector{loss};
}

void grad(GradBuilder& builder, const Node& node) {
  const auto attrs = node.attrs.as<DenseLossAttrs>();
  DIABOLO_CHECK(attrs.with_gradient, node.name, " makes no gradient");
  emit_dense_gradients(builder, node, node.out[1], attrs.has_bias, attrs.weight_transposed);
}

Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto attrs = any.as<DenseLossAttrs>();
  return streamed(glue::dense_flops(glue::dense_shape(in[0], in[1], attrs.weight_transposed)), in,
                  out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<DenseLossAttrs>();
  return cat(glue::dense_text(attrs.activation, attrs.has_bias, attrs.weight_transposed), ", ",
             kernels::name(attrs.loss), attrs.with_gradient ? " with gradient" : "");
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, DenseLoss<float>>("cuda.dense_loss.f32"),
    glue::cuda_kernel<Glue, DenseLoss<Bf16>>("cuda.dense_loss.bf16"),
    glue::cpu_kernel<Glue, DenseLoss<float>>("cpu.dense_loss.f32"),
    glue::cpu_kernel<Glue, DenseLoss<Bf16>>("cpu.dense_loss.bf16"),
    glue::reference_kernel<Glue, DenseLoss<float>, DenseLoss<Bf16>, DenseLoss<double>>(
        "reference.dense_loss"),
};

}  // namespace

constinit const OpDef kDenseLoss = {"dense_loss", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
