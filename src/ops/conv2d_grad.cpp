// conv2d_data_grad: dx of a convolution, perhaps times the activation's derivative.
// conv2d_weight_grad: d_weight, and d_bias as the sums of dz over all but its channels.
#include <array>

#include "ops/conv2d_operands.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::Conv2dDataGrad;
using kernels::Conv2dShape;
using kernels::Conv2dWeightGrad;

Conv2dShape shape_from_dz(const Attrs& any, const TensorDesc& dz, const TensorDesc& weight) {
  return glue::conv2d_shape_of_output(any.as<Conv2dDataGradAttrs>().geometry, dz, weight);
}

struct DataGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<Conv2dDataGradAttrs>();
    return {.shape = shape_from_dz(call.attrs, call.in[0].desc, call.in[1].desc),
            .activation = attrs.activation,
            .dz = input<T>(call, 0),
            .weight = input<T>(call, 1),
            .saved = attrs.has_epilogue ? input<T>(call, 2) : nullptr,
            .dx = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const Conv2dDataGrad<T>& p) {
    kernels::conv2d_data_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_data(const Attrs& any, std::span<const TensorDesc> in) {
  const auto attrs = any.as<Conv2dDataGradAttrs>();
  glue::expect_count(attrs.has_epilogue ? 3 : 2, in.size());
  const auto side = kernels::conv2d_input(shape_from_dz(any, in[0], in[1]));
  const TensorDesc dx = glue::desc_of(in[0].dtype(), side);
  if (!attrs.has_epilogue) return {dx};
  const TensorDesc& saved = in[2];
  const bool fits = saved.dtype() == dx.dtype() && saved.rank() >= 2 && saved.extent(0) == side.B &&
                    row_elems(saved) == row_elems(dx);
  glue::expect(fits, "saved", cat("rows like those of ", dx.text()), saved);
  return {saved};
}

Cost cost_data(const Attrs& any, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(glue::conv2d_flops(shape_from_dz(any, in[0], in[1])), in, out);
}

std::string describe_data(const Attrs& any) {
  const auto attrs = any.as<Conv2dDataGradAttrs>();
  return cat(attrs.has_epilogue ? cat("times ", kernels::name(attrs.activation), "', ") : "",
             glue::conv2d_text(attrs.geometry));
}

Conv2dShape shape_from_sides(const Attrs& any, const TensorDesc& x, const TensorDesc& dz) {
  const auto attrs = any.as<Conv2dWeightGradAttrs>();
  const bool is_transposed = attrs.geometry.is_transposed;
  return glue::conv2d_shape_of_sides(attrs.geometry, attrs.kernel, is_transposed ? dz : x,
                                     is_transposed ? x : dz);
}

struct WeightGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<Conv2dWeightGradAttrs>();
    return {.shape = shape_from_sides(call.attrs, call.in[0].desc, call.in[1].desc),
            .accumulates_weight = attrs.accumulates_weight,
            .accumulates_bias = attrs.accumulates_bias,
            .x = input<T>(call, 0),
            .dz = input<T>(call, 1),
            .d_weight = output<kernels::Accum<T>>(call, 0),
            .d_bias = attrs.has_bias ? output<kernels::Accum<T>>(call, 1) : nullptr};
  }
  template <class T>
  static void reference(const Conv2dWeightGrad<T>& p) {
    kernels::conv2d_weight_grad_reference(p);
  }
};

std::vector<TensorDesc> infer_weight(const Attrs& any, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  const Conv2dShape s = shape_from_sides(any, in[0], in[1]);
  const DType accum = glue::accum_dtype(in[0].dtype());
  const TensorDesc d_weight(accum, {s.h.kernel, s.w.kernel, s.group_in(), s.O});
  if (!any.as<Conv2dWeightGradAttrs>().has_bias) return {d_weight};
  return {d_weight, TensorDesc(accum, {kernels::conv2d_output(s).channels})};
}

Cost cost_weight(const Attrs& any, std::span<const TensorDesc> in,
                 std::span<const TensorDesc> out) {
  const double sums = any.as<Conv2dWeightGradAttrs>().has_bias ? 1 : 0;
  return streamed(glue::conv2d_flops(shape_from_sides(any, in[0], in[1])) +
                      sums * static_cast<double>(in[1].elems()),
                  in, out);
}

std::string describe_weight(const Attrs& any) {
  const auto attrs = any.as<Conv2dWeightGradAttrs>();
  return cat(attrs.has_bias ? "with bias, " : "no bias, ", glue::conv2d_text(attrs.geometry),
             attrs.accumulates_weight ? ", adds" : "");
}

constexpr std::array kDataKernels = {
    glue::cuda_kernel<DataGlue, Conv2dDataGrad<float>>("cuda.conv2d_data_grad.f32"),
    glue::cuda_kernel<DataGlue, Conv2dDataGrad<Bf16>>("cuda.conv2d_data_grad.bf16"),
    glue::cpu_kernel<DataGlue, Conv2dDataGrad<float>>("cpu.conv2d_data_grad.f32"),
    glue::cpu_kernel<DataGlue, Conv2dDataGrad<Bf16>>("cpu.conv2d_data_grad.bf16"),
    glue::reference_kernel<DataGlue, Conv2dDataGrad<float>, Conv2dDataGrad<Bf16>,
                           Conv2dDataGrad<double>>("reference.conv2d_data_grad"),
};
constexpr std::array kWeightKernels = {
    glue::cuda_kernel<WeightGlue, Conv2dWeightGrad<float>>("cuda.conv2d_weight_grad.f32"),
    glue::cuda_kernel<WeightGlue, Conv2dWeightGrad<Bf16>>("cuda.conv2d_weight_grad.bf16"),
    glue::cpu_kernel<WeightGlue, Conv2dWeightGrad<float>>("cpu.conv2d_weight_grad.f32"),
    glue::cpu_kernel<WeightGlue, Conv2dWeightGrad<Bf16>>("cpu.conv2d_weight_grad.bf16"),
    glue::reference_kernel<WeightGlue, Conv2dWeightGrad<float>, Conv2dWeightGrad<Bf16>,
                           Conv2dWeightGrad<double>>("reference.conv2d_weight_grad"),
};

}  // namespace

constinit const OpDef kConv2dDataGrad = {"conv2d_data_grad", infer_data,    nullptr,
                                         cost_data,          describe_data, kDataKernels};
constinit const OpDef kConv2dWeightGrad = {"conv2d_weight_grad", infer_weight,    nullptr,
                                           cost_weight,          describe_weight, kWeightKernels};

}  // namespace diabolo
