// The end of a training step: l2_penalty and its gradient, global_norm, sum_terms, optimizer,
// advance.
#include "ops/training.h"
#include "kernels/penalty.h"
#include "ops/penalty.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

using kernels::Optimizer;
using kernels::OptimizerRule;

template <class T>
void l2_penalty(ReferenceCall<T>& call) {
  kernels::l2_penalty_reference<T>({.n = call.in_desc[0].elems(),
                                    .lambda = attrs_of<L2PenaltyAttrs>(call).lambda,
                                    .weight = call.input(0),
                                    .loss = call.output(0)});
}

template <class T>
void l2_penalty_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<L2PenaltyGradAttrs>(call);
  kernels::l2_penalty_grad_reference<T>({.n = call.in_desc[0].elems(),
                                         .lambda = attrs.lambda,
                                         .accumulate = attrs.accumulate,
                                         .weight = call.input(0),
                                         .d_weight = call.output(0),
                                         .g = call.in.size() > 1 ? call.input(1) : nullptr});
}

template <class T>
void global_norm(ReferenceCall<T>& call) {
  kernels::global_norm_reference<T>(
      {.n = call.in_desc[0].elems(), .grad = call.input(0), .norm = call.output(0)});
}

template <class T>
void sum_terms(ReferenceCall<T>& call) {
  kernels::SumTerms<T> p{.count = static_cast<int>(call.in.size()), .total = call.output(0)};
  for (size_t k = 0; k < call.in.size(); ++k) p.terms[k] = call.input(k);
  kernels::sum_terms_reference(p);
}

template <class T>
void optimizer(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<OptimizerAttrs>(call);
  kernels::OptimizerStep<T> p{.n = call.in_desc[0].elems(),
                              .rule = attrs.rule,
                              .state = call.template raw_input<kernels::StepState>(1),
                              .loss = call.input(2),
                              .norm = attrs.rule.clip_norm > 0 ? call.input(3) : nullptr,
                              .grad = call.input(0)};
  size_t next = 0;
  p.master = call.output(next++);
  if (has_m(attrs.rule)) p.m = call.output(next++);
  if (has_v(attrs.rule)) p.v = call.output(next++);
  kernels::optimizer_reference(p);
  // The low copy is the new master, rounded like any bf16 output; in a void step it stays.
  const auto loss = static_cast<float>(*p.loss);
  const auto norm = p.norm ? static_cast<float>(*p.norm) : 0.0f;
  if (attrs.has_low && !step_is_void(*p.state, &loss, &norm)) call.out[next] = call.out[0];
}

// Integers, records and copies: exact.
template <class T>
void advance(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<AdvanceAttrs>(call);
  kernels::Advance p{.batch_rows = attrs.batch_rows,
                     .state = call.template raw_output<kernels::StepState>(0),
                     .scalars = call.template raw_input<kernels::StepScalars>(0),
                     .loss = call.template raw_input<float>(1),
                     .norm = attrs.has_norm ? call.template raw_input<float>(2) : nullptr,
                     .losses = call.template raw_output<float>(1),
                     .term_count = attrs.terms};
  for (size_t i = 0; i < static_cast<size_t>(attrs.terms); ++i)
    p.terms[i] = call.template raw_input<float>((attrs.has_norm ? 3 : 2) + i);
  if (attrs.terms > 0) p.term_ring = call.template raw_output<float>(2);
  kernels::advance_state(p);
  for (size_t i = 1; i < call.out.size(); ++i) call.out[i].clear();
}

void list_l2_penalty(CaseList& list) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const int64_t length : kLengths) {
      const TensorDesc desc(dtype, {length});
      list.add(kL2Penalty, L2PenaltyAttrs{0.3f}, desc.text(), {{desc}}).is_quick = length == 129;
    }
  }
  const TensorDesc many(DType::kF32, {kManyElems});
  list.add(kL2Penalty, L2PenaltyAttrs{0.3f}, many.text(), {{many}}).is_large = true;
  const TensorDesc desc(DType::kF32, {31, 33});
  for (const Fill fill : {Fill::kIntegers, Fill::kLarge, Fill::kTiny, Fill::kSparse})
    list.add(kL2Penalty, L2PenaltyAttrs{0.5f}, cat(desc.text(), " ", name(fill)), {{desc, fill}});
}

void list_l2_penalty_grad(CaseList& list) {
  for (const int64_t length : kLengths) {
    const TensorDesc desc(DType::kF32, {length});
    for (const bool accumulate : {false, true})
      list.add(kL2PenaltyGrad, L2PenaltyGradAttrs{0.3f, accumulate},
               cat(desc.text(), accumulate ? " adds" : ""), {{desc}},
               {accumulate ? Fill::kUniform : Fill::kGarbage})
          .is_quick = length == 129;
  }
  const TensorDesc many(DType::kF32, {kManyElems});
  list.add(kL2PenaltyGrad, L2PenaltyGradAttrs{0.3f, true}, cat(many.text(), " adds"), {{many}},
           {Fill::kUniform})
      .is_large = true;
  const TensorDesc desc(DType::kF32, {31, 33});
  for (const Fill fill : {Fill::kIntegers, Fill::kLarge, Fill::kTiny, Fill::kSparse})
    list.add(kL2PenaltyGrad, L2PenaltyGradAttrs{0.25f, true}, cat(desc.text(), " ", name(fill)),
             {{desc, fill}}, {fill});
  for (const bool accumulate : {false, true})
    list.add(kL2PenaltyGrad, L2PenaltyGradAttrs{0.25f, accumulate},
             cat(desc.text(), " weighed", accumulate ? ", adds" : ""),
             {{desc}, {TensorDesc(DType::kF32, {1})}},
             {accumulate ? Fill::kUniform : Fill::kGarbage})
        .is_quick = true;
}

void list_global_norm(CaseList& list) {
  for (const int64_t length : kLengths) {
    const TensorDesc desc(DType::kF32, {length});
    list.add(kGlobalNorm, GlobalNormAttrs{}, desc.text(), {{desc}}).is_quick = length == 129;
  }
  const TensorDesc desc(DType::kF32, {70001}), many(DType::kF32, {kManyElems});
  list.add(kGlobalNorm, GlobalNormAttrs{}, desc.text(), {{desc}});
  list.add(kGlobalNorm, GlobalNormAttrs{}, many.text(), {{many}}).is_large = true;
  for (const Fill fill : {Fill::kZeros, Fill::kLarge, Fill::kTiny, Fill::kNotANumber})
    list.add(kGlobalNorm, GlobalNormAttrs{}, cat("f32[300] ", name(fill)),
             {{TensorDesc(DType::kF32, {300}), fill}});
}

void list_sum_terms(CaseList& list) {
  const TensorDesc one(DType::kF32, {1}), wide(DType::kF64, {1});
  for (const size_t count : {1u, 2u, 5u, 8u}) {
    for (const Fill fill : {Fill::kUniform, Fill::kIntegers})
      list.add(kSumTerms, SumTermsAttrs{}, cat(count, " ", name(fill)),
               std::vector<Operand>(count, {one, fill}))
          .is_quick = true;
    list.add(kSumTerms, SumTermsAttrs{}, cat("f64 ", count),
             std::vector<Operand>(count, {wide, Fill::kUniform}));
  }
  list.add(kSumTerms, SumTermsAttrs{}, "3 nan",
           {{one, Fill::kUniform}, {one, Fill::kNotANumber}, {one, Fill::kUniform}});
}

struct StepFills {
  Fill state = Fill::kState, loss = Fill::kOnes, norm = Fill::kUnit, grad = Fill::kUniform;
};

Case& add_optimizer(CaseList& list, const std::string& text, const OptimizerRule& rule,
                    int64_t length, bool has_low, const StepFills& fills) {
  const TensorDesc blob(DType::kF32, {length}), one(DType::kF32, {1});
  std::vector<Operand> in = {
      {blob, fills.grad}, {step_state_desc(), fills.state}, {one, fills.loss}};
  if (rule.clip_norm > 0) in.push_back({one, fills.norm});
  std::vector<Fill> out = {Fill::kUniform};
  if (has_m(rule)) out.push_back(Fill::kUniform);
  if (has_v(rule)) out.push_back(Fill::kUnit);
  if (has_low) out.push_back(Fill::kUniform);
  return list.add(kOptimizer, OptimizerAttrs{rule, has_low},
                  cat(text, " ", length, has_low ? " low" : ""), in, out);
}

struct NamedRule {
  const char* text;
  OptimizerRule rule;
};
const NamedRule kRules[] = {
    {"adam", {.kind = Optimizer::kAdam}},
    {"adam decayed", {.kind = Optimizer::kAdam, .weight_decay = 0.01f}},
    {"adamw clipped", {.kind = Optimizer::kAdamW, .weight_decay = 0.01f, .clip_norm = 0.5f}},
    {"sgd", {.kind = Optimizer::kSgd}},
    {"sgd momentum decayed clipped",
     {.kind = Optimizer::kSgd, .weight_decay = 0.1f, .momentum = 0.9f, .clip_norm = 0.01f}},
};

void list_optimizer(CaseList& list) {
  for (const auto& [text, rule] : kRules) {
    for (const int64_t length : kLengths)
      add_optimizer(list, text, rule, length, length % 2 == 1, {}).is_quick = length == 129;
    add_optimizer(list, text, rule, kManyElems, true, {}).is_large = true;
    add_optimizer(list, cat(text, " large"), rule, 77, true, {.grad = Fill::kLarge});
    add_optimizer(list, cat(text, " tiny"), rule, 77, false, {.grad = Fill::kTiny});
    add_optimizer(list, cat(text, " sparse"), rule, 77, true, {.grad = Fill::kSparse});
    // Steps that must change nothing.
    add_optimizer(list, cat(text, " halted"), rule, 77, true, {.state = Fill::kHaltedState});
    add_optimizer(list, cat(text, " loss nan"), rule, 77, true, {.loss = Fill::kNotANumber});
    if (rule.clip_norm > 0)
      add_optimizer(list, cat(text, " norm nan"), rule, 77, true, {.norm = Fill::kNotANumber});
  }
}

void list_advance(CaseList& list) {
  const TensorDesc one(DType::kF32, {1});
  const auto add = [&](const char* text, bool has_norm, Fill loss, Fill norm, Fill state,
                       int terms = 0) {
    std::vector<Operand> in = {{step_scalars_desc(), Fill::kUniform}, {one, loss}};
    if (has_norm) in.push_back({one, norm});
    for (int i = 0; i < terms; ++i) in.push_back({one, Fill::kUnit});
    std::vector<Fill> out = {state, Fill::kZeros};
    if (terms > 0) out.push_back(Fill::kZeros);
    list.add(kAdvance, AdvanceAttrs{256, has_norm, terms}, text, in, out).is_quick = true;
  };
  add("step", false, Fill::kUnit, Fill::kUnit, Fill::kState);
  add("step with norm", true, Fill::kUnit, Fill::kUnit, Fill::kState);
  add("loss nan", false, Fill::kNotANumber, Fill::kUnit, Fill::kState);
  add("norm nan", true, Fill::kUnit, Fill::kNotANumber, Fill::kState);
  add("halted", false, Fill::kUnit, Fill::kUnit, Fill::kHaltedState);
  add("2 terms", false, Fill::kUnit, Fill::kUnit, Fill::kState, 2);
  add("16 terms with norm", true, Fill::kUnit, Fill::kUnit, Fill::kState, kernels::kMaxLossTerms);
  add("2 terms, loss nan", false, Fill::kNotANumber, Fill::kUnit, Fill::kState, 2);
}

}  // namespace

constinit const OpCases kL2PenaltyCases = {&kL2Penalty, DIABOLO_REFERENCE_WITHOUT_TF32(l2_penalty),
                                           list_l2_penalty, l2_penalty<Complex>};
constinit const OpCases kL2PenaltyGradCases = {
    &kL2PenaltyGrad, DIABOLO_REFERENCE_WITHOUT_TF32(l2_penalty_grad), list_l2_penalty_grad};
constinit const OpCases kGlobalNormCases = {
    &kGlobalNorm, DIABOLO_REFERENCE_WITHOUT_TF32(global_norm), list_global_norm};
constinit const OpCases kSumTermsCases = {&kSumTerms, DIABOLO_REFERENCE_WITHOUT_TF32(sum_terms),
                                          list_sum_terms, sum_terms<Complex>};
constinit const OpCases kOptimizerCases = {
    &kOptimizer, {optimizer<Tracked<InF32>>, nullptr, nullptr}, list_optimizer};
constinit const OpCases kAdvanceCases = {
    &kAdvance, {advance<Tracked<InF32>>, nullptr, nullptr}, list_advance};

}  // namespace diabolo::selftest
