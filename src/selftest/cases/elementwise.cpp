// activation_grad, loss, add.
#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/loss.h"
#include "ops/activation_grad.h"
#include "ops/add.h"
#include "ops/loss.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;
using kernels::Loss;

template <class T>
void activation_grad(ReferenceCall<T>& call) {
  kernels::activation_grad_reference<T>(
      {.n = call.in_desc[0].elems(),
       .activation = attrs_of<ActivationGradAttrs>(call).activation,
       .dy = call.input(0),
       .saved = call.input(1),
       .dz = call.output(0)});
}

template <class T>
void loss(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<LossAttrs>(call);
  kernels::loss_reference<T>({.n = call.in_desc[0].elems(),
                              .activation = attrs.activation,
                              .kind = attrs.loss,
                              .scale = attrs.scale,
                              .z = call.input(0),
                              .target = call.input(1),
                              .dz = attrs.with_gradient ? call.output(1) : nullptr,
                              .loss = call.output(0)});
}

template <class T>
void add(ReferenceCall<T>& call) {
  kernels::add_reference<T>(
      {.n = call.in_desc[0].elems(), .a = call.input(0), .b = call.input(1), .y = call.output(0)});
}

std::string text_of(const std::string& what, const TensorDesc& desc, Fill fill) {
  return cat(what, what.empty() ? "" : " ", desc.text(), " ", name(fill));
}

void list_activation_grad(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    const TensorDesc many(dtype, {kManyElems});
    list.add(kActivationGrad, ActivationGradAttrs{Activation::kGelu}, cat("gelu ", many.text()),
             {{many}, {many}})
        .is_large = true;
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      const auto activation = static_cast<Activation>(a);
      for (const int64_t length : kLengths) {
        const Fill fill = length % 3 == 1 ? Fill::kSparse : Fill::kUniform;
        const TensorDesc desc(dtype, {length});
        list.add(kActivationGrad, ActivationGradAttrs{activation},
                 text_of(kernels::name(activation), desc, fill), {{desc, fill}, {desc, fill}})
            .is_quick = length == 129;
      }
      for (const Fill fill : {Fill::kLarge, Fill::kTiny, Fill::kIntegers}) {
        const TensorDesc desc(dtype, {3, 11});
        list.add(kActivationGrad, ActivationGradAttrs{activation},
                 text_of(kernels::name(activation), desc, fill), {{desc, fill}, {desc, fill}});
      }
    }
  }
}

Case& add_loss(CaseList& list, const LossAttrs& attrs, const TensorDesc& desc, Fill fill,
               Fill target) {
  const std::string what = cat(kernels::name(attrs.loss), " ", kernels::name(attrs.activation),
                               attrs.with_gradient ? "" : " value_only");
  return list.add(kLoss, attrs, text_of(what, desc, fill), {{desc, fill}, {desc, target}});
}

void list_loss(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (int a = 0; a < kernels::kActivationCount; ++a) {
      for (int l = 0; l < kernels::kLossCount; ++l) {
        LossAttrs attrs{
            .activation = static_cast<Activation>(a), .loss = static_cast<Loss>(l), .scale = 2};
        add_loss(list, attrs, TensorDesc(dtype, {9, 31}), Fill::kUniform, Fill::kUnit).is_quick =
            true;
        add_loss(list, attrs, TensorDesc(dtype, {257}), Fill::kSparse, Fill::kBinary);
        add_loss(list, attrs, TensorDesc(dtype, {65}), Fill::kLarge, Fill::kUnit);
        attrs.with_gradient = false;
        add_loss(list, attrs, TensorDesc(dtype, {65}), Fill::kTiny, Fill::kUnit);
      }
    }
    for (const int64_t length : kLengths) {
      const TensorDesc desc(dtype, {length});
      add_loss(list, {.loss = Loss::kMse}, desc, Fill::kUniform, Fill::kUniform);
      add_loss(list, {.loss = Loss::kBce}, desc, Fill::kUniform, Fill::kBinary);
    }
    add_loss(list, {.loss = Loss::kBce}, TensorDesc(dtype, {kManyElems}), Fill::kUniform,
             Fill::kUnit)
        .is_large = true;
    add_loss(list, {.loss = Loss::kMse}, TensorDesc(dtype, {16, 64}), Fill::kIntegers,
             Fill::kIntegers);
    add_loss(list, {.loss = Loss::kL1}, TensorDesc(dtype, {8, 128}), Fill::kIntegers,
             Fill::kIntegers);
    add_loss(list, {.loss = Loss::kHuber}, TensorDesc(dtype, {8, 128}), Fill::kIntegers,
             Fill::kBinary);
  }
}

void list_add(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    for (const int64_t length : kLengths) {
      const TensorDesc desc(dtype, {length});
      list.add(kAdd, AddAttrs{}, text_of("", desc, Fill::kUniform), {{desc}, {desc}}).is_quick =
          true;
    }
    const TensorDesc many(dtype, {kManyElems});
    list.add(kAdd, AddAttrs{}, text_of("", many, Fill::kUniform), {{many}, {many}}).is_large = true;
    for (const Fill fill : {Fill::kIntegers, Fill::kLarge, Fill::kTiny, Fill::kSparse}) {
      const TensorDesc desc(dtype, {5, 13});
      list.add(kAdd, AddAttrs{}, text_of("", desc, fill), {{desc, fill}, {desc, fill}});
    }
  }
}

}  // namespace

constinit const OpCases kActivationGradCases = {
    &kActivationGrad, DIABOLO_REFERENCE_WITHOUT_TF32(activation_grad), list_activation_grad};
constinit const OpCases kLossCases = {&kLoss, DIABOLO_REFERENCE_WITHOUT_TF32(loss), list_loss,
                                      loss<Complex>};
constinit const OpCases kAddCases = {&kAdd, DIABOLO_REFERENCE_WITHOUT_TF32(add), list_add,
                                     add<Complex>};

}  // namespace diabolo::selftest
