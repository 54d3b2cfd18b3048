// gaussian_kl and its gradient.
#include "ops/gaussian_kl.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void gaussian_kl(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<GaussianKlAttrs>(call);
  kernels::gaussian_kl_reference<T>({.n = call.in_desc[0].elems(),
                                     .scale = attrs.scale,
                                     .low = attrs.low,
                                     .high = attrs.high,
                                     .mean = call.input(0),
                                     .log_variance = call.input(1),
                                     .kl = call.output(0)});
}

template <class T>
void gaussian_kl_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<GaussianKlAttrs>(call);
  kernels::gaussian_kl_grad_reference<T>({.n = call.in_desc[0].elems(),
                                          .scale = attrs.scale,
                                          .low = attrs.low,
                                          .high = attrs.high,
                                          .mean = call.input(0),
                                          .log_variance = call.input(1),
                                          .g = call.input(2),
                                          .d_mean = call.output(0),
                                          .d_log_variance = call.output(1)});
}

// Calls add(attributes, shape, fill of both). Log variances of kLarge lie outside of the range;
// narrow ranges have them on both sides, among kIntegers on its ends.
template <class Add>
void for_each_call(const Add& add) {
  const GaussianKlAttrs usual{.scale = 0.25f};
  const GaussianKlAttrs narrow{.scale = 0.25f, .low = -0.5f, .high = 0.25f};
  for (const DType dtype : kComputeTypes) {
    for (const int64_t length : kLengths) add(usual, TensorDesc(dtype, {length}), Fill::kUniform);
    add(usual, TensorDesc(dtype, {8195}), Fill::kUniform);
    add(usual, TensorDesc(dtype, {kManyElems}), Fill::kUniform);
    add(narrow, TensorDesc(dtype, {7, 20}), Fill::kUniform);
    add({.scale = 0.25f, .low = -1, .high = 2}, TensorDesc(dtype, {31, 33}), Fill::kIntegers);
    for (const Fill fill : {Fill::kLarge, Fill::kTiny, Fill::kSparse, Fill::kZeros, Fill::kBroken})
      add(usual, TensorDesc(dtype, {3, 2, 5, 7}), fill);
  }
}

std::string text_of(const GaussianKlAttrs& attrs, const TensorDesc& desc, Fill fill) {
  return cat(desc.text(), " in ", attrs.low, " to ", attrs.high, " ", name(fill));
}

void list_value(CaseList& list) {
  for_each_call([&](const GaussianKlAttrs& attrs, const TensorDesc& desc, Fill fill) {
    mark_by_length(
        list.add(kGaussianKl, attrs, text_of(attrs, desc, fill), {{desc, fill}, {desc, fill}}));
  });
}

void list_grad(CaseList& list) {
  for_each_call([&](const GaussianKlAttrs& attrs, const TensorDesc& desc, Fill fill) {
    const TensorDesc one(accum_of(desc.dtype()), {1});
    mark_by_length(list.add(kGaussianKlGrad, attrs, text_of(attrs, desc, fill),
                            {{desc, fill}, {desc, fill}, {one}}));
  });
}

}  // namespace

constinit const OpCases kGaussianKlCases = {
    &kGaussianKl, DIABOLO_REFERENCE_WITHOUT_TF32(gaussian_kl), list_value, gaussian_kl<Complex>};
constinit const OpCases kGaussianKlGradCases = {
    &kGaussianKlGrad, DIABOLO_REFERENCE_WITHOUT_TF32(gaussian_kl_grad), list_grad};

}  // namespace diabolo::selftest
