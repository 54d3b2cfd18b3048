// dropout and corrupt.
#include "ops/noise.h"
#include "ops/training.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

using kernels::Corruption;

template <class T>
void dropout(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<DropoutAttrs>(call);
  const TensorDesc& x = call.in_desc[0];
  kernels::dropout_reference<T>({.B = x.extent(0),
                                 .D = row_elems(x),
                                 .rate = attrs.rate,
                                 .purpose = kernels::RandomPurpose::kDropout + attrs.layer,
                                 .state = call.template raw_input<kernels::StepState>(1),
                                 .x = call.input(0),
                                 .y = call.output(0)});
}

template <class T>
void corrupt(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<CorruptAttrs>(call);
  const TensorDesc& x = call.in_desc[0];
  kernels::corrupt_reference<T>({.B = x.extent(0),
                                 .D = row_elems(x),
                                 .kind = attrs.kind,
                                 .amount = attrs.amount,
                                 .low = attrs.low,
                                 .high = attrs.high,
                                 .state = call.template raw_input<kernels::StepState>(1),
                                 .x = call.input(0),
                                 .y = call.output(0)});
  if (attrs.kind == Corruption::kGaussian) call.slack = attrs.amount * kNormalError;
}

struct Rows {
  int64_t B, D;
};
constexpr Rows kRows[] = {{1, 1}, {3, 5}, {7, 31}, {16, 64}, {17, 65}, {2, 127}, {5, 130}, {64, 3}};

std::vector<Operand> operands(DType dtype, const Rows& rows, Fill fill) {
  return {{TensorDesc(dtype, {rows.B, rows.D}), fill}, {step_state_desc(), Fill::kState}};
}

void list_dropout(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const Rows& rows : kRows) {
      for (const float rate : {0.0f, 0.25f, 0.9f}) {
        const Fill fill = rate == 0.25f ? Fill::kSparse : Fill::kUniform;
        list.add(kDropout, DropoutAttrs{rate, 3},
                 cat(rate, " ", name(dtype), " ", rows.B, "x", rows.D), operands(dtype, rows, fill))
            .is_quick = rows.B == 7;
      }
    }
    list.add(kDropout, DropoutAttrs{0.5f, 0}, cat("0.5 ", name(dtype), " many"),
             operands(dtype, {kManyRows, kManyColumns}, Fill::kUniform))
        .is_large = true;
    list.add(kDropout, DropoutAttrs{0.5f, 0}, cat("0.5 ", name(dtype), " 9x33 integers"),
             operands(dtype, {9, 33}, Fill::kIntegers));
    list.add(kDropout, DropoutAttrs{0.5f, 1}, cat("0.5 ", name(dtype), " 5x3x2x7"),
             {{TensorDesc(dtype, {5, 3, 2, 7})}, {step_state_desc(), Fill::kState}});
    list.add(kDropout, DropoutAttrs{0.5f, 1}, cat("0.5 ", name(dtype), " 9x33 large"),
             operands(dtype, {9, 33}, Fill::kLarge));
  }
}

void list_corrupt(CaseList& list) {
  const CorruptAttrs all[] = {{Corruption::kGaussian, 0.3f},
                              {Corruption::kGaussian, 0.5f, 0, 1},
                              {Corruption::kMasking, 0.3f},
                              {Corruption::kMasking, 0.0f}};
  for (const DType dtype : kComputeTypes) {
    list.add(kCorrupt, all[2], cat("masking 0.3 ", name(dtype), " 5x3x2x7"),
             {{TensorDesc(dtype, {5, 3, 2, 7})}, {step_state_desc(), Fill::kState}});
    for (const CorruptAttrs& attrs : {all[0], all[2]})
      list.add(kCorrupt, attrs,
               cat(attrs.kind == Corruption::kGaussian ? "gaussian " : "masking ", name(dtype),
                   " many"),
               operands(dtype, {kManyRows, kManyColumns}, Fill::kUniform))
          .is_large = true;
    for (const CorruptAttrs& attrs : all) {
      for (const Rows& rows : kRows) {
        const bool is_clamped = attrs.high == 1;
        list.add(kCorrupt, attrs,
                 cat(attrs.kind == Corruption::kGaussian ? "gaussian " : "masking ", attrs.amount,
                     is_clamped ? " clamped " : " ", name(dtype), " ", rows.B, "x", rows.D),
                 operands(dtype, rows, is_clamped ? Fill::kUnit : Fill::kUniform))
            .is_quick = rows.B == 7;
      }
    }
  }
}

}  // namespace

constinit const OpCases kDropoutCases = {&kDropout, DIABOLO_REFERENCE_WITHOUT_TF32(dropout),
                                         list_dropout, dropout<Complex>};
constinit const OpCases kCorruptCases = {&kCorrupt, DIABOLO_REFERENCE_WITHOUT_TF32(corrupt),
                                         list_corrupt};

}  // namespace diabolo::selftest
