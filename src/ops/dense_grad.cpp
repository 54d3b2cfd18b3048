// dense_data_grad: dx = dz W^T, perhaps times the activation's derivative.
// dense_weight_grad: d_weight = x^T dz, d_bias = column sums of dz.
#include "ops/dense_grad.h"

#include <array>

#include "ops/dense.h"
#include "ops/dense_shape.h"

namespace diabolo {

void emit_dense_gradients(GradBuilder& builder, const Node& node, ValueId dz, bool has_bias,
                          bool weight_transposed) {
  const ValueId x = node.in[0];
  const ValueId weight = node.in[1];
  const GradBuilder::Slot weight_slot = builder.slot(weight);
  DenseWeightGradAttrs attrs{.has_bias = has_bias,
                             .accumulates_weight = weight_slot.accumulate,
                             .weight_transposed = weight_transposed};
  std::vector<ValueId> out = {weight_slot.value};
  if (has_bias) {
    const GradBuilder::Slot bias_slot = builder.slot(node.in[2]);
    attrs.accumulates_bias = bias_slot.accumulate;
    out.push_back(bias_slot.value);
  }
  const std::array in = {x, dz};
  builder.emit_into(kDenseWeightGrad, attrs, in, out, node.name + " weight gradient");
  if (!builder.wants(x)) return;
  const auto dx =
      builder.emit(kDenseDataGrad, DenseDataGradAttrs{.weight_transposed = weight_transposed},
                   {dz, weight}, node.name + " data gradient");
  builder.contribute(x, dx[0]);
}

namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::DenseDataGrad;
using kernels::DenseShape;
using kernels::DenseWeightGrad;

// dz [B,O] and weight [I,O]: the layer's shape seen from behind.
DenseShape shape_from_dz(const TensorDesc& dz, const TensorDesc& weight, bool transposed) {
  DenseShape back = glue::dense_shape(dz, weight, !transposed);
  return {back.B, back.O, back.I, transposed};
}

struct DataGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DenseDataGradAttrs>();
    return {.shape = shape_from_dz(call.in[0].desc, call.in[1].desc, attrs.weight_transposed),
            .activation = attrs.activation,
            .dz = input<T>(call, 0),
            .weight = input<T>(call, 1),
            .saved = attrs.has_epilogue ? input<T>(call, 2) : nullptr,
            .dx = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const DenseDataGrad<T>& p) {
    kernels::dense_data_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_data(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DenseDataGradAttrs>();
  glue::expect_count(attrs.has_epilogue ? 3 : 2, in.size());
  const DenseShape shape = shape_from_dz(in[0], in[1], attrs.weight_transposed);
  const TensorDesc dx(in[0].dtype(), {shape.B, shape.I});
  if (!attrs.has_epilogue) return {dx};
  const TensorDesc& saved = in[2];
  const bool fits = saved.dtype() == dx.dtype() && saved.rank() >= 2 &&
                    saved.extent(0) == shape.B && row_elems(saved) == shape.I;
  glue::expect(fits, "saved", cat("rows like those of ", dx.text()), saved);
  return {saved};
}

Cost cost_data(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto attrs = any.as<DenseDataGradAttrs>();
  return streamed(glue::dense_flops(shape_from_dz(in[0], in[1], attrs.weight_transposed)), in, out);
}

std::string describe_data(const Attrs& any) {
  const auto attrs = any.as<DenseDataGradAttrs>();
  return cat(attrs.has_epilogue ? cat("times ", kernels::name(attrs.activation), "'") : "plain",
             attrs.weight_transposed ? ", tied" : "");
}

struct WeightGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DenseWeightGradAttrs>();
    const TensorDesc& x = call.in[0].desc;
    return {
        .shape = {x.extent(0), row_elems(x), call.in[1].desc.extent(1), attrs.weight_transposed},
        .accumulates_weight = attrs.accumulates_weight,
        .accumulates_bias = attrs.accumulates_bias,
        .x = input<T>(call, 0),
        .dz = input<T>(call, 1),
        .d_weight = output<kernels::Accum<T>>(call, 0),
        .d_bias = attrs.has_bias ? output<kernels::Accum<T>>(call, 1) : nullptr,
        .leaves_parts = call.leaves_parts,
        .is_joined = call.is_joined};
  }
  template <class T>
  static void reference(const DenseWeightGrad<T>& p) {
    kernels::dense_weight_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_weight(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<DenseWeightGradAttrs>();
  glue::expect_count(2, in.size());
  glue::expect_rows("x", in[0]);
  glue::expect(
      in[1].rank() == 2 && in[1].dtype() == in[0].dtype() && in[1].extent(0) == in[0].extent(0),
      "dz", cat(name(in[0].dtype()), "[", in[0].extent(0), ",*]"), in[1]);
  const DType accum = glue::accum_dtype(in[0].dtype());
  const int64_t I = row_elems(in[0]);
  const int64_t O = in[1].extent(1);
  const TensorDesc d_weight =
      attrs.weight_transposed ? TensorDesc(accum, {O, I}) : TensorDesc(accum, {I, O});
  if (!attrs.has_bias) return {d_weight};
  return {d_weight, TensorDesc(accum, {O})};
}

Cost cost_weight(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  const auto B = static_cast<double>(in[0].extent(0));
  const auto I = static_cast<double>(row_elems(in[0]));
  const auto O = static_cast<double>(in[1].extent(1));
  return streamed(2 * B * I * O + B * O, in, out);
}

std::string describe_weight(const Attrs& any) {
  const auto attrs = any.as<DenseWeightGradAttrs>();
  return cat(attrs.has_bias ? "with bias" : "no bias", attrs.accumulates_weight ? ", adds" : "",
             attrs.weight_transposed ? ", tied" : "");
}

constexpr std::array kWeightKernels = {
    glue::cuda_kernel<WeightGlue, DenseWeightGrad<float>>("cuda.dense_weight_grad.f32"),
    glue::cuda_kernel<WeightGlue, DenseWeightGrad<Bf16>>("cuda.dense_weight_grad.bf16"),
    glue::cpu_kernel<WeightGlue, DenseWeightGrad<float>>("cpu.dense_weight_grad.f32"),
    glue::cpu_kernel<WeightGlue, DenseWeightGrad<Bf16>>("cpu.dense_weight_grad.bf16"),
    glue::reference_kernel<WeightGlue, DenseWeightGrad<float>, DenseWeightGrad<Bf16>,
                           DenseWeightGrad<double>>("reference.dense_weight_grad"),
};
// A weight gradient comes right before the data gradient of the same dz.
template <class T>
constexpr Join kJoin = glue::cuda_join<WeightGlue, DenseWeightGrad<T>, DataGlue, DenseDataGrad<T>>(
    kWeightKernels[std::is_same_v<T, float> ? 0 : 1], false);
constexpr std::array kDataKernels = {
    glue::cublaslt_kernel<DataGlue, DenseDataGrad<float>>("cuda.dense_data_grad.cublaslt_f32"),
    glue::cublaslt_kernel<DataGlue, DenseDataGrad<Bf16>>("cuda.dense_data_grad.cublaslt_bf16"),
    glue::cuda_kernel<DataGlue, DenseDataGrad<float>>("cuda.dense_data_grad.f32", {},
                                                      &kJoin<float>),
    glue::cuda_kernel<DataGlue, DenseDataGrad<Bf16>>("cuda.dense_data_grad.bf16", {}, &kJoin<Bf16>),
    glue::cpu_kernel<DataGlue, DenseDataGrad<float>>("cpu.dense_data_grad.f32"),
    glue::cpu_kernel<DataGlue, DenseDataGrad<Bf16>>("cpu.dense_data_grad.bf16"),
    glue::reference_kernel<DataGlue, DenseDataGrad<float>, DenseDataGrad<Bf16>,
                           DenseDataGrad<double>>("reference.dense_data_grad"),
};

}  // namespace

constinit const OpDef kDenseDataGrad = {"dense_data_grad", infer_data,    nullptr,
                                        cost_data,         describe_data, kDataKernels};
constinit const OpDef kDenseWeightGrad = {"dense_weight_grad", infer_weight,    nullptr,
                                          cost_weight,         describe_weight, kWeightKernels};

}  // namespace diabolo
