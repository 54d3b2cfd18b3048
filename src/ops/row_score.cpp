// row_score: the reconstruction error of each row and its worst features.
#include <array>

#include "kernels/score.h"
#include "ops/glue.h"
#include "ops/row_score.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::RowScore;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    using A = kernels::Accum<T>;
    const auto attrs = call.attrs.as<RowScoreAttrs>();
    const bool has_worst = attrs.worst > 0;
    const TensorDesc& y = call.in[0].desc;
    return {.B = y.extent(0),
            .D = row_elems(y),
            .M = attrs.worst,
            .y = input<T>(call, 0),
            .target = input<T>(call, 1),
            .score = output<A>(call, 0),
            .worst_index = has_worst ? output<uint32_t>(call, 1) : nullptr,
            .worst_error = has_worst ? output<A>(call, 2) : nullptr};
  }
  template <class T>
  static void reference(const RowScore<T>& p) {
    kernels::row_score_reference(p);
  }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const int64_t worst = any.as<RowScoreAttrs>().worst;
  glue::expect_count(2, in.size());
  glue::expect_rows("y", in[0]);
  glue::expect_desc("target", in[0], in[1]);
  const int64_t most = std::min<int64_t>(kernels::kMaxWorst, row_elems(in[0]));
  glue::expect(worst >= 0 && worst <= most, "y",
               cat("at least ", worst,
                   " features, of which at "
                   "most ",
                   kernels::kMaxWorst, " can be named"),
               in[0]);
  const DType accum = glue::accum_dtype(in[0].dtype());
  const int64_t B = in[0].extent(0);
  if (worst == 0) return {TensorDesc(accum, {B})};
  return {TensorDesc(accum, {B}), TensorDesc(DType::kU32, {B, worst}),
          TensorDesc(accum, {B, worst})};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(3.0 * static_cast<double>(in[0].elems()), in, out);
}

std::string describe(const Attrs& any) {
  const int64_t worst = any.as<RowScoreAttrs>().worst;
  return worst ? cat("worst ", worst) : "";
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, RowScore<float>>("cuda.row_score.f32"),
    glue::cuda_kernel<Glue, RowScore<Bf16>>("cuda.row_score.bf16"),
    glue::cpu_kernel<Glue, RowScore<float>>("cpu.row_score.f32"),
    glue::cpu_kernel<Glue, RowScore<Bf16>>("cpu.row_score.bf16"),
    glue::reference_kernel<Glue, RowScore<float>, RowScore<Bf16>, RowScore<double>>(
        "reference.row_score"),
};

}  // namespace

constinit const OpDef kRowScore = {"row_score", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
