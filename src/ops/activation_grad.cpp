// activation_grad: dz = dy f'(saved), where no product's epilogue takes it.
#include "kernels/activation_grad.h"

#include <array>

#include "ops/activation_grad.h"
#include "ops/glue.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::ActivationGrad;
using kernels::Bf16;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {.n = call.in[0].desc.elems(),
            .activation = call.attrs.as<ActivationGradAttrs>().activation,
            .dy = input<T>(call, 0),
            .saved = input<T>(call, 1),
            .dz = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const ActivationGrad<T>& p) {
    kernels::activation_grad_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  glue::expect_compute_type("dy", in[0]);
  glue::expect_desc("saved", in[0], in[1]);
  return {in[0]};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(2.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  return cat(kernels::name(any.as<ActivationGradAttrs>().activation), "'");
}

constexpr std::array kInPlace = {InPlace{0, 0}};
constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, ActivationGrad<float>>("cuda.activation_grad.f32", kInPlace),
    glue::cuda_kernel<Glue, ActivationGrad<Bf16>>("cuda.activation_grad.bf16", kInPlace),
    glue::cpu_kernel<Glue, ActivationGrad<float>>("cpu.activation_grad.f32", kInPlace),
    glue::cpu_kernel<Glue, ActivationGrad<Bf16>>("cpu.activation_grad.bf16", kInPlace),
    glue::reference_kernel<Glue, ActivationGrad<float>, ActivationGrad<Bf16>,
                           ActivationGrad<double>>("reference.activation_grad", kInPlace),
};

}  // namespace

constinit const OpDef kActivationGrad = {"activation_grad", infer,   nullptr, cost,
                                         describe,          kKernels};

}  // namespace diabolo
