// The end of a training step: global_norm, optimizer, sum_terms, advance.
#include <array>

#include "kernels/optimizer.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"
#include "ops/training.h"

namespace diabolo {

bool has_m(const kernels::OptimizerRule& rule) {
  return rule.kind != kernels::Optimizer::kSgd || rule.momentum != 0;
}
bool has_v(const kernels::OptimizerRule& rule) {
  return rule.kind != kernels::Optimizer::kSgd;
}

TensorDesc step_state_desc() {
  return TensorDesc(DType::kU8, {static_cast<int64_t>(sizeof(kernels::StepState))});
}
TensorDesc step_scalars_desc() {
  constexpr int64_t kFields = sizeof(kernels::StepScalars) / sizeof(float);
  return TensorDesc(DType::kF32, {static_cast<int64_t>(kernels::kStepSlots), kFields});
}
TensorDesc step_losses_desc() {
  return TensorDesc(DType::kF32, {static_cast<int64_t>(kernels::kStepSlots)});
}
TensorDesc step_terms_desc(int terms) {
  return TensorDesc(DType::kF32, {static_cast<int64_t>(kernels::kStepSlots), terms});
}

namespace {

using glue::input;
using glue::output;
using kernels::GlobalNorm;
using kernels::OptimizerStep;
using kernels::SumTerms;

const TensorDesc& scalar_desc() {
  static const TensorDesc desc(DType::kF32, {1});
  return desc;
}

// --- global_norm -------------------------------------------------------------------------------

struct NormGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {.n = call.in[0].desc.elems(), .grad = input<T>(call, 0), .norm = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const GlobalNorm<T>& p) {
    kernels::global_norm_reference(p);
  }
};

std::vector<TensorDesc> infer_norm(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(1, in.size());
  const bool is_master = in[0].dtype() == DType::kF32 || in[0].dtype() == DType::kF64;
  glue::expect(is_master, "grads", "f32 or f64", in[0]);
  return {TensorDesc(in[0].dtype(), {1})};
}

Cost cost_norm(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(2.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe_nothing(const Attrs&) {
  return "";
}

constexpr std::array kNormKernels = {
    glue::cuda_kernel<NormGlue, GlobalNorm<float>>("cuda.global_norm.f32"),
    glue::cpu_kernel<NormGlue, GlobalNorm<float>>("cpu.global_norm.f32"),
    glue::reference_kernel<NormGlue, GlobalNorm<float>, GlobalNorm<double>>(
        "reference.global_norm"),
};

// --- optimizer ---------------------------------------------------------------------------------

struct OptimizerGlue {
  template <class P>
  static P params(const Call& call) {
    const auto attrs = call.attrs.as<OptimizerAttrs>();
    P p{.n = call.in[0].desc.elems(),
        .rule = attrs.rule,
        .state = input<kernels::StepState>(call, 1),
        .loss = input<float>(call, 2),
        .norm = attrs.rule.clip_norm > 0 ? input<float>(call, 3) : nullptr,
        .grad = input<float>(call, 0),
        .grad_parts = call.parts};
    size_t next = 0;
    p.master = output<float>(call, next++);
    if (has_m(attrs.rule)) p.m = output<float>(call, next++);
    if (has_v(attrs.rule)) p.v = output<float>(call, next++);
    if (attrs.has_low) p.low = output<kernels::Bf16>(call, next++);
    return p;
  }
  static void reference(const OptimizerStep<float>& p) { kernels::optimizer_reference(p); }
};

std::vector<TensorDesc> infer_optimizer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<OptimizerAttrs>();
  glue::expect_count(attrs.rule.clip_norm > 0 ? 4 : 3, in.size());
  glue::expect(in[0].dtype() == DType::kF32 && in[0].rank() == 1, "grads", "f32[*]", in[0]);
  glue::expect_desc("state", step_state_desc(), in[1]);
  glue::expect_desc("loss", scalar_desc(), in[2]);
  if (attrs.rule.clip_norm > 0) glue::expect_desc("norm", scalar_desc(), in[3]);
  std::vector<TensorDesc> out = {in[0]};
  if (has_m(attrs.rule)) out.push_back(in[0]);
  if (has_v(attrs.rule)) out.push_back(in[0]);
  if (attrs.has_low) out.emplace_back(DType::kBf16, in[0].extents());
  return out;
}

// The outputs are read too.
Cost cost_optimizer(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  Cost cost = streamed(12.0 * static_cast<double>(in[0].elems()), in, out);
  for (const TensorDesc& desc : out) {
    if (desc.dtype() == DType::kF32) cost.bytes += static_cast<double>(desc.bytes());
  }
  return cost;
}

std::string describe_optimizer(const Attrs& any) {
  const auto rule = any.as<OptimizerAttrs>().rule;
  constexpr const char* kNames[] = {"adam", "adamw", "sgd"};
  std::string text = kNames[static_cast<int>(rule.kind)];
  if (rule.weight_decay > 0) text += cat(", weight decay ", rule.weight_decay);
  if (rule.clip_norm > 0) text += cat(", clip ", rule.clip_norm);
  return text;
}

constexpr std::array kOptimizerKernels = {
    glue::cuda_kernel<OptimizerGlue, OptimizerStep<float>>("cuda.optimizer.f32"),
    glue::cpu_kernel<OptimizerGlue, OptimizerStep<float>>("cpu.optimizer.f32"),
    glue::reference_kernel<OptimizerGlue, OptimizerStep<float>>("reference.optimizer"),
};

// --- sum_terms ---------------------------------------------------------------------------------

struct SumGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    P p{.count = static_cast<int>(call.in.size()), .total = output<T>(call, 0)};
    for (size_t k = 0; k < call.in.size(); ++k) p.terms[k] = input<T>(call, k);
    return p;
  }
  template <class T>
  static void reference(const SumTerms<T>& p) {
    kernels::sum_terms_reference(p);
  }
};

std::vector<TensorDesc> infer_sum(const Attrs&, std::span<const TensorDesc> in) {
  if (in.empty() || in.size() > kernels::kMaxTerms)
    throw Error(ErrorCode::kUsage,
                cat("expected 1 to ", kernels::kMaxTerms, " terms, found ", in.size()));
  const bool is_master = in[0].dtype() == DType::kF32 || in[0].dtype() == DType::kF64;
  glue::expect(is_master && in[0].elems() == 1 && in[0].rank() == 1, "term", "f32[1] or f64[1]",
               in[0]);
  for (const TensorDesc& term : in) glue::expect_desc("term", in[0], term);
  return {in[0]};
}

// A sum has no 1 to hand on: the parts of a loss are its terms, not their sum.
void grad_sum(GradBuilder& builder, const Node& node) {
  const ValueId gradient = builder.gradient(node.out[0]);
  DIABOLO_CHECK(gradient != kNoValue, node.name, " is a sum; give the loss its terms, or weigh it");
  for (const ValueId term : node.in)
    if (builder.wants(term)) builder.contribute(term, gradient);
}

Cost cost_small(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(static_cast<double>(in.size()), in, out);
}

constexpr std::array kSumKernels = {
    glue::cuda_kernel<SumGlue, SumTerms<float>>("cuda.sum_terms.f32"),
    glue::cpu_kernel<SumGlue, SumTerms<float>>("cpu.sum_terms.f32"),
    glue::reference_kernel<SumGlue, SumTerms<float>, SumTerms<double>>("reference.sum_terms"),
};

// --- advance -----------------------------------------------------------------------------------

struct AdvanceGlue {
  template <class P>
  static P params(const Call& call) {
    const auto attrs = call.attrs.as<AdvanceAttrs>();
    P p{.batch_rows = attrs.batch_rows,
        .state = output<kernels::StepState>(call, 0),
        .scalars = input<kernels::StepScalars>(call, 0),
        .loss = input<float>(call, 1),
        .norm = attrs.has_norm ? input<float>(call, 2) : nullptr,
        .losses = output<float>(call, 1),
        .term_count = attrs.terms,
        .term_ring = attrs.terms > 0 ? output<float>(call, 2) : nullptr};
    for (size_t i = 0; i < static_cast<size_t>(attrs.terms); ++i)
      p.terms[i] = input<float>(call, (attrs.has_norm ? 3 : 2) + i);
    return p;
  }
  static void reference(const kernels::Advance& p) { kernels::advance_state(p); }
};

std::vector<TensorDesc> infer_advance(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<AdvanceAttrs>();
  DIABOLO_CHECK(attrs.terms >= 0 && attrs.terms <= kernels::kMaxLossTerms, attrs.terms);
  const size_t first_term = attrs.has_norm ? 3 : 2;
  glue::expect_count(first_term + static_cast<size_t>(attrs.terms), in.size());
  glue::expect_desc("scalars", step_scalars_desc(), in[0]);
  glue::expect_desc("loss", scalar_desc(), in[1]);
  if (attrs.has_norm) glue::expect_desc("norm", scalar_desc(), in[2]);
  for (size_t i = first_term; i < in.size(); ++i) glue::expect_desc("term", scalar_desc(), in[i]);
  if (attrs.terms == 0) return {step_state_desc(), step_losses_desc()};
  return {step_state_desc(), step_losses_desc(), step_terms_desc(attrs.terms)};
}

// One entry of each ring is touched.
Cost cost_advance(const Attrs&, std::span<const TensorDesc>, std::span<const TensorDesc>) {
  return {.flops = 1, .bytes = 2 * sizeof(kernels::StepState) + sizeof(kernels::StepScalars) + 8};
}

std::string describe_advance(const Attrs& any) {
  return cat("by ", any.as<AdvanceAttrs>().batch_rows, " rows");
}

constexpr Join kAdvanceJoin =
    glue::cuda_join<OptimizerGlue, OptimizerStep<float>, AdvanceGlue, kernels::Advance>(
        kOptimizerKernels[0], true, sizeof(uint32_t));
constexpr std::array kAdvanceKernels = {
    glue::cuda_kernel<AdvanceGlue, kernels::Advance>("cuda.advance", {}, &kAdvanceJoin),
    glue::cpu_kernel<AdvanceGlue, kernels::Advance>("cpu.advance"),
    glue::reference_kernel<AdvanceGlue, kernels::Advance>("reference.advance"),
};

}  // namespace

constinit const OpDef kGlobalNorm = {"global_norm", infer_norm,       nullptr,
                                     cost_norm,     describe_nothing, kNormKernels};
constinit const OpDef kOptimizer = {"optimizer",    infer_optimizer,    nullptr,
                                    cost_optimizer, describe_optimizer, kOptimizerKernels};
constinit const OpDef kSumTerms = {"sum_terms", infer_sum,        grad_sum,
                                   cost_small,  describe_nothing, kSumKernels};
constinit const OpDef kAdvance = {"advance",    infer_advance,    nullptr,
                                  cost_advance, describe_advance, kAdvanceKernels};

}  // namespace diabolo
