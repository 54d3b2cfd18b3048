// top_k and its gradient: no arithmetic, so every kernel gives the reference's bits.
#include "kernels/top_k.h"

#include "ops/top_k.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void top_k(ReferenceCall<T>& call) {
  const TensorDesc& x = call.in_desc[0];
  kernels::top_k_reference<T>({.B = x.extent(0),
                               .D = row_elems(x),
                               .k = attrs_of<TopKAttrs>(call).k,
                               .x = call.input(0),
                               .y = call.output(0),
                               .last = call.template raw_output<uint32_t>(1)});
}

template <class T>
void top_k_grad(ReferenceCall<T>& call) {
  const TensorDesc& x = call.in_desc[0];
  kernels::top_k_grad_reference<T>({.B = x.extent(0),
                                    .D = row_elems(x),
                                    .x = call.input(0),
                                    .dy = call.input(1),
                                    .last = call.template raw_input<uint32_t>(2),
                                    .dx = call.output(0)});
}

struct Rows {
  int64_t B, D, k;
};
// One, all, and few of a row, around a quad and a block's threads.
constexpr Rows kRows[] = {{1, 1, 1},     {3, 5, 2},    {7, 31, 31},  {16, 64, 1},
                          {5, 130, 129}, {2, 257, 16}, {33, 515, 9}, {129, 20, 4}};

void list_value(CaseList& list) {
  const auto add = [&](const TensorDesc& desc, int64_t k, Fill fill) -> Case& {
    Case& added =
        list.add(kTopK, TopKAttrs{k}, cat(desc.text(), " k ", k, " ", name(fill)), {{desc, fill}});
    added.has_rows = {true};
    return added;
  };
  for (const DType dtype : kComputeTypes) {
    for (const Rows& rows : kRows)
      add(TensorDesc(dtype, {rows.B, rows.D}), rows.k, Fill::kUniform).is_quick = rows.B == 7;
    // Ties, zeros of both signs, NaN and infinities.
    for (const Fill fill : {Fill::kIntegers, Fill::kSparse, Fill::kRankings, Fill::kZeros,
                            Fill::kBroken, Fill::kLarge, Fill::kTiny, Fill::kNotANumber})
      add(TensorDesc(dtype, {9, 67}), 13, fill).is_quick = fill == Fill::kIntegers;
    add(TensorDesc(dtype, {5, 3, 2, 7}), 4, Fill::kUniform);
    add(TensorDesc(dtype, {kManyRows, kManyColumns}), 5, Fill::kIntegers).is_large = true;
  }
}

// The column of the k-th is any that a row has.
void list_grad(CaseList& list) {
  for (const DType dtype : kComputeTypes)
    for (const Fill fill : {Fill::kUniform, Fill::kIntegers, Fill::kSparse, Fill::kBroken})
      for (const int64_t D : {1, 5, 31, 64, 130}) {
        const TensorDesc desc(dtype, {D, D});
        list.add(kTopKGrad, TopKGradAttrs{}, cat(desc.text(), " ", name(fill)),
                 {{desc, fill}, {desc}, {TensorDesc(DType::kU32, {D}), Fill::kPermutation}})
            .is_quick = D == 31 && fill == Fill::kIntegers;
      }
}

}  // namespace

constinit const OpCases kTopKCases = {&kTopK, DIABOLO_REFERENCE_WITHOUT_TF32(top_k), list_value,
                                      top_k<Complex>};
constinit const OpCases kTopKGradCases = {&kTopKGrad, DIABOLO_REFERENCE_WITHOUT_TF32(top_k_grad),
                                          list_grad};

}  // namespace diabolo::selftest
