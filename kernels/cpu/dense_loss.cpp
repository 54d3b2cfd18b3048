// The last layer with its loss, and with its score per row: the product writes chunks of z in
// floats, and one pass over them makes everything else while they are in the cache. In f32 training
// z goes where dz will be; else into the scratch.
#include "kernels/cpu/dense_product.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

// Chunks of a pass in one whole chunk of rows; the last chunk of rows has no more.
int64_t passes_per_step(const DenseShape& shape) {
  return chunk_count(std::min(shape.B, kRowChunk) * shape.O, kChunk);
}

template <class Call>
RowProduct product_of(const Call& p, Element element, const CpuFeatures& cpu) {
  return {p.shape, false, element, Element::kF32, p.bias != nullptr, cpu};
}

// Partial sums of the loss, in the order of the rows.
uint64_t partial_bytes(const DenseShape& shape) {
  const int64_t steps = chunk_count(shape.B, kRowChunk);
  return align_64(static_cast<uint64_t>(steps * passes_per_step(shape)) * sizeof(float));
}

template <class T>
uint64_t scratch_of(const DenseLoss<T>& p, const CpuFeatures& cpu) {
  const RowProduct product = product_of(p, element_of<T>(), cpu);
  const bool is_staged = std::is_same_v<T, Bf16> || p.dz == nullptr;
  return partial_bytes(p.shape) + (is_staged ? staged_bytes(product) : 0) +
         product_scratch(product);
}

template <class T>
Launch make(const DenseLoss<T>& p, const CpuFeatures& cpu, void* scratch) {
  const RowProduct product = product_of(p, element_of<T>(), cpu);
  const Team team(cpu, chunk_elems(product), pass_cost::kLoss);
  auto* partials = static_cast<float*>(scratch);
  char* rest = static_cast<char*>(scratch) + partial_bytes(p.shape);
  float* z = nullptr;
  if constexpr (std::is_same_v<T, float>) z = p.dz;
  const bool is_staged = z == nullptr;
  if (is_staged) {
    z = reinterpret_cast<float*>(rest);
    rest += staged_bytes(product);
  }
  const int64_t O = p.shape.O;
  const float scale = p.scale / static_cast<float>(p.shape.B * O);
  const LossBlock loss = loss_block(team.isa, p.activation, p.kind);
  return [=, steps = row_steps(product, p.x, p.weight, p.bias, z, is_staged, rest)](void*) {
    float* sums = partials;
    for (const RowStep& step : steps) {
      step.product();
      const int64_t at = step.rows.begin * O;
      const int64_t n = step.rows.size() * O;
      loss_pass<float, T>(team, loss, scale, z + (is_staged ? 0 : at), p.target + at,
                          p.dz ? p.dz + at : nullptr, sums, n);
      sums += chunk_count(n, kChunk);
    }
    *p.loss = static_cast<float>(ordered_total(partials, sums - partials) * scale);
  };
}

// score of one row from its z.
template <class T>
float score_row(ForwardBlock forward, const float* z, const T* target, int64_t O) {
  LaneSum sum;
  for (int64_t at = 0; at < O; at += kBlock) {
    const int64_t length = std::min(kBlock, O - at);
    float error[kBlock], t[kBlock];
    forward(z + at, error, length);
    widen_block(target + at, t, length);
    for (int64_t k = 0; k < length; ++k) error[k] -= t[k];
    sum.add_squares(error, length);
  }
  return infinite_if_nan(sum.total() / static_cast<float>(O));
}

template <class T>
uint64_t scratch_of(const DenseScore<T>& p, const CpuFeatures& cpu) {
  const RowProduct product = product_of(p, element_of<T>(), cpu);
  return staged_bytes(product) + product_scratch(product);
}

template <class T>
Launch make(const DenseScore<T>& p, const CpuFeatures& cpu, void* scratch) {
  const RowProduct product = product_of(p, element_of<T>(), cpu);
  const Team team(cpu, chunk_elems(product), pass_cost::kLoss);
  auto* z = static_cast<float*>(scratch);
  void* rest = static_cast<char*>(scratch) + staged_bytes(product);
  const ForwardBlock forward = forward_block(team.isa, p.activation);
  return [=, steps = row_steps(product, p.x, p.weight, p.bias, z, true, rest)](void*) {
    constexpr int64_t kRows = 8;
    const int64_t O = p.shape.O;
    for (const RowStep& step : steps) {
      step.product();
      parallel_for(team.threads, chunk_count(step.rows.size(), kRows), [&](int64_t chunk) {
        const Range range = chunk_range(chunk, kRows, step.rows.size());
        on_isa(team.isa, [&] {
          for (int64_t row = range.begin; row < range.end; ++row) {
            const int64_t b = step.rows.begin + row;
            p.score[b] = score_row(forward, z + row * O, p.target + b * O, O);
          }
        });
      });
    }
  };
}

}  // namespace

DIABOLO_CPU_DEFINE_DENSE(DenseLoss, float)
DIABOLO_CPU_DEFINE_DENSE(DenseLoss, Bf16)
DIABOLO_CPU_DEFINE_DENSE(DenseScore, float)
DIABOLO_CPU_DEFINE_DENSE(DenseScore, Bf16)

}  // namespace diabolo::kernels::cpu
