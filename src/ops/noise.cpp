// dropout and corrupt: random changes of a batch, drawn anew every step.
#include "kernels/noise.h"

#include <array>

#include "ops/glue.h"
#include "ops/grad_builder.h"
#include "ops/noise.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Bf16;
using kernels::Corrupt;
using kernels::Dropout;

std::vector<TensorDesc> infer(const Attrs&, std::span<const TensorDesc> in) {
  glue::expect_count(2, in.size());
  glue::expect_rows("x", in[0]);
  glue::expect_desc("state", step_state_desc(), in[1]);
  return {in[0]};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(2.0 * static_cast<double>(in[0].elems()), in, out);
}

struct DropoutGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<DropoutAttrs>();
    const TensorDesc& x = call.in[0].desc;
    return {.B = x.extent(0),
            .D = row_elems(x),
            .rate = attrs.rate,
            .purpose = kernels::RandomPurpose::kDropout + attrs.layer,
            .state = input<kernels::StepState>(call, 1),
            .x = input<T>(call, 0),
            .y = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const Dropout<T>& p) {
    kernels::dropout_reference(p);
  }
};

// The mask is drawn again from the same numbers, so the op is its own gradient.
void grad_dropout(GradBuilder& builder, const Node& node) {
  const auto dx = builder.emit(kDropout, node.attrs, {builder.gradient(node.out[0]), node.in[1]},
                               node.name + " gradient");
  builder.contribute(node.in[0], dx[0]);
}

std::string describe_dropout(const Attrs& any) {
  return cat("rate ", any.as<DropoutAttrs>().rate);
}

struct CorruptGlue {
  template <class P>
  static P params(const Call& call) {
    using T = typename glue::ScalarOf<P>::Type;
    const auto attrs = call.attrs.as<CorruptAttrs>();
    const TensorDesc& x = call.in[0].desc;
    return {.B = x.extent(0),
            .D = row_elems(x),
            .kind = attrs.kind,
            .amount = attrs.amount,
            .low = attrs.low,
            .high = attrs.high,
            .state = input<kernels::StepState>(call, 1),
            .x = input<T>(call, 0),
            .y = output<T>(call, 0)};
  }
  template <class T>
  static void reference(const Corrupt<T>& p) {
    kernels::corrupt_reference(p);
  }
};

std::string describe_corrupt(const Attrs& any) {
  const auto attrs = any.as<CorruptAttrs>();
  const bool is_masking = attrs.kind == kernels::Corruption::kMasking;
  return cat(is_masking ? "masking " : "gaussian ", attrs.amount);
}

constexpr std::array kInPlace = {InPlace{0, 0}};
constexpr std::array kDropoutKernels = {
    glue::cuda_kernel<DropoutGlue, Dropout<float>>("cuda.dropout.f32", kInPlace),
    glue::cuda_kernel<DropoutGlue, Dropout<Bf16>>("cuda.dropout.bf16", kInPlace),
    glue::cpu_kernel<DropoutGlue, Dropout<float>>("cpu.dropout.f32", kInPlace),
    glue::cpu_kernel<DropoutGlue, Dropout<Bf16>>("cpu.dropout.bf16", kInPlace),
    glue::reference_kernel<DropoutGlue, Dropout<float>, Dropout<Bf16>, Dropout<double>>(
        "reference.dropout", kInPlace),
};
constexpr std::array kCorruptKernels = {
    glue::cuda_kernel<CorruptGlue, Corrupt<float>>("cuda.corrupt.f32", kInPlace),
    glue::cuda_kernel<CorruptGlue, Corrupt<Bf16>>("cuda.corrupt.bf16", kInPlace),
    glue::cpu_kernel<CorruptGlue, Corrupt<float>>("cpu.corrupt.f32", kInPlace),
    glue::cpu_kernel<CorruptGlue, Corrupt<Bf16>>("cpu.corrupt.bf16", kInPlace),
    glue::reference_kernel<CorruptGlue, Corrupt<float>, Corrupt<Bf16>, Corrupt<double>>(
        "reference.corrupt", kInPlace),
};

}  // namespace

constinit const OpDef kDropout = {"dropout",        infer,          grad_dropout, cost,
                                  describe_dropout, kDropoutKernels};
constinit const OpDef kCorrupt = {"corrupt",        infer,          nullptr, cost,
                                  describe_corrupt, kCorruptKernels};

}  // namespace diabolo
