// weigh_term: what a term adds to the loss.
#include "ops/weigh_term.h"

#include <array>

#include "kernels/weigh_term.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::WeighTerm;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<WeighTermAttrs>();
    P p{.constant = attrs.weight,
        .raw = input<T>(call, 0),
        .contribution = output<T>(call, 0),
        .weight = output<T>(call, 1)};
    if (attrs.column < 0) return p;
    p.count = call.in[1].desc.extent(1);
    p.column = attrs.column;
    p.weights = input<float>(call, 1);
    p.state = input<kernels::StepState>(call, 2);
    return p;
  }
  template <class T>
  static void reference(const WeighTerm<T>& p) {
    kernels::weigh_term(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const int column = any.as<WeighTermAttrs>().column;
  glue::expect_count(column < 0 ? 1 : 3, in.size());
  const bool is_accum = in[0].dtype() == DType::kF32 || in[0].dtype() == DType::kF64;
  glue::expect(is_accum && in[0].rank() == 1 && in[0].elems() == 1, "raw", "f32[1] or f64[1]",
               in[0]);
  if (column < 0) return {in[0], in[0]};
  const TensorDesc& weights = in[1];
  const bool has_column = weights.dtype() == DType::kF32 && weights.rank() == 2 &&
                          weights.extent(0) == static_cast<int64_t>(kernels::kStepSlots) &&
                          weights.extent(1) > column;
  glue::expect(has_column, "weights", cat("f32[", kernels::kStepSlots, ", more than ", column, "]"),
               weights);
  glue::expect_desc("state", step_state_desc(), in[2]);
  return {in[0], in[0]};
}

// The gradient by the contribution is 1, implied.
void grad(GradBuilder& builder, const Node& node) {
  builder.contribute(node.in[0], node.out[1]);
}

// Of the weights, one is read.
Cost cost(const Attrs&, std::span<const TensorDesc>, std::span<const TensorDesc>) {
  return {.flops = 1, .bytes = 20};
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<WeighTermAttrs>();
  return attrs.column < 0 ? cat("by ", attrs.weight) : cat("by column ", attrs.column);
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, WeighTerm<float>>("cuda.weigh_term.f32"),
    glue::reference_kernel<Glue, WeighTerm<float>, WeighTerm<double>>("reference.weigh_term"),
};

}  // namespace

constinit const OpDef kWeighTerm = {"weigh_term", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
