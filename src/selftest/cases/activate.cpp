// activate.
#include "kernels/activate.h"

#include "ops/activate.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;

template <class T>
void activate(ReferenceCall<T>& call) {
  kernels::activate_reference<T>({.n = call.in_desc[0].elems(),
                                  .activation = attrs_of<ActivateAttrs>(call).activation,
                                  .z = call.input(0),
                                  .y = call.output(0)});
}

void list(CaseList& list) {
  const auto add = [&](Activation activation, const TensorDesc& desc, Fill fill) -> Case& {
    return list.add(kActivate, ActivateAttrs{activation},
                    cat(kernels::name(activation), " ", desc.text(), " ", name(fill)),
                    {{desc, fill}});
  };
  for (const DType dtype : kComputeTypes) {
    add(Activation::kGelu, TensorDesc(dtype, {kManyElems}), Fill::kUniform).is_large = true;
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      const auto activation = static_cast<Activation>(a);
      for (const int64_t length : kLengths)
        add(activation, TensorDesc(dtype, {length}),
            length % 3 == 1 ? Fill::kSparse : Fill::kUniform)
            .is_quick = length == 129;
      for (const Fill fill : {Fill::kLarge, Fill::kTiny, Fill::kIntegers, Fill::kNotANumber})
        add(activation, TensorDesc(dtype, {3, 11}), fill);
    }
  }
}

}  // namespace

constinit const OpCases kActivateCases = {&kActivate, DIABOLO_REFERENCE_WITHOUT_TF32(activate),
                                          list, activate<Complex>};

}  // namespace diabolo::selftest
