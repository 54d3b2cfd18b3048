#include "ops/product_work.h"

#include <string_view>

#include "kernels/cuda/chain_tiles.h"
#include "ops/dense.h"
#include "ops/dense_chain.h"
#include "ops/dense_shape.h"

namespace diabolo {
namespace {

using kernels::DenseShape;
using namespace kernels::cuda;  // NOLINT: every second word of this file

ProductMath math_of(const TensorDesc& x, const Device& device) {
  return x.dtype() == DType::kBf16 ? product_math<kernels::Bf16>(device)
                                   : product_math<float>(device);
}

ProductWork forward_work(const DenseShape& s, TileExtents tile) {
  return {{s.B, s.O, s.I}, tile, 1};
}

ProductWork data_grad_work(const DenseShape& s, ProductMath math, const Device& device,
                           const Call& call) {
  const GemmShape shape{s.B, s.I, s.O};
  const TileSize tile = call.is_joined ? choose_dense_grads(s, math, device, call.leaves_parts).tile
                                       : choose_product(shape, TileSet::kAll, math, device).tile;
  return {shape, extents(tile), 1};
}

ProductWork weight_grad_work(const DenseShape& s, ProductMath math, const Device& device,
                             const Call& call) {
  const ProductChoice choice = call.is_joined
                                   ? choose_dense_grads(s, math, device, call.leaves_parts)
                                   : choose_weight_grad(s, math, device, call.leaves_parts);
  return {weight_grad_shape(s), extents(choice.tile), choice.splits};
}

template <class T>
std::vector<ProductWork> chain_work(const DenseChainAttrs& attrs, std::span<const TensorDesc> in,
                                    const Device& device) {
  kernels::DenseChain<T> p{.B = in[0].extent(0), .I = row_elems(in[0])};
  size_t at = 1;
  for (int k = 0; k < attrs.layers; ++k) {
    p.layer[p.layers++].O = in[at].extent(attrs.layer[k].weight_transposed ? 0 : 1);
    at += attrs.layer[k].has_bias ? 2 : 1;
  }
  const ChainTile tile = choose_chain(p, device).tile;
  std::vector<ProductWork> work;
  for (int k = 0; k < p.layers; ++k) work.push_back(forward_work(p.shape(k), {tile.m, tile.n}));
  return work;
}

}  // namespace

std::vector<ProductWork> product_work(const OpDef& op, const Kernel& kernel, const Call& call,
                                      const DeviceInfo& info) {
  const Attrs& attrs = call.attrs;
  std::vector<TensorDesc> in;
  for (const TensorView& view : call.in) in.push_back(view.desc);
  const bool is_ours = std::string_view(kernel.name).find("cublaslt") == std::string_view::npos;
  if (kernel.space != Space::kCuda || !is_ours) return {};
  const Device& device = info.cuda;
  if (&op == &kDenseForward) {
    const bool transposed = attrs.as<DenseForwardAttrs>().weight_transposed;
    const DenseShape s = glue::dense_shape(in[0], in[1], transposed);
    const GemmShape shape{s.B, s.O, s.I};
    const ProductMath math = math_of(in[0], device);
    return {forward_work(s, extents(choose_product(shape, TileSet::kAll, math, device).tile))};
  }
  if (&op == &kDenseLoss) {
    const bool transposed = attrs.as<DenseLossAttrs>().weight_transposed;
    const DenseShape s = glue::dense_shape(in[0], in[1], transposed);
    return {forward_work(s, extents(choose_loss_tile(s, math_of(in[0], device), device)))};
  }
  if (&op == &kDenseScore) {
    const bool transposed = attrs.as<DenseScoreAttrs>().weight_transposed;
    const DenseShape s = glue::dense_shape(in[0], in[1], transposed);
    return {forward_work(s, extents(choose_score_tile(s.O)))};
  }
  if (&op == &kDenseDataGrad) {
    const bool transposed = attrs.as<DenseDataGradAttrs>().weight_transposed;
    const DenseShape back = glue::dense_shape(in[0], in[1], !transposed);
    const DenseShape s{back.B, back.O, back.I, transposed};
    return {data_grad_work(s, math_of(in[0], device), device, call)};
  }
  if (&op == &kDenseWeightGrad) {
    const bool transposed = attrs.as<DenseWeightGradAttrs>().weight_transposed;
    const DenseShape s{in[0].extent(0), row_elems(in[0]), in[1].extent(1), transposed};
    return {weight_grad_work(s, math_of(in[0], device), device, call)};
  }
  if (&op == &kDenseChain) {
    const auto chain = attrs.as<DenseChainAttrs>();
    return in[0].dtype() == DType::kBf16 ? chain_work<kernels::Bf16>(chain, in, device)
                                         : chain_work<float>(chain, in, device);
  }
  return {};
}

}  // namespace diabolo
