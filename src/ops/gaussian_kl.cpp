// gaussian_kl: the divergence of a code's Gaussians from the standard normal, as a term of the
// loss; and its gradient.
#include "ops/gaussian_kl.h"

#include <array>

#include "ops/glue.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Accum;
using kernels::Bf16;
using kernels::GaussianKl;
using kernels::GaussianKlGrad;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<GaussianKlAttrs>();
    return {.n = call.in[0].desc.elems(),
            .scale = attrs.scale,
            .low = attrs.low,
            .high = attrs.high,
            .mean = input<T>(call, 0),
            .log_variance = input<T>(call, 1),
            .kl = output<Accum<T>>(call, 0)};
  }
  template <class T>
  static void reference(const GaussianKl<T>& p) {
    kernels::gaussian_kl_reference(p);
  }
};

// Checks mean and log_variance; returns what their divergence is.
TensorDesc kl_desc(std::span<const TensorDesc> in) {
  glue::expect_compute_type("mean", in[0]);
  glue::expect(in[0].elems() > 0, "mean", "at least one element", in[0]);
  glue::expect_desc("log_variance", in[0], in[1]);
  return TensorDesc(glue::accum_dtype(in[0].dtype()), {1});
}

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  return {kl_desc(in)};
}

void grad(GradBuilder& builder, const Node& node) {
  const auto d = builder.emit(kGaussianKlGrad, node.attrs,
                              {node.in[0], node.in[1], builder.gradient(node.out[0])},
                              node.name + " gradient");
  builder.contribute(node.in[0], d[0]);
  builder.contribute(node.in[1], d[1]);
}

struct GradGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<GaussianKlAttrs>();
    return {.n = call.in[0].desc.elems(),
            .scale = attrs.scale,
            .low = attrs.low,
            .high = attrs.high,
            .mean = input<T>(call, 0),
            .log_variance = input<T>(call, 1),
            .g = input<Accum<T>>(call, 2),
            .d_mean = output<T>(call, 0),
            .d_log_variance = output<T>(call, 1)};
  }
  template <class T>
  static void reference(const GaussianKlGrad<T>& p) {
    kernels::gaussian_kl_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_grad(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(3, in.size());
  glue::expect_desc("g", kl_desc(in), in[2]);
  return {in[0], in[0]};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(8.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<GaussianKlAttrs>();
  return cat("scale ", attrs.scale, ", log variance in [", attrs.low, ", ", attrs.high, "]");
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, GaussianKl<float>>("cuda.gaussian_kl.f32"),
    glue::cuda_kernel<Glue, GaussianKl<Bf16>>("cuda.gaussian_kl.bf16"),
    glue::cpu_kernel<Glue, GaussianKl<float>>("cpu.gaussian_kl.f32"),
    glue::cpu_kernel<Glue, GaussianKl<Bf16>>("cpu.gaussian_kl.bf16"),
    glue::reference_kernel<Glue, GaussianKl<float>, GaussianKl<Bf16>, GaussianKl<double>>(
        "reference.gaussian_kl"),
};
constexpr std::array kInPlace = {InPlace{0, 0}, InPlace{1, 1}};
constexpr std::array kGradKernels = {
    glue::cuda_kernel<GradGlue, GaussianKlGrad<float>>("cuda.gaussian_kl_grad.f32", kInPlace),
    glue::cuda_kernel<GradGlue, GaussianKlGrad<Bf16>>("cuda.gaussian_kl_grad.bf16", kInPlace),
    glue::cpu_kernel<GradGlue, GaussianKlGrad<float>>("cpu.gaussian_kl_grad.f32", kInPlace),
    glue::cpu_kernel<GradGlue, GaussianKlGrad<Bf16>>("cpu.gaussian_kl_grad.bf16", kInPlace),
    glue::reference_kernel<GradGlue, GaussianKlGrad<float>, GaussianKlGrad<Bf16>,
                           GaussianKlGrad<double>>("reference.gaussian_kl_grad", kInPlace),
};

}  // namespace

constinit const OpDef kGaussianKl = {"gaussian_kl", infer, grad, cost, describe, kKernels};
constinit const OpDef kGaussianKlGrad = {"gaussian_kl_grad", infer_grad,  nullptr, cost,
                                         describe,           kGradKernels};

}  // namespace diabolo
