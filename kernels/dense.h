// Dense layers: y = f(x W + b), its loss, its score, and its gradients.
//
// Shapes, row-major: x [B,I], weight [I,O], bias [O], y and z and target and dz [B,O]. With
// `weight_transposed` the weight is stored [O,I], as a decoder has it that shares the encoder's
// weights; d_weight then has that layout too.
// T is float, Bf16 (products accumulated in float), double (the tests' reference) or any scalar the
// references accept. Backward kernels take dz, the gradient before the activation: whoever makes it
// applies the derivative of the activation.
//
// Below each record: the reference, which is the definition. Derivations: kernels/README.md.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/activations.h"
#include "kernels/common/kernel.h"
#include "kernels/common/losses.h"
#include "kernels/common/parts.h"
#include "kernels/common/scores.h"

namespace diabolo::kernels {

// The extents of one layer.
struct DenseShape {
  int64_t B = 0, I = 0, O = 0;
  bool weight_transposed = false;

  DIABOLO_HD int64_t weight_at(int64_t i, int64_t o) const {
    return weight_transposed ? o * I + i : i * O + o;
  }
};

// Computes y = f(x W + b); stores z = x W + b too where `z` is not null.
template <class T>
struct DenseForward {
  DenseShape shape;
  Activation activation = Activation::kIdentity;
  const T* x = nullptr;
  const T* weight = nullptr;
  const Accum<T>* bias = nullptr;  // null: no bias
  T* y = nullptr;
  T* z = nullptr;
};

// Computes loss = scale / (B O) * sum l(f(x W + b), target) and its gradient dz; y is never stored.
template <class T>
struct DenseLoss {
  DenseShape shape;
  Activation activation = Activation::kIdentity;
  Loss kind = Loss::kMse;
  float scale = 1;  // the weight of this loss among several; dz has it, 1 / (B O) too
  const T* x = nullptr;
  const T* weight = nullptr;
  const Accum<T>* bias = nullptr;
  const T* target = nullptr;
  T* dz = nullptr;                    // null: the loss alone (validation)
  Accum<T>* loss = nullptr;           // [1]
  std::uint32_t* arrivals = nullptr;  // CUDA: zeroed_bytes of zeros
};

// Computes score[b] = 1/O * sum over o of (f(x W + b) - target)^2, +inf where that is NaN; y is
// never stored.
template <class T>
struct DenseScore {
  DenseShape shape;
  Activation activation = Activation::kIdentity;
  const T* x = nullptr;
  const T* weight = nullptr;
  const Accum<T>* bias = nullptr;
  const T* target = nullptr;
  Accum<T>* score = nullptr;  // [B]
};

// Computes dx = dz W^T, times f'(saved) elementwise where `saved` is not null: `saved` is what the
// layer below kept, h or z [B,I] (see kSavesZ), and the result is then that layer's dz.
template <class T>
struct DenseDataGrad {
  DenseShape shape;
  Activation activation = Activation::kIdentity;  // of the layer below
  const T* dz = nullptr;
  const T* weight = nullptr;
  const T* saved = nullptr;
  T* dx = nullptr;
};

// Computes d_weight = x^T dz and d_bias = column sums of dz, in the accumulation type; each is
// added to what is there if its flag says so (tied layers share a weight, but not a bias).
template <class T>
struct DenseWeightGrad {
  DenseShape shape;
  bool accumulates_weight = false;
  bool accumulates_bias = false;
  const T* x = nullptr;
  const T* dz = nullptr;
  Accum<T>* d_weight = nullptr;
  Accum<T>* d_bias = nullptr;  // null: the layer has no bias
  // CUDA: where the batch is cut, the parts stay in scratch for who reads the sums (parts); one
  // launch makes the data gradient of the same dz too (joins).
  bool leaves_parts = false;
  bool is_joined = false;
};

template <class T>
Accum<T> dense_z_at(const DenseShape& s, const T* x, const T* weight, const Accum<T>* bias,
                    int64_t b, int64_t o) {
  Accum<T> sum(0);
  for (int64_t i = 0; i < s.I; ++i) sum += widen(x[b * s.I + i]) * widen(weight[s.weight_at(i, o)]);
  return bias ? Accum<T>(sum + bias[o]) : sum;
}

template <class T>
void dense_forward_reference(const DenseForward<T>& p) {
  const DenseShape& s = p.shape;
  with_activation(p.activation, [&](auto act) {
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t o = 0; o < s.O; ++o) {
        const Accum<T> z = dense_z_at(s, p.x, p.weight, p.bias, b, o);
        if (p.z) p.z[b * s.O + o] = narrow<T>(z);
        p.y[b * s.O + o] = narrow<T>(act.forward(z));
      }
    }
  });
}

template <class T>
void dense_loss_reference(const DenseLoss<T>& p) {
  const DenseShape& s = p.shape;
  const Accum<T> scale = Accum<T>(p.scale) / Accum<T>(static_cast<double>(s.B * s.O));
  Accum<T> sum(0);
  with_loss(p.activation, p.kind, [&](auto element) {
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t o = 0; o < s.O; ++o) {
        const Accum<T> z = dense_z_at(s, p.x, p.weight, p.bias, b, o);
        const auto at = element.of(z, Accum<T>(widen(p.target[b * s.O + o])));
        sum += at.value;
        if (p.dz) p.dz[b * s.O + o] = narrow<T>(Accum<T>(at.d_z * scale));
      }
    }
  });
  *p.loss = sum * scale;
}

template <class T>
void dense_score_reference(const DenseScore<T>& p) {
  const DenseShape& s = p.shape;
  with_activation(p.activation, [&](auto act) {
    for (int64_t b = 0; b < s.B; ++b) {
      Accum<T> sum(0);
      for (int64_t o = 0; o < s.O; ++o) {
        const Accum<T> y = act.forward(dense_z_at(s, p.x, p.weight, p.bias, b, o));
        const Accum<T> d = y - widen(p.target[b * s.O + o]);
        sum += d * d;
      }
      p.score[b] = infinite_if_nan(Accum<T>(sum / Accum<T>(static_cast<double>(s.O))));
    }
  });
}

template <class T>
void dense_data_grad_reference(const DenseDataGrad<T>& p) {
  const DenseShape& s = p.shape;
  with_activation(p.activation, [&](auto act) {
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t i = 0; i < s.I; ++i) {
        Accum<T> sum(0);
        for (int64_t o = 0; o < s.O; ++o)
          sum += widen(p.dz[b * s.O + o]) * widen(p.weight[s.weight_at(i, o)]);
        if (p.saved) sum = sum * act.derivative(Accum<T>(widen(p.saved[b * s.I + i])));
        p.dx[b * s.I + i] = narrow<T>(sum);
      }
    }
  });
}

template <class T>
void dense_weight_grad_reference(const DenseWeightGrad<T>& p) {
  const DenseShape& s = p.shape;
  for (int64_t i = 0; i < s.I; ++i) {
    for (int64_t o = 0; o < s.O; ++o) {
      Accum<T> sum(0);
      for (int64_t b = 0; b < s.B; ++b) sum += widen(p.x[b * s.I + i]) * widen(p.dz[b * s.O + o]);
      Accum<T>& out = p.d_weight[s.weight_at(i, o)];
      out = p.accumulates_weight ? Accum<T>(out + sum) : sum;
    }
  }
  if (!p.d_bias) return;
  for (int64_t o = 0; o < s.O; ++o) {
    Accum<T> sum(0);
    for (int64_t b = 0; b < s.B; ++b) sum += widen(p.dz[b * s.O + o]);
    p.d_bias[o] = p.accumulates_bias ? Accum<T>(p.d_bias[o] + sum) : sum;
  }
}

DIABOLO_KERNELS(DenseForward)
DIABOLO_KERNELS(DenseLoss)
DIABOLO_KERNELS(DenseScore)
DIABOLO_KERNELS(DenseDataGrad)
DIABOLO_KERNELS(DenseWeightGrad)
namespace cuda {
const char* refuse_shape(const DenseShape& shape, const Device& device);
template <class T>
uint64_t scratch_bytes(const DenseLoss<T>& p, const Device& device);
template <class T>
uint64_t scratch_bytes(const DenseScore<T>& p, const Device& device);
template <class T>
uint64_t scratch_bytes(const DenseWeightGrad<T>& p, const Device& device);
template <class T>
uint64_t zeroed_bytes(const DenseLoss<T>& p, const Device& device);

// What a call that leaves parts has in its scratch; empty where the batch is not cut.
template <class T>
std::vector<Parts> parts(const DenseWeightGrad<T>& p, const Device& device, void* scratch);

// Both gradients of a layer in one launch: whether it is quicker than two, and the launch.
template <class T>
bool joins(const DenseWeightGrad<T>& weight, const DenseDataGrad<T>& data, const Device& device);
Launch prepare_joined(const DenseWeightGrad<float>& weight, const DenseDataGrad<float>& data,
                      const Device& device, void* scratch);
Launch prepare_joined(const DenseWeightGrad<Bf16>& weight, const DenseDataGrad<Bf16>& data,
                      const Device& device, void* scratch);
}  // namespace cuda

}  // namespace diabolo::kernels
