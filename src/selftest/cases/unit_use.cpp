// unit_use: counts, which have no gradient.
#include "kernels/unit_use.h"

#include "ops/unit_use.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void unit_use(ReferenceCall<T>& call) {
  const TensorDesc& code = call.in_desc[0];
  kernels::unit_use_reference<T>({.B = code.extent(0),
                                  .D = row_elems(code),
                                  .limit = attrs_of<UnitUseAttrs>(call).limit,
                                  .code = call.input(0),
                                  .idle = call.input(1),
                                  .next = call.output(0),
                                  .active = call.output(1),
                                  .dead = call.output(2)});
}

void list(CaseList& list) {
  const auto add = [&](const TensorDesc& code, float limit, Fill fill, Fill idle) -> Case& {
    const TensorDesc units(accum_of(code.dtype()), {row_elems(code)});
    return list.add(kUnitUse, UnitUseAttrs{limit},
                    cat(code.text(), " limit ", limit, " ", name(fill), " ", name(idle)),
                    {{code, fill}, {units, idle}});
  };
  for (const DType dtype : kComputeTypes) {
    // Of few rows most units are idle; idle counts of kLarge lie on both sides of the limits.
    for (const int64_t D : {1, 5, 31, 64, 130, 515})
      for (const int64_t B : {1, 2, 9}) {
        add(TensorDesc(dtype, {B, D}), 3, Fill::kSparse, Fill::kIntegers).is_quick = D == 31;
        add(TensorDesc(dtype, {B, D}), 10000, Fill::kSparse, Fill::kLarge);
      }
    add(TensorDesc(dtype, {2, 67}), 4, Fill::kZeros, Fill::kZeros);
    add(TensorDesc(dtype, {2, 67}), 2, Fill::kZeros, Fill::kZeros);
    add(TensorDesc(dtype, {2, 67}), 4, Fill::kBroken, Fill::kIntegers);
    add(TensorDesc(dtype, {3, 2, 3, 7}), 2, Fill::kSparse, Fill::kIntegers);
    add(TensorDesc(dtype, {kManyRows, kManyColumns}), 4, Fill::kSparse, Fill::kIntegers).is_large =
        true;
  }
}

}  // namespace

constinit const OpCases kUnitUseCases = {&kUnitUse, DIABOLO_REFERENCE_WITHOUT_TF32(unit_use), list};

}  // namespace diabolo::selftest
