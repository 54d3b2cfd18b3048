// gather: a batch out of raw rows, converted and scaled.
#include "kernels/gather.h"

#include <array>

#include "ops/gather.h"
#include "ops/glue.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::Gather;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    return make(call, std::type_identity<P>{});
  }
  template <class Source, class T>
  static Gather<Source, T> make(const Call& call, std::type_identity<Gather<Source, T>>) {
    const auto attrs = call.attrs.as<GatherAttrs>();
    const TensorDesc& source = call.in[0].desc;
    return {.N = source.extent(0),
            .B = attrs.rows,
            .D = source.extent(1),
            .source = input<Source>(call, 0),
            .order = attrs.indexed ? input<uint32_t>(call, 3) : nullptr,
            .state = attrs.indexed ? input<kernels::StepState>(call, 4) : nullptr,
            .shift = input<kernels::Accum<T>>(call, 1),
            .scale = input<kernels::Accum<T>>(call, 2),
            .out = output<T>(call, 0)};
  }
  template <class Source, class T>
  static void reference(const Gather<Source, T>& p) {
    kernels::gather_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<GatherAttrs>();
  glue::expect_count(attrs.indexed ? 5 : 3, in.size());
  const bool is_known = in[0].dtype() == DType::kU8 || in[0].dtype() == DType::kF32;
  glue::expect(is_known && in[0].rank() == 2, "source", "u8[*,*] or f32[*,*]", in[0]);
  const TensorDesc per_feature(DType::kF32, {in[0].extent(1)});
  glue::expect_desc("shift", per_feature, in[1]);
  glue::expect_desc("scale", per_feature, in[2]);
  if (attrs.indexed) {
    glue::expect_desc("order", TensorDesc(DType::kU32, {in[0].extent(0)}), in[3]);
    glue::expect_desc("state", step_state_desc(), in[4]);
  } else {
    glue::expect(attrs.rows <= in[0].extent(0), "source", cat("at least ", attrs.rows, " rows"),
                 in[0]);
  }
  return {TensorDesc(attrs.dtype, {attrs.rows, in[0].extent(1)})};
}

// Of the source only the batch's rows are read.
Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto attrs = any.as<GatherAttrs>();
  const TensorDesc read(in[0].dtype(), {attrs.rows, in[0].extent(1)});
  const std::array parts = {read, in[1], in[2]};
  return streamed(2.0 * static_cast<double>(read.elems()), parts, out);
}

std::string describe(const Attrs& any) {
  return any.as<GatherAttrs>().indexed ? "by index" : "in order";
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, Gather<uint8_t, float>>("cuda.gather.u8_f32"),
    glue::cuda_kernel<Glue, Gather<uint8_t, Bf16>>("cuda.gather.u8_bf16"),
    glue::cuda_kernel<Glue, Gather<float, float>>("cuda.gather.f32_f32"),
    glue::cuda_kernel<Glue, Gather<float, Bf16>>("cuda.gather.f32_bf16"),
    glue::cpu_kernel<Glue, Gather<uint8_t, float>>("cpu.gather.u8_f32"),
    glue::cpu_kernel<Glue, Gather<uint8_t, Bf16>>("cpu.gather.u8_bf16"),
    glue::cpu_kernel<Glue, Gather<float, float>>("cpu.gather.f32_f32"),
    glue::cpu_kernel<Glue, Gather<float, Bf16>>("cpu.gather.f32_bf16"),
    glue::reference_kernel<Glue, Gather<uint8_t, float>, Gather<uint8_t, Bf16>,
                           Gather<float, float>, Gather<float, Bf16>>("reference.gather"),
};

}  // namespace

constinit const OpDef kGather = {"gather", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
