// Losses per element, each written once: from z, the value before the last activation, and the
// target t to the loss and its derivative by z.
//
//   kMse    (y - t)^2                    kL1     |y - t| (derivative 0 at 0)
//   kHuber  d^2 / 2 for |d| <= 1, else |d| - 1/2, with d = y - t
//   kBce    -t log y - (1 - t) log(1 - y) with y = sigmoid(z), computed from z: log y never
//           overflows. Its activation is the sigmoid, always.
#pragma once

#include <cstdint>
#include <iterator>

#include "kernels/common/activations.h"

namespace diabolo::kernels {

enum class Loss : int32_t { kMse, kBce, kL1, kHuber };
inline constexpr const char* kLossNames[] = {"mse", "bce", "l1", "huber"};
inline constexpr int kLossCount = static_cast<int>(std::size(kLossNames));

template <class T>
struct LossAt {
  T value;  // the loss of one element
  T d_z;    // its derivative by z
};

struct MseLoss {
  template <class T>
  DIABOLO_HD static LossAt<T> of(const T& d) {
    return {d * d, T(2) * d};
  }
};

struct L1Loss {
  template <class T>
  DIABOLO_HD static LossAt<T> of(const T& d) {
    const auto zero = real_part(T(0));
    const T sign = real_part(d) > zero ? T(1) : (real_part(d) < zero ? T(-1) : d);
    return {abs_of(d), sign};  // for d = 0 the sign is d itself: 0, and a NaN stays one
  }
};

struct HuberLoss {
  template <class T>
  DIABOLO_HD static LossAt<T> of(const T& d) {
    const T size = abs_of(d);
    const bool is_small = real_part(size) <= real_part(T(1));
    return {is_small ? T(T(0.5) * (d * d)) : T(size - T(0.5)),
            is_small ? d : (real_part(d) > real_part(T(0)) ? T(1) : T(-1))};
  }
};

// The loss of y = Act(z) against t, for the losses of a difference.
template <class Act, class Difference>
struct ActivatedLoss {
  template <class T>
  DIABOLO_HD static LossAt<T> of(const T& z, const T& t) {
    const T y = Act::forward(z);
    const LossAt<T> at = Difference::of(T(y - t));
    return {at.value, at.d_z * Act::derivative(Act::kSavesZ ? z : y)};
  }
};

struct BceOnLogits {
  template <class T>
  DIABOLO_HD static LossAt<T> of(const T& z, const T& t) {
    return {softplus_of(z) - t * z, sigmoid_of(z) - t};
  }
};

// Calls f with the struct of a loss of a difference (not kBce).
DIABOLO_HD_DISPATCH
template <class F>
DIABOLO_HD decltype(auto) with_difference(Loss loss, F&& f) {
  if (loss == Loss::kL1) return f(L1Loss{});
  if (loss == Loss::kHuber) return f(HuberLoss{});
  return f(MseLoss{});
}

// Calls f with the element function of (activation, loss). For kBce the activation is not looked
// at.
DIABOLO_HD_DISPATCH
template <class F>
DIABOLO_HD decltype(auto) with_loss(Activation activation, Loss loss, F&& f) {
  if (loss == Loss::kBce) return f(BceOnLogits{});
  return with_activation(activation, [&](auto act) -> decltype(auto) {
    return with_difference(loss, [&](auto difference) -> decltype(auto) {
      return f(ActivatedLoss<decltype(act), decltype(difference)>{});
    });
  });
}

inline const char* name(Loss loss) {
  return kLossNames[static_cast<int>(loss)];
}

}  // namespace diabolo::kernels
