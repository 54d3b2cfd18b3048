// The gradients of a dense layer.
//
// Data gradient: a product, then the derivative of the layer below over rows that are still
// in the cache. Where the derivative is 0 or 1 (identity, ReLU) rounding before it changes nothing,
// so the product writes T; any other bf16 layer goes through a chunk of floats.
//
// Weight gradient: one product over all rows, and the column sums of dz as the bias gradient.
#include "kernels/cpu/dense_product.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
bool goes_through_floats(const DenseDataGrad<T>& p) {
  return std::is_same_v<T, Bf16> && p.saved != nullptr && p.activation != Activation::kIdentity &&
         p.activation != Activation::kRelu;
}

template <class T>
RowProduct product_of(const DenseDataGrad<T>& p, const CpuFeatures& cpu) {
  const Element result = goes_through_floats(p) ? Element::kF32 : element_of<T>();
  return {p.shape, true, element_of<T>(), result, false, cpu};
}

template <class T>
uint64_t scratch_of(const DenseDataGrad<T>& p, const CpuFeatures& cpu) {
  const RowProduct product = product_of(p, cpu);
  return product_scratch(product) + (goes_through_floats(p) ? staged_bytes(product) : 0);
}

// D is what the product writes: T, or float into the scratch.
template <class D, class T>
Launch data_grad(const DenseDataGrad<T>& p, const CpuFeatures& cpu, void* scratch) {
  constexpr bool kIsStaged = !std::is_same_v<D, T>;
  const RowProduct product = product_of(p, cpu);
  const Team team(cpu, chunk_elems(product), pass_cost::kCurve);
  char* rest = static_cast<char*>(scratch) + (kIsStaged ? staged_bytes(product) : 0);
  D* d = static_cast<D*>(kIsStaged ? scratch : p.dx);
  const bool is_done = p.saved == nullptr || p.activation == Activation::kIdentity;
  return [p, team, d, is_done, slope = slope_block(team.isa, p.activation),
          steps = row_steps(product, p.dz, p.weight, nullptr, d, kIsStaged, rest)](void*) {
    for (const RowStep& step : steps) {
      step.product();
      if (is_done) continue;
      const int64_t at = step.rows.begin * p.shape.I;
      const D* from = d + (kIsStaged ? 0 : at);
      apply_slope<D, T>(team, slope, from, p.saved + at, p.dx + at, step.rows.size() * p.shape.I);
    }
  };
}

Launch make(const DenseDataGrad<float>& p, const CpuFeatures& cpu, void* scratch) {
  return data_grad<float>(p, cpu, scratch);
}

Launch make(const DenseDataGrad<Bf16>& p, const CpuFeatures& cpu, void* scratch) {
  return goes_through_floats(p) ? data_grad<float>(p, cpu, scratch)
                                : data_grad<Bf16>(p, cpu, scratch);
}

// Columns that one thread sums, and rows that it sums before it adds them to the total: errors grow
// with B / kSumRows.
constexpr int64_t kSumColumns = 128;
constexpr int64_t kSumRows = 64;

template <class T>
void sum_columns(const DenseWeightGrad<T>& p, Range columns) {
  const int64_t O = p.shape.O;
  const int64_t n = columns.size();
  float total[kSumColumns] = {};
  for (int64_t first = 0; first < p.shape.B; first += kSumRows) {
    float part[kSumColumns] = {};
    const int64_t last = std::min(p.shape.B, first + kSumRows);
    for (int64_t b = first; b < last; ++b) {
      const T* row = p.dz + b * O + columns.begin;
      for (int64_t k = 0; k < n; ++k) part[k] += widen(row[k]);
    }
    for (int64_t k = 0; k < n; ++k) total[k] += part[k];
  }
  float* out = p.d_bias + columns.begin;
  for (int64_t k = 0; k < n; ++k) out[k] = p.accumulates_bias ? out[k] + total[k] : total[k];
}

// d_weight = x^T dz as the layer stores it: [I,O], or [O,I] as dz^T x.
template <class T>
ProductShape gradient_product(const DenseWeightGrad<T>& p, const CpuFeatures& cpu) {
  const DenseShape& s = p.shape;
  const bool is_swapped = s.weight_transposed;
  const Matrix a{element_of<T>(), is_swapped ? s.O : s.I, s.B, true};
  const Matrix b{element_of<T>(), s.B, is_swapped ? s.I : s.O, false};
  return {a, b, Element::kF32, false, p.accumulates_weight, cpu, 0, true};
}

template <class T>
uint64_t scratch_of(const DenseWeightGrad<T>& p, const CpuFeatures& cpu) {
  return align_64(make_product(gradient_product(p, cpu))->scratch_bytes());
}

template <class T>
Launch make(const DenseWeightGrad<T>& p, const CpuFeatures& cpu, void* scratch) {
  const T* a = p.shape.weight_transposed ? p.dz : p.x;
  const T* b = p.shape.weight_transposed ? p.x : p.dz;
  const auto product = make_product(gradient_product(p, cpu));
  const Team team(cpu, p.shape.B * p.shape.O, pass_cost::kCopy);
  return [p, team, multiply = product->bind({a, b, nullptr, p.d_weight, scratch})](void*) {
    multiply();
    if (!p.d_bias) return;
    parallel_for(team.threads, chunk_count(p.shape.O, kSumColumns), [&](int64_t chunk) {
      on_isa(team.isa, [&] { sum_columns(p, chunk_range(chunk, kSumColumns, p.shape.O)); });
    });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE_DENSE(DenseDataGrad, float)
DIABOLO_CPU_DEFINE_DENSE(DenseDataGrad, Bf16)
DIABOLO_CPU_DEFINE_DENSE(DenseWeightGrad, float)
DIABOLO_CPU_DEFINE_DENSE(DenseWeightGrad, Bf16)

}  // namespace diabolo::kernels::cpu
