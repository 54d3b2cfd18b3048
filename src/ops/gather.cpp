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
    const size_t order = attrs.scaled ? 3 : 1;
    return {.N = source.extent(0),
            .B = attrs.rows,
            .D = row_elems(source),
            .source = input<Source>(call, 0),
            .order = attrs.indexed ? input<uint32_t>(call, order) : nullptr,
            .state = attrs.indexed ? input<kernels::StepState>(call, order + 1) : nullptr,
            .shift = attrs.scaled ? input<kernels::Accum<T>>(call, 1) : nullptr,
            .scale = attrs.scaled ? input<kernels::Accum<T>>(call, 2) : nullptr,
            .out = output<T>(call, 0)};
  }
  template <class Source, class T>
  static void reference(const Gather<Source, T>& p) {
    kernels::gather_reference(p);
  }
};

// [rows, …] of the source.
TensorDesc batch_desc(DType dtype, int64_t rows, const TensorDesc& source) {
  std::vector<int64_t> extents(source.extents().begin(), source.extents().end());
  extents[0] = rows;
  return TensorDesc(dtype, extents);
}

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<GatherAttrs>();
  const size_t order = attrs.scaled ? 3 : 1;
  glue::expect_count(attrs.indexed ? order + 2 : order, in.size());
  const bool is_known = in[0].dtype() == DType::kU8 || in[0].dtype() == DType::kF32;
  glue::expect(is_known && in[0].rank() >= 2, "source", "u8[*,…] or f32[*,…]", in[0]);
  if (attrs.scaled) {
    const TensorDesc per_feature(DType::kF32, {row_elems(in[0])});
    glue::expect_desc("shift", per_feature, in[1]);
    glue::expect_desc("scale", per_feature, in[2]);
  }
  if (attrs.indexed) {
    glue::expect_desc("order", TensorDesc(DType::kU32, {in[0].extent(0)}), in[order]);
    glue::expect_desc("state", step_state_desc(), in[order + 1]);
  } else {
    glue::expect(attrs.rows <= in[0].extent(0), "source", cat("at least ", attrs.rows, " rows"),
                 in[0]);
  }
  return {batch_desc(attrs.dtype, attrs.rows, in[0])};
}

// Of the source only the batch's rows are read.
Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto attrs = any.as<GatherAttrs>();
  std::vector<TensorDesc> read = {batch_desc(in[0].dtype(), attrs.rows, in[0])};
  if (attrs.scaled) read.insert(read.end(), {in[1], in[2]});
  const double flops = attrs.scaled ? 2.0 * static_cast<double>(read[0].elems()) : 0;
  return streamed(flops, read, out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<GatherAttrs>();
  return cat(attrs.indexed ? "by index" : "in order", attrs.scaled ? "" : ", not scaled");
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
