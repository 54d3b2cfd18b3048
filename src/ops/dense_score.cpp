// dense_score: the reconstruction error of each row, straight from the last layer.
#include <array>

#include "ops/dense.h"
#include "ops/dense_shape.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::DenseScore;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DenseScoreAttrs>();
    return {.shape = glue::dense_shape(call.in[0].desc, call.in[1].desc, attrs.weight_transposed),
            .activation = attrs.activation,
            .x = input<T>(call, 0),
            .weight = input<T>(call, 1),
            .bias = attrs.has_bias ? input<kernels::Accum<T>>(call, 2) : nullptr,
            .target = input<T>(call, attrs.has_bias ? 3 : 2),
            .score = output<kernels::Accum<T>>(call, 0)};
  }
  template <class T>
  static void reference(const DenseScore<T>& p) {
    kernels::dense_score_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DenseScoreAttrs>();
  glue::expect_count(attrs.has_bias ? 4 : 3, in.size());
  const auto shape = glue::dense_shape(in[0], in[1], attrs.weight_transposed);
  if (attrs.has_bias) glue::expect_bias(shape, in[0], in[2]);
  glue::expect_desc("target", TensorDesc(in[0].dtype(), {shape.B, shape.O}), in.back());
  return {TensorDesc(glue::accum_dtype(in[0].dtype()), {shape.B})};
}

Cost cost(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto attrs = any.as<DenseScoreAttrs>();
  return streamed(glue::dense_flops(glue::dense_shape(in[0], in[1], attrs.weight_transposed)), in,
                  out);
}

std::string describe(const Attrs& any) {
  const auto attrs = any.as<DenseScoreAttrs>();
  return glue::dense_text(attrs.activation, attrs.has_bias, attrs.weight_transposed);
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, DenseScore<float>>("cuda.dense_score.f32"),
    glue::cuda_kernel<Glue, DenseScore<Bf16>>("cuda.dense_score.bf16"),
    glue::cpu_kernel<Glue, DenseScore<float>>("cpu.dense_score.f32"),
    glue::cpu_kernel<Glue, DenseScore<Bf16>>("cpu.dense_score.bf16"),
    glue::reference_kernel<Glue, DenseScore<float>, DenseScore<Bf16>, DenseScore<double>>(
        "reference.dense_score"),
};

}  // namespace

constinit const OpDef kDenseScore = {"dense_score", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
