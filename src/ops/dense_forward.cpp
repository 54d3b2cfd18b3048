// dense_forward: y = f(x W + b).
#include <array>

#include "ops/activation_grad.h"
#include "ops/dense.h"
#include "ops/dense_grad.h"
#include "ops/dense_shape.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::DenseForward;

struct DenseForwardGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DenseForwardAttrs>();
    return {.shape = glue::dense_shape(call.in[0].desc, call.in[1].desc, attrs.weight_transposed),
            .activation = attrs.activation,
            .x = input<T>(call, 0),
            .weight = input<T>(call, 1),
            .bias = attrs.has_bias ? input<kernels::Accum<T>>(call, 2) : nullptr,
            .y = output<T>(call, 0),
            .z = attrs.stores_z ? output<T>(call, 1) : nullptr};
  }
  template <class T>
  static void reference(const DenseForward<T>& p) {
    kernels::dense_forward_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DenseForwardAttrs>();
  glue::expect_count(attrs.has_bias ? 3 : 2, in.size());
  const auto shape = glue::dense_shape(in[0], in[1], attrs.weight_transposed);
  if (attrs.has_bias) glue::expect_bias(shape, in[0], in[2]);
  const TensorDesc y(in[0].dtype(), {shape.B, shape.O});
  return attrs.stores_z ? std::vector{y, y} : std::vector{y};
}

void grad(GradBuilder& builder, const Node& node) {
  const auto attrs = node.attrs.as<DenseForwardAttrs>();
  ValueId dz = builder.gradient(node.out[0]);
  if (attrs.activation != kernels::Activation::kIdentity) {
    const bool needs_z = kernels::saves_z(attrs.activation);
    DIABOLO_CHECK(!needs_z || attrs.stores_z, node.name, " does not store z");
    const ValueId saved = needs_z ? node.out[1] : node.out[0];
    dz = builder.emit(kActivationGrad, ActivationGradAttrs{attrs.activation}, {dz, saved},
                      node.name + " activation gradient")[0];
  }
  emit_dense_gradients(builder, node, dz, attrs.has_bias, attrs.weight_transposed);
}

Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto attrs = any.as<DenseForwardAttrs>();
  return streamed(glue::dense_flops(glue::dense_shape(in[0], in[1], attrs.weight_transposed)), in,
                  out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<DenseForwardAttrs>();
  return glue::dense_text(attrs.activation, attrs.has_bias, attrs.weight_transposed) +
         (attrs.stores_z ? ", keeps z" : "");
}

using Glue = DenseForwardGlue;
constexpr std::array kKernels = {
    glue::cublaslt_kernel<Glue, DenseForward<float>>("cuda.dense_forward.cublaslt_f32"),
    glue::cublaslt_kernel<Glue, DenseForward<Bf16>>("cuda.dense_forward.cublaslt_bf16"),
    glue::cuda_kernel<Glue, DenseForward<float>>("cuda.dense_forward.f32"),
    glue::cuda_kernel<Glue, DenseForward<Bf16>>("cuda.dense_forward.bf16"),
    glue::cpu_kernel<Glue, DenseForward<float>>("cpu.dense_forward.f32"),
    glue::cpu_kernel<Glue, DenseForward<Bf16>>("cpu.dense_forward.bf16"),
    glue::reference_kernel<Glue, DenseForward<float>, DenseForward<Bf16>, DenseForward<double>>(
        "reference.dense_forward"),
};

}  // namespace

constinit const OpDef kDenseForward = {"dense_forward", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
