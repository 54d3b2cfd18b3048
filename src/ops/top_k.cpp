// top_k: the k largest numbers of each row, the others 0; and its gradient.
#include "ops/top_k.h"

#include <array>

#include "kernels/top_k.h"
#include "ops/glue.h"
#include "ops/grad_builder.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::TopK;
using kernels::TopKGrad;

constexpr int64_t kMostColumns = int64_t{1} << 24;  // counted exactly in f32

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const TensorDesc& x = call.in[0].desc;
    return {.B = x.extent(0),
            .D = row_elems(x),
            .k = call.attrs.as<TopKAttrs>().k,
            .x = input<T>(call, 0),
            .y = output<T>(call, 0),
            .last = output<uint32_t>(call, 1)};
  }
  template <class T>
  static void reference(const TopK<T>& p) {
    kernels::top_k_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const int64_t k = any.as<TopKAttrs>().k;
  glue::expect_count(1, in.size());
  glue::expect_rows("x", in[0]);
  glue::expect(k >= 1 && k <= row_elems(in[0]) && row_elems(in[0]) <= kMostColumns, "x",
               cat("rows of at least ", k, " numbers, at most ", kMostColumns), in[0]);
  return {in[0], TensorDesc(DType::kU32, {in[0].extent(0)})};
}

void grad(GradBuilder& builder, const Node& node) {
  const auto dx = builder.emit(kTopKGrad, TopKGradAttrs{},
                               {node.in[0], builder.gradient(node.out[0]), node.out[1]},
                               node.name + " gradient");
  builder.contribute(node.in[0], dx[0]);
}

struct GradGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const TensorDesc& x = call.in[0].desc;
    return {.B = x.extent(0),
            .D = row_elems(x),
            .x = input<T>(call, 0),
            .dy = input<T>(call, 1),
            .last = input<uint32_t>(call, 2),
            .dx = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const TopKGrad<T>& p) {
    kernels::top_k_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_grad(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(3, in.size());
  glue::expect_rows("x", in[0]);
  glue::expect_desc("dy", in[0], in[1]);
  glue::expect_desc("last", TensorDesc(DType::kU32, {in[0].extent(0)}), in[2]);
  return {in[0]};
}

// The row is read for each of the bytes of a number, mostly from cache.
Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(8.0 * static_cast<double>(in[0].elems()), in, out);
}
Cost cost_grad(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  return cat("k ", any.as<TopKAttrs>().k);
}
std::string describe_grad(const Attrs&) {
  return "";
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, TopK<float>>("cuda.top_k.f32"),
    glue::cuda_kernel<Glue, TopK<Bf16>>("cuda.top_k.bf16"),
    glue::cpu_kernel<Glue, TopK<float>>("cpu.top_k.f32"),
    glue::cpu_kernel<Glue, TopK<Bf16>>("cpu.top_k.bf16"),
    glue::reference_kernel<Glue, TopK<float>, TopK<Bf16>, TopK<double>>("reference.top_k"),
};
constexpr std::array kInPlace = {InPlace{1, 0}};
constexpr std::array kGradKernels = {
    glue::cuda_kernel<GradGlue, TopKGrad<float>>("cuda.top_k_grad.f32", kInPlace),
    glue::cuda_kernel<GradGlue, TopKGrad<Bf16>>("cuda.top_k_grad.bf16", kInPlace),
    glue::cpu_kernel<GradGlue, TopKGrad<float>>("cpu.top_k_grad.f32", kInPlace),
    glue::cpu_kernel<GradGlue, TopKGrad<Bf16>>("cpu.top_k_grad.bf16", kInPlace),
    glue::reference_kernel<GradGlue, TopKGrad<float>, TopKGrad<Bf16>, TopKGrad<double>>(
        "reference.top_k_grad", kInPlace),
};

}  // namespace

constinit const OpDef kTopK = {"top_k", infer, grad, cost, describe, kKernels};
constinit const OpDef kTopKGrad = {"top_k_grad", infer_grad,    nullptr,
                                   cost_grad,    describe_grad, kGradKernels};

}  // namespace diabolo
