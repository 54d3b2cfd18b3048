// l2_penalty: lambda sum w^2 as a term of the loss, and its gradient.
#include "kernels/penalty.h"

#include <array>

#include "ops/glue.h"
#include "ops/grad_builder.h"
#include "ops/penalty.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::L2Penalty;
using kernels::L2PenaltyGrad;

void expect_weight(std::span<const TensorDesc> in) {
  const bool is_master = in[0].dtype() == DType::kF32 || in[0].dtype() == DType::kF64;
  glue::expect(is_master, "weight", "f32 or f64", in[0]);
}

struct ValueGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {.n = call.in[0].desc.elems(),
            .lambda = call.attrs.as<L2PenaltyAttrs>().lambda,
            .weight = input<T>(call, 0),
            .loss = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const L2Penalty<T>& p) {
    kernels::l2_penalty_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(1, in.size());
  expect_weight(in);
  return {TensorDesc(in[0].dtype(), {1})};
}

void grad(GradBuilder& builder, const Node& node) {
  const GradBuilder::Slot slot = builder.slot(node.in[0]);
  const L2PenaltyGradAttrs attrs{node.attrs.as<L2PenaltyAttrs>().lambda, slot.accumulate};
  std::vector<ValueId> in = node.in;
  const ValueId gradient = builder.gradient(node.out[0]);  // by what weighs the penalty
  if (gradient != kNoValue) in.push_back(gradient);
  builder.emit_into(kL2PenaltyGrad, attrs, in, std::array{slot.value}, node.name + " gradient");
}

std::string describe(const Attrs& any) {
  return cat("lambda ", any.as<L2PenaltyAttrs>().lambda);
}

struct GradGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<L2PenaltyGradAttrs>();
    return {.n = call.in[0].desc.elems(),
            .lambda = attrs.lambda,
            .accumulate = attrs.accumulate,
            .weight = input<T>(call, 0),
            .d_weight = output<T>(call, 0),
            .g = call.in.size() > 1 ? input<T>(call, 1) : nullptr};
  }
  template <class T>
  static void reference(const L2PenaltyGrad<T>& p) {
    kernels::l2_penalty_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_grad(const Attrs&, std::span<const TensorDesc> in) {
  if (in.size() != 2) glue::expect_count(1, in.size());
  expect_weight(in);
  if (in.size() > 1) glue::expect_desc("gradient", TensorDesc(in[0].dtype(), {1}), in[1]);
  return {in[0]};
}

std::string describe_grad(const Attrs& any) {
  const auto attrs = any.as<L2PenaltyGradAttrs>();
  return cat("lambda ", attrs.lambda, attrs.accumulate ? ", adds" : "");
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(2.0 * static_cast<double>(in[0].elems()), in, out);
}

constexpr std::array kValueKernels = {
    glue::cuda_kernel<ValueGlue, L2Penalty<float>>("cuda.l2_penalty.f32"),
    glue::cpu_kernel<ValueGlue, L2Penalty<float>>("cpu.l2_penalty.f32"),
    glue::reference_kernel<ValueGlue, L2Penalty<float>, L2Penalty<double>>("reference.l2_penalty"),
};
constexpr std::array kGradKernels = {
    glue::cuda_kernel<GradGlue, L2PenaltyGrad<float>>("cuda.l2_penalty_grad.f32"),
    glue::cpu_kernel<GradGlue, L2PenaltyGrad<float>>("cpu.l2_penalty_grad.f32"),
    glue::reference_kernel<GradGlue, L2PenaltyGrad<float>, L2PenaltyGrad<double>>(
        "reference.l2_penalty_grad"),
};

}  // namespace

constinit const OpDef kL2Penalty = {"l2_penalty", infer, grad, cost, describe, kValueKernels};
constinit const OpDef kL2PenaltyGrad = {"l2_penalty_grad", infer_grad,  nullptr, cost,
                                        describe_grad,     kGradKernels};

}  // namespace diabolo
