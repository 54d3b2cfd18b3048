// y = f(x W + b): a product with the bias, then the activation over rows that are still in
// the cache. The activation is not left to oneDNN: its ReLU turns a NaN into 0, and its sigmoid and
// tanh are less exact than ours.
//
// Identity and ReLU commute with rounding, so their product writes T; any other bf16 layer goes
// through a chunk of floats.
#include "kernels/cpu/dense_product.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
bool goes_through_floats(const DenseForward<T>& p) {
  return std::is_same_v<T, Bf16> && p.activation != Activation::kIdentity &&
         p.activation != Activation::kRelu;
}

template <class T>
RowProduct product_of(const DenseForward<T>& p, const CpuFeatures& cpu) {
  const Element result = goes_through_floats(p) ? Element::kF32 : element_of<T>();
  return {p.shape, false, element_of<T>(), result, p.bias != nullptr, cpu};
}

// The product writes floats into the scratch; the pass rounds.
Launch staged_forward(const DenseForward<Bf16>& p, const CpuFeatures& cpu, void* scratch) {
  const RowProduct product = product_of(p, cpu);
  auto* staged = static_cast<float*>(scratch);
  void* rest = static_cast<char*>(scratch) + staged_bytes(product);
  const Team team(cpu, chunk_elems(product), pass_cost::kCurve);
  return [p, team, staged, forward = forward_block(team.isa, p.activation),
          steps = row_steps(product, p.x, p.weight, p.bias, staged, true, rest)](void*) {
    for (const RowStep& step : steps) {
      step.product();
      const int64_t at = step.rows.begin * p.shape.O;
      Bf16* z = p.z ? p.z + at : nullptr;
      activate(team, forward, staged, p.y + at, z, step.rows.size() * p.shape.O);
    }
  };
}

// The product writes z if that is wanted, else y; the pass makes y of it.
template <class T>
Launch direct_forward(const DenseForward<T>& p, const CpuFeatures& cpu, void* scratch) {
  const RowProduct product = product_of(p, cpu);
  const Team team(cpu, chunk_elems(product), pass_cost::kCurve);
  T* z = p.z ? p.z : p.y;
  const bool is_done = p.activation == Activation::kIdentity && z == p.y;
  return [p, team, z, is_done, forward = forward_block(team.isa, p.activation),
          steps = row_steps(product, p.x, p.weight, p.bias, z, false, scratch)](void*) {
    for (const RowStep& step : steps) {
      step.product();
      if (is_done) continue;
      const int64_t at = step.rows.begin * p.shape.O, n = step.rows.size() * p.shape.O;
      if constexpr (std::is_same_v<T, Bf16>) {
        if (p.activation == Activation::kRelu) {
          relu(team, z + at, p.y + at, n);
          continue;
        }
      }
      activate<T, T>(team, forward, z + at, p.y + at, nullptr, n);
    }
  };
}

template <class T>
uint64_t scratch_of(const DenseForward<T>& p, const CpuFeatures& cpu) {
  const RowProduct product = product_of(p, cpu);
  return product_scratch(product) + (goes_through_floats(p) ? staged_bytes(product) : 0);
}

Launch make(const DenseForward<float>& p, const CpuFeatures& cpu, void* scratch) {
  return direct_forward(p, cpu, scratch);
}

Launch make(const DenseForward<Bf16>& p, const CpuFeatures& cpu, void* scratch) {
  return goes_through_floats(p) ? staged_forward(p, cpu, scratch) : direct_forward(p, cpu, scratch);
}

}  // namespace

DIABOLO_CPU_DEFINE_DENSE(DenseForward, float)
DIABOLO_CPU_DEFINE_DENSE(DenseForward, Bf16)

}  // namespace diabolo::kernels::cpu
