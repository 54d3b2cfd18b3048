// conv2d: y = f(x * W + b), and its transpose.
#include <array>

#include "ops/activation_grad.h"
#include "ops/conv2d_operands.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::Conv2dForward;
using kernels::Conv2dShape;

Conv2dShape shape_of(const Attrs& any, const TensorDesc& x, const TensorDesc& weight) {
  return glue::conv2d_shape_of_input(any.as<Conv2dForwardAttrs>().geometry, x, weight);
}

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<Conv2dForwardAttrs>();
    return {.shape = shape_of(call.attrs, call.in[0].desc, call.in[1].desc),
            .activation = attrs.activation,
            .x = input<T>(call, 0),
            .weight = input<T>(call, 1),
            .bias = attrs.has_bias ? input<kernels::Accum<T>>(call, 2) : nullptr,
            .y = output<T>(call, 0),
            .z = attrs.stores_z ? output<T>(call, 1) : nullptr};
  }
  template <class T>
  static void reference(const Conv2dForward<T>& p) {
    kernels::conv2d_forward_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<Conv2dForwardAttrs>();
  glue::expect_count(attrs.has_bias ? 3 : 2, in.size());
  const auto side = kernels::conv2d_output(shape_of(any, in[0], in[1]));
  const TensorDesc bias(glue::accum_dtype(in[0].dtype()), {side.channels});
  if (attrs.has_bias) glue::expect_desc("bias", bias, in[2]);
  const TensorDesc y = glue::desc_of(in[0].dtype(), side);
  return attrs.stores_z ? std::vector{y, y} : std::vector{y};
}

// The geometry from behind: the image has its extents back.
Conv2dGeometry with_rest(Conv2dGeometry geometry, const Conv2dShape& shape) {
  const kernels::ConvAxis* axes[] = {&shape.h, &shape.w};
  for (size_t k = 0; k < 2; ++k)
    geometry.rest[k] =
        static_cast<int32_t>(conv_rest(axes[k]->image, geometry.walk(k, axes[k]->kernel)));
  return geometry;
}

void emit_weight_gradient(GradBuilder& builder, const Node& node, ValueId dz,
                          const Conv2dShape& shape) {
  const auto forward = node.attrs.as<Conv2dForwardAttrs>();
  const GradBuilder::Slot weight = builder.slot(node.in[1]);
  Conv2dWeightGradAttrs attrs{
      .geometry = forward.geometry,
      .kernel = {static_cast<int32_t>(shape.h.kernel), static_cast<int32_t>(shape.w.kernel)},
      .has_bias = forward.has_bias,
      .accumulates_weight = weight.accumulate};
  std::vector<ValueId> out = {weight.value};
  if (forward.has_bias) {
    const GradBuilder::Slot bias = builder.slot(node.in[2]);
    attrs.accumulates_bias = bias.accumulate;
    out.push_back(bias.value);
  }
  builder.emit_into(kConv2dWeightGrad, attrs, std::array{node.in[0], dz}, out,
                    node.name + " weight gradient");
}

void grad(GradBuilder& builder, const Node& node) {
  const auto attrs = node.attrs.as<Conv2dForwardAttrs>();
  ValueId dz = builder.gradient(node.out[0]);
  if (attrs.activation != kernels::Activation::kIdentity) {
    const bool needs_z = kernels::saves_z(attrs.activation);
    DIABOLO_CHECK(!needs_z || attrs.stores_z, node.name, " does not store z");
    const ValueId saved = needs_z ? node.out[1] : node.out[0];
    dz = builder.emit(kActivationGrad, ActivationGradAttrs{attrs.activation}, {dz, saved},
                      node.name + " activation gradient")[0];
  }
  const Conv2dShape shape =
      shape_of(node.attrs, builder.desc(node.in[0]), builder.desc(node.in[1]));
  emit_weight_gradient(builder, node, dz, shape);
  if (!builder.wants(node.in[0])) return;
  const Conv2dDataGradAttrs data{.geometry = with_rest(attrs.geometry, shape)};
  builder.contribute(node.in[0], builder.emit(kConv2dDataGrad, data, {dz, node.in[1]},
                                              node.name + " data gradient")[0]);
}

Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(glue::conv2d_flops(shape_of(any, in[0], in[1])), in, out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<Conv2dForwardAttrs>();
  return cat(kernels::name(attrs.activation), attrs.has_bias ? ", bias, " : ", ",
             glue::conv2d_text(attrs.geometry), attrs.stores_z ? ", keeps z" : "");
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, Conv2dForward<float>>("cuda.conv2d_forward.f32"),
    glue::cuda_kernel<Glue, Conv2dForward<Bf16>>("cuda.conv2d_forward.bf16"),
    glue::cpu_kernel<Glue, Conv2dForward<float>>("cpu.conv2d_forward.f32"),
    glue::cpu_kernel<Glue, Conv2dForward<Bf16>>("cpu.conv2d_forward.bf16"),
    glue::reference_kernel<Glue, Conv2dForward<float>, Conv2dForward<Bf16>, Conv2dForward<double>>(
        "reference.conv2d_forward"),
};

}  // namespace

constinit const OpDef kConv2dForward = {"conv2d_forward", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
