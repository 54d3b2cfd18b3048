// activate: y = f(z), where no product's epilogue takes it.
#include "ops/activate.h"

#include <array>

#include "kernels/activate.h"
#include "ops/activation_grad.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Activate;
using kernels::Bf16;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {.n = call.in[0].desc.elems(),
            .activation = call.attrs.as<ActivateAttrs>().activation,
            .z = input<T>(call, 0),
            .y = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const Activate<T>& p) {
    kernels::activate_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(1, in.size());
  glue::expect_compute_type("z", in[0]);
  return {in[0]};
}

void grad(GradBuilder& builder, const Node& node) {
  const ValueId dy = builder.gradient(node.out[0]);
  if (dy == kNoValue || !builder.wants(node.in[0])) return;
  const auto activation = node.attrs.as<ActivateAttrs>().activation;
  const ValueId saved = kernels::saves_z(activation) ? node.in[0] : node.out[0];
  builder.contribute(node.in[0], builder.emit(kActivationGrad, ActivationGradAttrs{activation},
                                              {dy, saved}, node.name + " gradient")[0]);
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(2.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  return kernels::name(any.as<ActivateAttrs>().activation);
}

constexpr std::array kInPlace = {InPlace{0, 0}};
constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, Activate<float>>("cuda.activate.f32", kInPlace),
    glue::cuda_kernel<Glue, Activate<Bf16>>("cuda.activate.bf16", kInPlace),
    glue::cpu_kernel<Glue, Activate<float>>("cpu.activate.f32", kInPlace),
    glue::cpu_kernel<Glue, Activate<Bf16>>("cpu.activate.bf16", kInPlace),
    glue::reference_kernel<Glue, Activate<float>, Activate<Bf16>, Activate<double>>(
        "reference.activate", kInPlace),
};

}  // namespace

constinit const OpDef kActivate = {"activate", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
