// add: the sum of two tensors of one shape.
#include "kernels/add.h"

#include <array>

#include "ops/add.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Add;
using kernels::Bf16;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    return {.n = call.in[0].desc.elems(),
            .a = input<T>(call, 0),
            .b = input<T>(call, 1),
            .y = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const Add<T>& p) {
    kernels::add_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  glue::expect_compute_type("a", in[0]);
  glue::expect_desc("b", in[0], in[1]);
  return {in[0]};
}

void grad(GradBuilder& builder, const Node& node) {
  const ValueId dy = builder.gradient(node.out[0]);
  for (const ValueId in : node.in) {
    if (builder.wants(in)) builder.contribute(in, dy);
  }
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs&) {
  return "";
}

constexpr std::array kInPlace = {InPlace{0, 0}};
constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, Add<float>>("cuda.add.f32", kInPlace),
    glue::cuda_kernel<Glue, Add<Bf16>>("cuda.add.bf16", kInPlace),
    glue::cpu_kernel<Glue, Add<float>>("cpu.add.f32", kInPlace),
    glue::cpu_kernel<Glue, Add<Bf16>>("cpu.add.bf16", kInPlace),
    glue::reference_kernel<Glue, Add<float>, Add<Bf16>, Add<double>>("reference.add", kInPlace),
};

}  // namespace

constinit const OpDef kAdd = {"add", infer, grad, cost, describe, kKernels};

}  // namespace diabolo
