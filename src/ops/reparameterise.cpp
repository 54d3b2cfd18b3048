// reparameterise: draws from a code's Gaussians; and the gradient by their log variances.
#include "ops/reparameterise.h"

#include <array>

#include "kernels/reparameterise.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::Reparameterise;
using kernels::ReparameteriseGrad;

// What a draw and its gradient have in common.
template <class P>
P params_of(const Call& call) {
  const auto attrs = call.attrs.as<ReparameteriseAttrs>();
  P p;
  p.B = call.in[0].desc.extent(0);
  p.D = row_elems(call.in[0].desc);
  p.low = attrs.low;
  p.high = attrs.high;
  p.purpose = kernels::RandomPurpose::kReparameterise + attrs.layer;
  p.state = input<kernels::StepState>(call, 2);
  return p;
}

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    P p = params_of<P>(call);
    p.mean = input<T>(call, 0);
    p.log_variance = input<T>(call, 1);
    p.z = output<T>(call, 0);
    return p;
  }
  template <class T>
  static void reference(const Reparameterise<T>& p) {
    kernels::reparameterise_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(3, in.size());
  glue::expect_rows("mean", in[0]);
  glue::expect_desc("log_variance", in[0], in[1]);
  glue::expect_desc("state", step_state_desc(), in[2]);
  return {in[0]};
}

void grad(GradBuilder& builder, const Node& node) {
  const ValueId dz = builder.gradient(node.out[0]);
  const auto d = builder.emit(kReparameteriseGrad, node.attrs, {node.in[1], dz, node.in[2]},
                              node.name + " gradient");
  builder.contribute(node.in[0], dz);
  builder.contribute(node.in[1], d[0]);
}

struct GradGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    P p = params_of<P>(call);
    p.log_variance = input<T>(call, 0);
    p.dz = input<T>(call, 1);
    p.d_log_variance = output<T>(call, 0);
    return p;
  }
  template <class T>
  static void reference(const ReparameteriseGrad<T>& p) {
    kernels::reparameterise_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_grad(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(3, in.size());
  glue::expect_rows("log_variance", in[0]);
  glue::expect_desc("dz", in[0], in[1]);
  glue::expect_desc("state", step_state_desc(), in[2]);
  return {in[0]};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(8.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<ReparameteriseAttrs>();
  return cat("log variance in [", attrs.low, ", ", attrs.high, "]");
}

constexpr std::array kInPlace = {InPlace{0, 0}, InPlace{1, 0}};
constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, Reparameterise<float>>("cuda.reparameterise.f32", kInPlace),
    glue::cuda_kernel<Glue, Reparameterise<Bf16>>("cuda.reparameterise.bf16", kInPlace),
    glue::cpu_kernel<Glue, Reparameterise<float>>("cpu.reparameterise.f32", kInPlace),
    glue::cpu_kernel<Glue, Reparameterise<Bf16>>("cpu.reparameterise.bf16", kInPlace),
    glue::reference_kernel<Glue, Reparameterise<float>, Reparameterise<Bf16>,
                           Reparameterise<double>>("reference.reparameterise", kInPlace),
};
constexpr std::array kGradKernels = {
    glue::cuda_kernel<GradGlue, ReparameteriseGrad<float>>("cuda.reparameterise_grad.f32",
                                                           kInPlace),
    glue::cuda_kernel<GradGlue, ReparameteriseGrad<Bf16>>("cuda.reparameterise_grad.bf16",
                                                          kInPlace),
    glue::cpu_kernel<GradGlue, ReparameteriseGrad<float>>("cpu.reparameterise_grad.f32", kInPlace),
    glue::cpu_kernel<GradGlue, ReparameteriseGrad<Bf16>>("cpu.reparameterise_grad.bf16", kInPlace),
    glue::reference_kernel<GradGlue, ReparameteriseGrad<float>, ReparameteriseGrad<Bf16>,
                           ReparameteriseGrad<double>>("reference.reparameterise_grad", kInPlace),
};

}  // namespace

constinit const OpDef kReparameterise = {"reparameterise", infer, grad, cost, describe, kKernels};
constinit const OpDef kReparameteriseGrad = {
    "reparameterise_grad", infer_grad, nullptr, cost, describe, kGradKernels};

}  // namespace diabolo
