#include "kernels/cpu/blocks.h"

namespace diabolo::kernels::cpu {
namespace {

template <Isa isa, class Act>
void forward_loop(const float* z, float* y, int64_t n) {
  on_isa(isa, [=] {
    DIABOLO_IVDEP
    for (int64_t k = 0; k < n; ++k) y[k] = Act::forward(z[k]);
  });
}

template <Isa isa, class Act>
void slope_loop(const float* saved, float* d, int64_t n) {
  on_isa(isa, [=] {
    DIABOLO_IVDEP
    for (int64_t k = 0; k < n; ++k) d[k] = d[k] * Act::derivative(saved[k]);
  });
}

template <Isa isa, class Element>
void loss_loop(const float* z, const float* target, float* value, float* d_z, int64_t n) {
  on_isa(isa, [=] {
    DIABOLO_IVDEP
    for (int64_t k = 0; k < n; ++k) {
      const LossAt<float> at = Element::of(z[k], target[k]);
      value[k] = at.value;
      d_z[k] = at.d_z;
    }
  });
}

// Calls f with the instruction set as a type, so that each loop is compiled for that one only.
template <Isa isa>
struct IsaTag {
  static constexpr Isa value = isa;
};
template <class F>
auto with_isa(Isa isa, F&& f) {
  switch (isa) {
    case Isa::kAvx512:
      return f(IsaTag<Isa::kAvx512>{});
    case Isa::kAvx2:
      return f(IsaTag<Isa::kAvx2>{});
    case Isa::kBaseline:
      break;
  }
  return f(IsaTag<Isa::kBaseline>{});
}

}  // namespace

ForwardBlock forward_block(Isa isa, Activation activation) {
  return with_isa(isa, [&](auto tag) {
    return with_activation(activation, [&](auto act) -> ForwardBlock {
      return forward_loop<decltype(tag)::value, decltype(act)>;
    });
  });
}

SlopeBlock slope_block(Isa isa, Activation activation) {
  return with_isa(isa, [&](auto tag) {
    return with_activation(activation, [&](auto act) -> SlopeBlock {
      return slope_loop<decltype(tag)::value, decltype(act)>;
    });
  });
}

LossBlock loss_block(Isa isa, Activation activation, Loss loss) {
  return with_isa(isa, [&](auto tag) {
    return with_loss(activation, loss, [&](auto element) -> LossBlock {
      return loss_loop<decltype(tag)::value, decltype(element)>;
    });
  });
}

}  // namespace diabolo::kernels::cpu
