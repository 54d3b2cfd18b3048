// unit_use: which units of sparse codes are used.
#include "ops/unit_use.h"

#include <array>

#include "kernels/unit_use.h"
#include "ops/glue.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::UnitUse;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    using A = kernels::Accum<T>;
    return {.B = call.in[0].desc.extent(0),
            .D = row_elems(call.in[0].desc),
            .limit = call.attrs.as<UnitUseAttrs>().limit,
            .code = input<T>(call, 0),
            .idle = input<A>(call, 1),
            .next = output<A>(call, 0),
            .active = output<A>(call, 1),
            .dead = output<A>(call, 2)};
  }
  template <class T>
  static void reference(const UnitUse<T>& p) {
    kernels::unit_use_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  glue::expect_rows("code", in[0]);
  const DType accum = glue::accum_dtype(in[0].dtype());
  glue::expect_desc("idle", TensorDesc(accum, {row_elems(in[0])}), in[1]);
  return {in[1], TensorDesc(accum, {1}), TensorDesc(accum, {1})};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  return cat("dead after ", any.as<UnitUseAttrs>().limit, " rows");
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, UnitUse<float>>("cuda.unit_use.f32"),
    glue::cuda_kernel<Glue, UnitUse<Bf16>>("cuda.unit_use.bf16"),
    glue::cpu_kernel<Glue, UnitUse<float>>("cpu.unit_use.f32"),
    glue::cpu_kernel<Glue, UnitUse<Bf16>>("cpu.unit_use.bf16"),
    glue::reference_kernel<Glue, UnitUse<float>, UnitUse<Bf16>, UnitUse<double>>(
        "reference.unit_use"),
};

}  // namespace

constinit const OpDef kUnitUse = {"unit_use", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
