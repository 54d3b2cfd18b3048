// State of the model, for tests: every network centres its code by a running mean of it.
#pragma once

#include <array>

#include "model/model.h"
#include "ops/glue.h"
#include "train/stateful_part_math.h"

namespace diabolo {
namespace stateful {

inline constexpr const char* kMean = "code.mean";
inline constexpr int64_t kWidth = 3;  // of the code, in small_config()

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

inline ValueId apply(Graph& graph, ValueId code, std::span<const ValueId> states) {
  return graph.add(kCentre, NoAttrs{}, {code, states[0]}, "centred code").front();
}
inline std::vector<ValueId> next(Graph& graph, ValueId code, std::span<const ValueId> states) {
  return graph.add(kRunningMean, NoAttrs{}, {code, states[0]}, "running mean");
}

}  // namespace stateful

// While it lives. Only for codes of stateful::kWidth numbers, in f32.
class WithRunningMean {
 public:
  WithRunningMean() { stateful_part_of_tests() = &part_; }
  ~WithRunningMean() { stateful_part_of_tests() = nullptr; }
  WithRunningMean(WithRunningMean&&) = delete;

 private:
  const StatefulPart part_ = {{{stateful::kMean, TensorDesc(DType::kF32, {stateful::kWidth}),
                                StateKind::kOfModel, Init{0.25f}}},
                              stateful::apply,
                              stateful::next};
};

}  // namespace diabolo
