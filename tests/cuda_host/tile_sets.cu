// Launches of tile products of a size that is not built.
#include "cuda_host/tile_sets.h"

#include "kernels/cuda/tile_product.cuh"

namespace diabolo::test {
namespace {

using namespace kernels::cuda;  // NOLINT: the templates under test

struct NoEpilogue {
  struct Params {};
  static constexpr bool kSeesStages = false;
  static constexpr int kSlabCopies = 1;
  template <class Loop>
  struct Of {
    GPU_VERB explicit Of(const Params&) {}
    template <class Slab>
    GPU_VERB void begin(const Slab&) const {}
    template <class Slab>
    GPU_VERB void slab(const Slab&) const {}
    template <class Slab>
    GPU_VERB void finish(const Slab&, float*) const {}
  };
};

template <ProductMath kMath, TileSet kSet>
void launch_medium() {
  launch_product<kMath, Along::kDepth, Along::kDepth, NoEpilogue, kSet>(
      TileSize::kMedium, MatrixCall<NoEpilogue::Params>{}, 1, nullptr);
}

}  // namespace

void launch_medium_tile_of_tf32() {
  launch_medium<ProductMath::kTf32, TileSet::kAll>();
}
void launch_medium_tile_of_a_set_without() {
  launch_medium<ProductMath::kF32, TileSet::kLargeAndSmall>();
}

}  // namespace diabolo::test
