// draw_normal: rows of normal draws.
#include "ops/draw_normal.h"

#include <array>

#include "kernels/draw_normal.h"
#include "ops/glue.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using kernels::DrawNormal;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    return {.B = call.out[0].desc.extent(0),
            .D = call.out[0].desc.extent(1),
            .scale = input<float>(call, 0),
            .state = input<kernels::StepState>(call, 1),
            .z = glue::output<float>(call, 0)};
  }
  static void reference(const DrawNormal<float>& p) { kernels::draw_normal_reference(p); }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DrawNormalAttrs>();
  glue::expect_count(2, in.size());
  glue::expect_desc("scale", TensorDesc(DType::kF32, {1}), in[0]);
  glue::expect_desc("state", step_state_desc(), in[1]);
  DIABOLO_CHECK(attrs.rows > 0 && attrs.width > 0, attrs.rows, " rows of ", attrs.width);
  return {TensorDesc(DType::kF32, {attrs.rows, attrs.width})};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(8.0 * static_cast<double>(out[0].elems()), in, out);
}

std::string describe(const Attrs&) {
  return "";
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, DrawNormal<float>>("cuda.draw_normal"),
    glue::cpu_kernel<Glue, DrawNormal<float>>("cpu.draw_normal"),
    glue::reference_kernel<Glue, DrawNormal<float>>("reference.draw_normal"),
};

}  // namespace

constinit const OpDef kDrawNormal = {"draw_normal", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
