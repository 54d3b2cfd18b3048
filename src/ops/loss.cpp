// loss: a loss and its gradient alone, behind a last layer that is not dense.
#include "kernels/loss.h"

#include <array>

#include "ops/glue.h"
#include "ops/grad_builder.h"
#include "ops/loss.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::LossOf;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<LossAttrs>();
    return {.n = call.in[0].desc.elems(),
            .activation = attrs.activation,
            .kind = attrs.loss,
            .scale = attrs.scale,
            .z = input<T>(call, 0),
            .target = input<T>(call, 1),
            .dz = attrs.with_gradient ? output<T>(call, 1) : nullptr,
            .loss = output<kernels::Accum<T>>(call, 0)};
  }
  template <class T>
  static void reference(const LossOf<T>& p) {
    kernels::loss_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  glue::expect_compute_type("z", in[0]);
  glue::expect_desc("target", in[0], in[1]);
  const TensorDesc loss(glue::accum_dtype(in[0].dtype()), {1});
  return any.as<LossAttrs>().with_gradient ? std::vector{loss, in[0]} : std::vector{loss};
}

void grad(GradBuilder& builder, const Node& node) {
  DIABOLO_CHECK(node.attrs.as<LossAttrs>().with_gradient, node.name, " makes no gradient");
  builder.contribute(node.in[0], node.out[1]);
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(4.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<LossAttrs>();
  return cat(kernels::name(attrs.activation), ", ", kernels::name(attrs.loss),
             attrs.with_gradient ? " with gradient" : "");
}

constexpr std::array kInPlace = {InPlace{0, 1}};
constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, LossOf<float>>("cuda.loss.f32", kInPlace),
    glue::cuda_kernel<Glue, LossOf<Bf16>>("cuda.loss.bf16", kInPlace),
    glue::cpu_kernel<Glue, LossOf<float>>("cpu.loss.f32", kInPlace),
    glue::cpu_kernel<Glue, LossOf<Bf16>>("cpu.loss.bf16", kInPlace),
    glue::reference_kernel<Glue, LossOf<float>, LossOf<Bf16>, LossOf<double>>("reference.loss",
                                                                              kInPlace),
};

}  // namespace

constinit const OpDef kLoss = {"loss", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
