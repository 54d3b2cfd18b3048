// update_state: what writes state of the model.
#include "ops/update_state.h"

#include <array>

#include "kernels/update_state.h"
#include "ops/glue.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using kernels::UpdateState;

struct UpdateStateGlue {
  template <class P>
  static P params(const Call& call) {
    return {.n = call.in[0].desc.elems(),
            .state = input<kernels::StepState>(call, 1),
            .loss = input<float>(call, 2),
            .norm = call.attrs.as<UpdateStateAttrs>().has_norm ? input<float>(call, 3) : nullptr,
            .next = input<float>(call, 0),
            .value = glue::output<float>(call, 0)};
  }
  static void reference(const UpdateState<float>& p) { kernels::update_state_reference(p); }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const bool has_norm = any.as<UpdateStateAttrs>().has_norm;
  const TensorDesc scalar(DType::kF32, {1});
  glue::expect_count(has_norm ? 4 : 3, in.size());
  glue::expect(in[0].dtype() == DType::kF32, "next", "f32", in[0]);
  glue::expect_desc("state", step_state_desc(), in[1]);
  glue::expect_desc("loss", scalar, in[2]);
  if (has_norm) glue::expect_desc("norm", scalar, in[3]);
  return {in[0]};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(0, in, out);
}

std::string describe(const Attrs&) {
  return "";
}

constexpr std::array kKernels = {
    glue::cuda_kernel<UpdateStateGlue, UpdateState<float>>("cuda.update_state.f32"),
    glue::reference_kernel<UpdateStateGlue, UpdateState<float>>("reference.update_state"),
};

}  // namespace

constinit const OpDef kUpdateState = {"update_state", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
