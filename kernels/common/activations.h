// The activation functions, each written once for host and device, CPU and CUDA, reference and fast
// path. To add one: a struct and a line in the list below; everything else follows from the list,
// and the cases of src/selftest run over all of it (CONTRIBUTING.md).
//
//   forward(z)         h = f(z)
//   derivative(saved)  f'(z), from h where that is enough (kSavesZ false), else from z
#pragma once

#include <cstdint>
#include <iterator>

#include "kernels/common/hd.h"
#include "kernels/common/math.h"

namespace diabolo::kernels {

// The struct of each activation, and its name in configurations and model files.
#define DIABOLO_FOR_EACH_ACTIVATION(DO) \
  DO(Identity, "identity")              \
  DO(Relu, "relu")                      \
  DO(LeakyRelu, "leaky_relu")           \
  DO(Elu, "elu")                        \
  DO(Gelu, "gelu")                      \
  DO(Silu, "silu")                      \
  DO(Softplus, "softplus")              \
  DO(Tanh, "tanh")                      \
  DO(Sigmoid, "sigmoid")

// Activation::kIdentity and so on, in the order of the list.
enum class Activation : int32_t {
#define DIABOLO_ACTIVATION(Type, text) k##Type,
  DIABOLO_FOR_EACH_ACTIVATION(DIABOLO_ACTIVATION)
#undef DIABOLO_ACTIVATION
};
inline constexpr const char* kActivationNames[] = {
#define DIABOLO_ACTIVATION(Type, text) text,
    DIABOLO_FOR_EACH_ACTIVATION(DIABOLO_ACTIVATION)
#undef DIABOLO_ACTIVATION
};
inline constexpr int kActivationCount = static_cast<int>(std::size(kActivationNames));

template <class T>
DIABOLO_HD inline T sigmoid_of(const T& z) {
  return T(1) / (T(1) + exp_of(T(-z)));
}

// max(z, 0) + log(1 + exp(-|z|)): overflows nowhere.
template <class T>
DIABOLO_HD inline T softplus_of(const T& z) {
  const T positive = real_part(z) > real_part(T(0)) ? z : T(0);
  return positive + log1p_of(exp_of(T(-abs_of(z))));
}

struct Identity {
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return z;
  }
  template <class T>
  DIABOLO_HD static T derivative(const T&) {
    return T(1);
  }
};

struct Relu {
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    // Written so that a NaN passes: a broken input must reach the loss, not vanish here.
    return real_part(z) <= real_part(T(0)) ? T(0) : z;
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& h) {
    return real_part(h) > real_part(T(0)) ? T(1) : T(0);
  }
};

struct LeakyRelu {  // slope 0.01 below 0, as in PyTorch
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return real_part(z) > real_part(T(0)) ? z : z * T(0.01f);
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& h) {
    return real_part(h) > real_part(T(0)) ? T(1) : T(0.01f);
  }
};

struct Elu {  // alpha = 1
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    const T negative = exp_of(real_part(z) > real_part(T(0)) ? T(0) : z) - T(1);
    return real_part(z) > real_part(T(0)) ? z : negative;
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& h) {
    return real_part(h) > real_part(T(0)) ? T(1) : h + T(1);
  }
};

struct Gelu {  // z Phi(z), the exact form with erf (Hendrycks and Gimpel 2016)
  static constexpr bool kSavesZ = true;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return z * (T(0.5) * (T(1) + erf_of(z * T(0.70710678118654752))));
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& z) {
    const T cdf = T(0.5) * (T(1) + erf_of(z * T(0.70710678118654752)));
    return cdf + z * (T(0.39894228040143268) * exp_of(z * z * T(-0.5)));
  }
};

struct Silu {  // z sigmoid(z)
  static constexpr bool kSavesZ = true;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return z * sigmoid_of(z);
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& z) {
    const T s = sigmoid_of(z);
    return s + z * (s * (T(1) - s));
  }
};

struct Softplus {
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return softplus_of(z);
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& h) {
    return T(1) - exp_of(T(-h));
  }
};

struct Tanh {
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return tanh_of(z);
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& h) {
    return T(1) - h * h;
  }
};

struct Sigmoid {
  static constexpr bool kSavesZ = false;
  template <class T>
  DIABOLO_HD static T forward(const T& z) {
    return sigmoid_of(z);
  }
  template <class T>
  DIABOLO_HD static T derivative(const T& h) {
    return h * (T(1) - h);
  }
};

// Calls f with the struct of `activation`: the switch stands outside loops, never inside.
DIABOLO_HD_DISPATCH
template <class F>
DIABOLO_HD decltype(auto) with_activation(Activation activation, F&& f) {
  switch (activation) {
#define DIABOLO_ACTIVATION(Type, text) \
  case Activation::k##Type:            \
    return f(Type{});
    DIABOLO_FOR_EACH_ACTIVATION(DIABOLO_ACTIVATION)
#undef DIABOLO_ACTIVATION
  }
  return f(Identity{});
}

// True where the gradient needs z, the value before the activation, instead of h.
inline bool saves_z(Activation activation) {
  return with_activation(activation, [](auto act) { return decltype(act)::kSavesZ; });
}

inline const char* name(Activation activation) {
  return kActivationNames[static_cast<int>(activation)];
}

}  // namespace diabolo::kernels
