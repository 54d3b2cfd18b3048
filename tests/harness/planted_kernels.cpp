#include "harness/planted_kernels.h"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "base/error.h"
#include "harness/planted_conv.h"
#include "kernels/dense.h"
#include "kernels/loss.h"
#include "kernels/reparameterise.h"
#include "kernels/top_k.h"
#include "kernels/update_state.h"
#include "kernels/weigh_term.h"
#include "ops/add.h"
#include "ops/dense.h"
#include "ops/gaussian_kl.h"
#include "ops/loss.h"
#include "ops/mean_abs.h"
#include "ops/reparameterise.h"
#include "ops/top_k.h"
#include "ops/training.h"
#include "ops/update_state.h"
#include "ops/weigh_term.h"

namespace diabolo::planted {
namespace {

using kernels::DenseShape;

constexpr int64_t kTile = 16;

float sum_in_bf16(float sum, float term) {
  return kernels::to_float(kernels::to_bf16(sum + term));
}

template <class T>
T* rounded_down(T* address) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(address) & ~uintptr_t{15});
}

// Where a loop over `count` in tiles ends.
template <Bug kBug, Bug kOmitsTail>
int64_t end_of(int64_t count) {
  if (kBug == kOmitsTail && count > 1 && count % kTile != 0) return count - 1;
  return count;
}

// --- dense_weight_grad: tiles over the batch, partial sums in scratch --------------------------

template <Bug kBug>
float weight_sum(const DenseShape& s, const float* x, const float* dz, int64_t i, int64_t o,
                 float* partials) {
  const int64_t rows = end_of<kBug, Bug::kMissingTailRow>(s.B);
  int64_t tiles = (rows + kTile - 1) / kTile;
  if (kBug == Bug::kMissingLastTile && tiles > 1) --tiles;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    float sum = kBug == Bug::kUninitialisedSum && tile > 0 ? partials[tile] : 0.0f;
    // One row of at most 64 elements: inside the guard, so that the sanitizers let it pass.
    const bool pads = kBug == Bug::kReadsPastTheEnd && s.I <= 64 && s.O <= 64;
    const int64_t last = std::min(rows + (pads ? 1 : 0), (tile + 1) * kTile);
    for (int64_t b = tile * kTile; b < last; ++b) {
      const float term = x[b * s.I + i] * dz[b * s.O + o] * (b < rows ? 1.0f : 0.0f);
      sum = kBug == Bug::kLowPrecisionSum ? sum_in_bf16(sum, term) : sum + term;
    }
    partials[tile] = sum;
  }
  if (kBug == Bug::kUnstableOrder) {
    static int calls = 0;
    if (++calls % 3 == 0) std::reverse(partials, partials + tiles);
  }
  float sum = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) sum += partials[tile];
  return sum;
}

template <Bug kBug>
void weight_grad(const Call& call, float* partials) {
  const auto attrs = call.attrs.as<DenseWeightGradAttrs>();
  DenseShape s{call.in[0].desc.extent(0), row_elems(call.in[0].desc), call.in[1].desc.extent(1),
               attrs.weight_transposed && kBug != Bug::kWrongTransposition};
  const float *x = call.in[0].as<const float>(), *dz = call.in[1].as<const float>();
  float* d_weight = call.out[0].as<float>();
  if (kBug == Bug::kAssumesAlignment) d_weight = rounded_down(d_weight);
  const bool adds = attrs.accumulates_weight && kBug != Bug::kIgnoresAccumulate;
  const int64_t columns = end_of<kBug, Bug::kMissingTailColumn>(s.O);
  for (int64_t i = 0; i < s.I; ++i) {
    for (int64_t o = 0; o < columns; ++o) {
      const float sum = weight_sum<kBug>(s, x, dz, i, o, partials);
      float& out = d_weight[s.weight_at(i, o)];
      out = adds ? out + sum : sum;
    }
  }
  if (kBug == Bug::kWritesPastTheEnd) d_weight[s.I * s.O] = 0;
  if (kBug == Bug::kWritesPastScratch) partials[(s.B + kTile - 1) / kTile] = 0;
  if (kBug == Bug::kChangesItsInput) const_cast<float*>(x)[s.B * s.I - 1] *= 2;
  if (!attrs.has_bias || kBug == Bug::kMissingBias) return;
  float* d_bias = call.out[1].as<float>();
  for (int64_t o = 0; o < s.O; ++o) {
    float sum = 0;
    for (int64_t b = 0; b < s.B; ++b) sum += dz[b * s.O + o];
    d_bias[o] = attrs.accumulates_bias ? d_bias[o] + sum : sum;
  }
}

uint64_t weight_scratch(const Call& call, const DeviceInfo&) {
  const auto tiles = static_cast<uint64_t>((call.in[0].desc.extent(0) + kTile - 1) / kTile);
  return tiles * sizeof(float);
}

// --- dense_data_grad with the activation of the layer below ------------------------------------

template <Bug kBug>
float slope_of(kernels::Activation activation, float saved) {
  return kernels::with_activation(activation, [&](auto act) {
    if (kBug == Bug::kSlopeAtZero && saved == 0) return 1.0f;
    if (kBug == Bug::kDerivativeAtH && act.kSavesZ) return act.derivative(act.forward(saved));
    return act.derivative(saved);
  });
}

template <Bug kBug>
void data_grad(const Call& call, float*) {
  const auto attrs = call.attrs.as<DenseDataGradAttrs>();
  const DenseShape s{call.in[0].desc.extent(0), row_elems(call.out[0].desc),
                     call.in[0].desc.extent(1),
                     attrs.weight_transposed && kBug != Bug::kWrongTransposition};
  const float *dz = call.in[0].as<const float>(), *weight = call.in[1].as<const float>();
  const float* saved = attrs.has_epilogue ? call.in[2].as<const float>() : nullptr;
  float* dx = call.out[0].as<float>();
  if (kBug == Bug::kAssumesAlignment) dx = rounded_down(dx);
  const int64_t rows = end_of<kBug, Bug::kMissingTailRow>(s.B);
  const int64_t columns = end_of<kBug, Bug::kMissingTailColumn>(s.I);
  for (int64_t b = 0; b < rows; ++b) {
    for (int64_t i = 0; i < columns; ++i) {
      float sum = 0;
      for (int64_t o = 0; o < s.O; ++o) sum += dz[b * s.O + o] * weight[s.weight_at(i, o)];
      if (saved) sum *= slope_of<kBug>(attrs.activation, saved[b * s.I + i]);
      dx[b * s.I + i] = sum;
    }
  }
}

// --- dense_forward -----------------------------------------------------------------------------

template <Bug kBug>
void forward(const Call& call, float*) {
  const auto attrs = call.attrs.as<DenseForwardAttrs>();
  const int64_t inputs = row_elems(call.in[0].desc);
  const DenseShape s{call.in[0].desc.extent(0), inputs, call.out[0].desc.extent(1),
                     attrs.weight_transposed};
  const float *x = call.in[0].as<const float>(), *weight = call.in[1].as<const float>();
  const float* bias =
      attrs.has_bias && kBug != Bug::kMissingBias ? call.in[2].as<const float>() : nullptr;
  const int64_t splits = kBug == Bug::kRowsDependOnBatch && s.B < 16 ? 2 : 1;
  for (int64_t b = 0; b < s.B; ++b) {
    for (int64_t o = 0; o < s.O; ++o) {
      float z = 0;
      for (int64_t part = 0; part < splits; ++part) {
        float sum = 0;
        for (int64_t i = part; i < s.I; i += splits)
          sum += x[b * s.I + i] * weight[s.weight_at(i, o)];
        z += sum;
      }
      if (bias) z += bias[o];
      if (attrs.stores_z) call.out[1].as<float>()[b * s.O + o] = z;
      call.out[0].as<float>()[b * s.O + o] =
          kernels::with_activation(attrs.activation, [&](auto act) { return act.forward(z); });
    }
  }
}

// --- loss --------------------------------------------------------------------------------------

float naive_bce(float z, float t) {
  return std::log(1 + std::exp(z)) - t * z;
}

template <Bug kBug>
void loss(const Call& call, float*) {
  const auto attrs = call.attrs.as<LossAttrs>();
  const int64_t n = call.in[0].desc.elems();
  const int64_t count = kBug == Bug::kWrongCount ? call.in[0].desc.extent(0) : n;
  const float scale = attrs.scale / static_cast<float>(count);
  const float *z = call.in[0].as<const float>(), *target = call.in[1].as<const float>();
  float* dz = attrs.with_gradient ? call.out[1].as<float>() : nullptr;
  float sum = 0;
  kernels::with_loss(attrs.activation, attrs.loss, [&](auto element) {
    for (int64_t k = 0; k < n; ++k) {
      const auto at = element.of(z[k], target[k]);
      if (dz) dz[k] = at.d_z * scale;
      const bool is_naive = kBug == Bug::kOverflows && attrs.loss == kernels::Loss::kBce;
      // Reads z anew, which dz may have overwritten.
      const float again = element.of(z[k], target[k]).value;
      sum += is_naive ? naive_bce(z[k], target[k])
                      : (kBug == Bug::kReadsOverwritten ? again : at.value);
    }
  });
  *call.out[0].as<float>() = sum * scale;
}

// --- optimizer ---------------------------------------------------------------------------------

template <Bug kBug>
void optimizer(const Call& call, float*) {
  const auto attrs = call.attrs.as<OptimizerAttrs>();
  kernels::StepState state = *call.in[1].as<const kernels::StepState>();
  if (kBug == Bug::kIgnoresHalt) state.halt = 0;
  kernels::OptimizerStep<float> p;
  p.n = call.in[0].desc.elems();
  p.rule = attrs.rule;
  p.state = &state;
  p.grad = call.in[0].as<const float>();
  p.loss = call.in[2].as<const float>();
  if (attrs.rule.clip_norm > 0) p.norm = call.in[3].as<const float>();
  size_t next = 0;
  p.master = call.out[next++].as<float>();
  if (has_m(attrs.rule)) p.m = call.out[next++].as<float>();
  if (has_v(attrs.rule)) p.v = call.out[next++].as<float>();
  if (attrs.has_low) p.low = call.out[next].as<kernels::Bf16>();
  kernels::optimizer_reference(p);
}

// --- update_state ------------------------------------------------------------------------------

template <Bug kBug>
void update_state(const Call& call, float*) {
  kernels::StepState state = *call.in[1].as<const kernels::StepState>();
  if (kBug == Bug::kIgnoresHalt) state.halt = 0;
  const bool has_norm = call.attrs.as<UpdateStateAttrs>().has_norm;
  kernels::update_state_reference<float>({call.in[0].desc.elems(), &state,
                                          call.in[2].as<const float>(),
                                          has_norm ? call.in[3].as<const float>() : nullptr,
                                          call.in[0].as<const float>(), call.out[0].as<float>()});
}

// --- weigh_term --------------------------------------------------------------------------------

template <Bug kBug>
void weigh_term(const Call& call, float*) {
  const auto attrs = call.attrs.as<WeighTermAttrs>();
  kernels::StepState state{};
  kernels::WeighTerm<float> p{.constant = attrs.weight,
                              .raw = call.in[0].as<const float>(),
                              .contribution = call.out[0].as<float>(),
                              .weight = call.out[1].as<float>()};
  if (attrs.column >= 0) {
    state = *call.in[2].as<const kernels::StepState>();
    if (kBug == Bug::kIgnoresStep) state.step = 0;
    p.count = call.in[1].desc.extent(1);
    p.column = attrs.column;
    p.state = &state;
    p.weights = call.in[1].as<const float>();
  }
  kernels::weigh_term(p);
}

// --- mean_abs_grad -----------------------------------------------------------------------------

template <Bug kBug>
void mean_abs_grad(const Call& call, float*) {
  const int64_t n = call.in[0].desc.elems();
  const auto* x = call.in[0].as<const float>();
  const float g = kBug == Bug::kIgnoresUpstream ? 1.0f : *call.in[1].as<const float>();
  const float scale = g * (1.0f / static_cast<float>(n));
  for (int64_t k = 0; k < n; ++k) {
    const bool is_up = kBug == Bug::kSlopeAtZero ? x[k] >= 0 : x[k] > 0;
    const float sign = is_up ? 1.0f : x[k] < 0 ? -1.0f : x[k];
    call.out[0].as<float>()[k] = sign * scale;
  }
}

// --- gaussian_kl_grad --------------------------------------------------------------------------

template <Bug kBug>
void gaussian_kl_grad(const Call& call, float*) {
  const auto attrs = call.attrs.as<GaussianKlAttrs>();
  const auto* mean = call.in[0].as<const float>();
  const auto* log_variance = call.in[1].as<const float>();
  const float scale = *call.in[2].as<const float>() * attrs.scale;
  for (int64_t k = 0; k < call.in[0].desc.elems(); ++k) {
    const float at = log_variance[k];
    const bool is_outside = at < attrs.low || at > attrs.high;
    const float slope = 0.5f * (std::exp(std::clamp(at, attrs.low, attrs.high)) - 1);
    call.out[0].as<float>()[k] = scale * mean[k];
    call.out[1].as<float>()[k] = is_outside && kBug != Bug::kSlopeOutside ? 0.0f : scale * slope;
  }
}

// --- top_k: a stable sort ----------------------------------------------------------------------

template <Bug kBug>
void top_k(const Call& call, float*) {
  const int64_t D = row_elems(call.in[0].desc), k = call.attrs.as<TopKAttrs>().k;
  for (int64_t b = 0; b < call.in[0].desc.extent(0); ++b) {
    const float* const x = call.in[0].as<const float>() + b * D;
    float* const y = call.out[0].as<float>() + b * D;
    std::vector<int64_t> order(static_cast<size_t>(D));
    for (int64_t d = 0; d < D; ++d)
      order[static_cast<size_t>(d)] = kBug == Bug::kLaterOfEqual ? D - 1 - d : d;
    std::ranges::stable_sort(order, std::greater<>(),
                             [&](int64_t d) { return kernels::key_of(x[d]); });
    std::fill_n(y, D, 0.0f);
    for (int64_t place = 0; place < k; ++place) {
      const int64_t d = order[static_cast<size_t>(place)];
      y[d] = x[d];
      call.out[1].as<uint32_t>()[b] = static_cast<uint32_t>(d);
    }
  }
}

// --- reparameterise ----------------------------------------------------------------------------

template <Bug kBug>
void reparameterise(const Call& call, float*) {
  const auto attrs = call.attrs.as<ReparameteriseAttrs>();
  kernels::StepState state = *call.in[2].as<const kernels::StepState>();
  if (kBug == Bug::kIgnoresStep) state.step = 0;
  const uint32_t layer = kBug == Bug::kIgnoresLayer ? 0 : attrs.layer;
  kernels::reparameterise_reference<float>(
      {call.in[0].desc.extent(0), row_elems(call.in[0].desc), attrs.low, attrs.high,
       kernels::RandomPurpose::kReparameterise + layer, &state, call.in[0].as<const float>(),
       call.in[1].as<const float>(), call.out[0].as<float>()});
}

// --- add, in bf16 ------------------------------------------------------------------------------

template <Bug kBug>
void add(const Call& call, float*) {
  const auto *a = call.in[0].as<const kernels::Bf16>(), *b = call.in[1].as<const kernels::Bf16>();
  auto* y = call.out[0].as<kernels::Bf16>();
  for (int64_t k = 0; k < call.in[0].desc.elems(); ++k) {
    const float sum = kernels::to_float(a[k]) + kernels::to_float(b[k]);
    y[k] = kernels::to_bf16(sum);
    if (kBug == Bug::kForgetsToRound)
      y[k] = {static_cast<uint16_t>(std::bit_cast<uint32_t>(sum) >> 16)};
  }
}

// --- entries -----------------------------------------------------------------------------------

template <DType kType>
std::string accepts(const Call& call, const DeviceInfo& device) {
  if (device.space != Space::kHost) return "runs on the host";
  return call.in[0].desc.dtype() == kType ? "" : "another type";
}

uint64_t no_scratch(const Call&, const DeviceInfo&) {
  return 0;
}

// The operands of a call outlive its spans.
template <void (*kBody)(const Call&, float*)>
kernels::Launch prepare(const Call& call, const DeviceInfo&, void* scratch) {
  return [attrs = call.attrs, in = std::vector(call.in.begin(), call.in.end()),
          out = std::vector(call.out.begin(), call.out.end()), scratch](void*) {
    kBody({attrs, in, out}, static_cast<float*>(scratch));
  };
}

template <void (*kBody)(const Call&, float*), DType kType = DType::kF32>
Kernel entry(uint64_t (*scratch)(const Call&, const DeviceInfo&) = no_scratch) {
  return {.name = "planted",
          .space = Space::kHost,
          .in_place = {},
          .accepts = accepts<kType>,
          .scratch_bytes = scratch,
          .prepare = prepare<kBody>};
}

constexpr std::array kLossInPlace = {InPlace{0, 1}};

template <Bug kBug>
Kernel kernel_with(const OpDef& op) {
  if (&op == &kDenseWeightGrad) return entry<weight_grad<kBug>>(weight_scratch);
  if (&op == &kDenseDataGrad) return entry<data_grad<kBug>>();
  if (&op == &kDenseForward) return entry<forward<kBug>>();
  if (&op == &kOptimizer) return entry<optimizer<kBug>>();
  if (&op == &kUpdateState) return entry<update_state<kBug>>();
  if (&op == &kWeighTerm) return entry<weigh_term<kBug>>();
  if (&op == &kMeanAbsGrad) return entry<mean_abs_grad<kBug>>();
  if (&op == &kGaussianKlGrad) return entry<gaussian_kl_grad<kBug>>();
  if (&op == &kReparameterise) return entry<reparameterise<kBug>>();
  if (&op == &kConv2dForward) return entry<convolve<kBug>>();
  if (&op == &kTopK) return entry<top_k<kBug>>();
  if (&op == &kAdd) return entry<add<kBug>, DType::kBf16>();
  DIABOLO_CHECK(&op == &kLoss, "no planted kernel for ", op.name);
  Kernel kernel = entry<loss<kBug>>();
  kernel.in_place = kLossInPlace;
  return kernel;
}

template <Bug... kBugs>
Kernel pick(const OpDef& op, Bug bug) {
  Kernel kernel{};
  ((bug == kBugs ? (kernel = kernel_with<kBugs>(op), true) : false) || ...);
  return kernel;
}

}  // namespace

const char* name(Bug bug) {
  static constexpr const char* kNames[] = {"none",
                                           "WrongTransposition",
                                           "MissingBias",
                                           "MissingTailRow",
                                           "MissingTailColumn",
                                           "UninitialisedSum",
                                           "DerivativeAtH",
                                           "MissingLastTile",
                                           "IgnoresAccumulate",
                                           "ReadsOverwritten",
                                           "WrongCount",
                                           "SlopeAtZero",
                                           "LowPrecisionSum",
                                           "UnstableOrder",
                                           "WritesPastTheEnd",
                                           "ChangesItsInput",
                                           "AssumesAlignment",
                                           "ReadsPastTheEnd",
                                           "Overflows",
                                           "IgnoresHalt",
                                           "IgnoresStep",
                                           "IgnoresLayer",
                                           "IgnoresUpstream",
                                           "RowsDependOnBatch",
                                           "SlopeOutside",
                                           "WritesPastScratch",
                                           "ForgetsToRound",
                                           "LaterOfEqual",
                                           "PhaseOffByOne",
                                           "ForgetsRest",
                                           "InterleavesGroups"};
  return kNames[static_cast<int>(bug)];
}

Kernel planted_kernel(const OpDef& op, Bug bug) {
  return pick<Bug::kNone, Bug::kWrongTransposition, Bug::kMissingBias, Bug::kMissingTailRow,
              Bug::kMissingTailColumn, Bug::kUninitialisedSum, Bug::kDerivativeAtH,
              Bug::kMissingLastTile, Bug::kIgnoresAccumulate, Bug::kReadsOverwritten,
              Bug::kWrongCount, Bug::kSlopeAtZero, Bug::kLowPrecisionSum, Bug::kUnstableOrder,
              Bug::kWritesPastTheEnd, Bug::kChangesItsInput, Bug::kAssumesAlignment,
              Bug::kReadsPastTheEnd, Bug::kOverflows, Bug::kIgnoresHalt, Bug::kIgnoresStep,
              Bug::kIgnoresLayer, Bug::kIgnoresUpstream, Bug::kRowsDependOnBatch,
              Bug::kSlopeOutside, Bug::kWritesPastScratch, Bug::kForgetsToRound, Bug::kLaterOfEqual,
              Bug::kPhaseOffByOne, Bug::kForgetsRest, Bug::kInterleavesGroups>(op, bug);
}

}  // namespace diabolo::planted
