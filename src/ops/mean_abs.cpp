// mean_abs: the mean of absolute values as a term of the loss; and its gradient.
#include "ops/mean_abs.h"

#include <array>

#include "kernels/mean_abs.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Accum;
using kernels::Bf16;
using kernels::MeanAbs;
using kernels::MeanAbsGrad;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {
        .n = call.in[0].desc.elems(), .x = input<T>(call, 0), .mean = output<Accum<T>>(call, 0)};
  }
  template <class T>
  static void reference(const MeanAbs<T>& p) {
    kernels::mean_abs_reference(p);
  }
};

TensorDesc mean_desc(const TensorDesc& x) {
  glue::expect_compute_type("x", x);
  glue::expect(x.elems() > 0, "x", "at least one element", x);
  return TensorDesc(glue::accum_dtype(x.dtype()), {1});
}

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(1, in.size());
  return {mean_desc(in[0])};
}

void grad(GradBuilder& builder, const Node& node) {
  const auto dx =
      builder.emit(kMeanAbsGrad, MeanAbsGradAttrs{}, {node.in[0], builder.gradient(node.out[0])},
                   node.name + " gradient");
  builder.contribute(node.in[0], dx[0]);
}

struct GradGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {.n = call.in[0].desc.elems(),
            .x = input<T>(call, 0),
            .g = input<Accum<T>>(call, 1),
            .dx = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const MeanAbsGrad<T>& p) {
    kernels::mean_abs_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_grad(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  glue::expect_desc("g", mean_desc(in[0]), in[1]);
  return {in[0]};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs&) {
  return "";
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, MeanAbs<float>>("cuda.mean_abs.f32"),
    glue::cuda_kernel<Glue, MeanAbs<Bf16>>("cuda.mean_abs.bf16"),
    glue::cpu_kernel<Glue, MeanAbs<float>>("cpu.mean_abs.f32"),
    glue::cpu_kernel<Glue, MeanAbs<Bf16>>("cpu.mean_abs.bf16"),
    glue::reference_kernel<Glue, MeanAbs<float>, MeanAbs<Bf16>, MeanAbs<double>>(
        "reference.mean_abs"),
};
constexpr std::array kInPlace = {InPlace{0, 0}};
constexpr std::array kGradKernels = {
    glue::cuda_kernel<GradGlue, MeanAbsGrad<float>>("cuda.mean_abs_grad.f32", kInPlace),
    glue::cuda_kernel<GradGlue, MeanAbsGrad<Bf16>>("cuda.mean_abs_grad.bf16", kInPlace),
    glue::cpu_kernel<GradGlue, MeanAbsGrad<float>>("cpu.mean_abs_grad.f32", kInPlace),
    glue::cpu_kernel<GradGlue, MeanAbsGrad<Bf16>>("cpu.mean_abs_grad.bf16", kInPlace),
    glue::reference_kernel<GradGlue, MeanAbsGrad<float>, MeanAbsGrad<Bf16>, MeanAbsGrad<double>>(
        "reference.mean_abs_grad", kInPlace),
};

}  // namespace

constinit const OpDef kMeanAbs = {"mean_abs", infer, grad, cost, describe, kKernels};
constinit const OpDef kMeanAbsGrad = {"mean_abs_grad", infer_grad,  nullptr, cost,
                                      describe,        kGradKernels};

}  // namespace diabolo
