// State of the model, for tests: a block that centres its rows by a running mean of them.
#pragma once

#include <array>

#include "model/model_graph.h"
#include "ops/glue.h"
#include "train/stateful_part_math.h"

namespace diabolo {
namespace stateful {

template <class P>
P record_of(const Call& call) {
  const auto extents = call.in[0].desc.extents();
  return {extents[0], extents[1], glue::input<float>(call, 0), glue::input<float>(call, 1),
          glue::output<float>(call, 0)};
}

// On a device only where the program links the kernels, which then sets this.
template <class P>
inline void (*device_launch)(const P&, void* stream) = nullptr;

template <class P, void (*column)(const P&, int64_t)>
constexpr std::array<Kernel, 2> kernels_of(const char* host, const char* device) {
  return {{{.name = device,
            .space = Space::kCuda,
            .in_place = {},
            .accepts = [](const Call&, const DeviceInfo& info) -> std::string {
              return info.space == Space::kCuda ? "" : "runs on CUDA devices";
            },
            .scratch_bytes = glue::no_scratch,
            .prepare = [](const Call& call, const DeviceInfo&, void*) -> kernels::Launch {
              return [p = record_of<P>(call)](void* stream) { device_launch<P>(p, stream); };
            }},
           {.name = host,
            .space = Space::kHost,
            .is_reference = true,
            .in_place = {},
            .accepts = [](const Call&, const DeviceInfo& info) -> std::string {
              return info.space == Space::kHost ? "" : "runs on the host";
            },
            .scratch_bytes = glue::no_scratch,
            .prepare = [](const Call& call, const DeviceInfo&, void*) -> kernels::Launch {
              return [p = record_of<P>(call)](void*) {
                for (int64_t c = 0; c < p.width; ++c) column(p, c);
              };
            }}}};
}

inline std::string describe(const Attrs&) {
  return "";
}
inline Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(static_cast<double>(in[0].elems()), in, out);
}
inline void centre_grad(GradBuilder& builder, const Node& node) {
  if (builder.wants(node.in[0])) builder.contribute(node.in[0], builder.gradient(node.out[0]));
}

inline constexpr auto kRunningMeanKernels =
    kernels_of<RunningMean, running_mean_column>("reference.running_mean", "cuda.running_mean");
inline constexpr auto kCentreKernels =
    kernels_of<Centre, centre_column>("reference.centre", "cuda.centre");

inline constexpr OpDef kRunningMean = {
    "running_mean", [](const Attrs&, std::span<const TensorDesc> in) { return std::vector{in[1]}; },
    nullptr,        cost,
    describe,       kRunningMeanKernels};
inline constexpr OpDef kCentre = {
    "centre",    [](const Attrs&, std::span<const TensorDesc> in) { return std::vector{in[0]}; },
    centre_grad, cost,
    describe,    kCentreKernels};

struct NoAttrs {};

inline void shape(Layer& layer) {
  layer.out = layer.in;
}
inline void shape_with_mean(Layer& layer) {
  layer.out = layer.in;
  const TensorDesc row(DType::kF32, {layer.in_width()});
  layer.states = {{layer.name + ".mean", row, StateKind::kOfModel, Init{0.25f}}};
}

inline ValueId build(const LayerBuild& build) {
  const auto& [model, layer, x, activation] = build;
  if (layer.states.empty()) return x;
  const ValueId mean = model.state(layer.states[0]);
  const std::array in = {x, mean};
  if (model.is_training())
    model.add_next_state(mean, model.graph().add(kRunningMean, NoAttrs{}, in, "running mean")[0],
                         layer.name);
  return model.graph().add(kCentre, NoAttrs{}, in, layer.name)[0];
}

}  // namespace stateful

// While it lives there is the block, and small_config() has it; with a mean only in f32.
class WithCentre {
 public:
  explicit WithCentre(bool has_mean = true) {
    if (has_mean) block_.shape = stateful::shape_with_mean;
    changeable_block_defs().push_back(&block_);
  }
  ~WithCentre() { changeable_block_defs().pop_back(); }
  WithCentre(WithCentre&&) = delete;

 private:
  BlockDef block_ = {.name = "centre",
                     .what = "rows less a running mean of them",
                     .options = {},
                     .has_weights = false,
                     .shape = stateful::shape,
                     .build = stateful::build};
};

}  // namespace diabolo
