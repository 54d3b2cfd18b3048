// The tiled product under every dense kernel: C[m,n] = sum_k A[m,k] B[k,n] with an epilogue that
// takes each element while it is on the chip.
//
// Computes    C = A B, then epilogue(C), tile by tile.
// Shapes      A [m,k] or stored [k,m], B [k,n] or stored [n,k] (Along), row-major, f32 or bf16.
// Work split  grid x: tiles, columns fastest, so that neighbouring blocks share rows of A and
//             stream B, which stays in L2; grid z: parts of k. Block: one tile, its warps or
//             threads as in tile_mma.cuh and tile_ffma.cuh; kStages staged pairs of tiles, copied
//             by cp.async while older ones are multiplied.
// Traffic     per tile (kM + kN) k elements in, what the epilogue says out; 2 m n k flops.
// Numerics    float sums over k ascending (k16 or k8 steps of mma.sync, or one by one with fused
//             multiply-add), the same in every tile size. tf32 rounds operands to nearest.
// Limits      refuse_dense in choose.cpp.
#pragma once

#include <stdexcept>

#include "kernels/cuda/choose.h"
#include "kernels/cuda/device/block.cuh"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/tile_ffma.cuh"
#include "kernels/cuda/device/tile_load.cuh"
#include "kernels/cuda/device/tile_mma.cuh"
#include "kernels/cuda/tile_epilogue.cuh"

namespace diabolo::kernels::cuda {

using gpu::Along;

// A and B: operands as tile_load.cuh says; Output: a map like RowMajor.
template <class A, class B, class Output_, class EpilogueParams>
struct ProductCall {
  using OperandA = A;
  using OperandB = B;
  using Output = Output_;
  A a;
  B b;
  int64_t m = 0, n = 0, k = 0;
  int64_t k_per_split = 0;  // at most 2^30; a multiple of 64 where grid z is above 1
  Output output;
  EpilogueParams epilogue;
};

template <class Loop>
inline constexpr int kStageBytes = Loop::TileA::kBytes + Loop::TileB::kBytes;
// As many stages as fit into what a launch gets without opting in, up to four; three of a tall
// tile, whose 72 KiB every device of the list gives on request.
inline constexpr int kSharedBytes = static_cast<int>(gpu::kSharedBytesWithoutOptIn);
template <class Loop>
inline constexpr int kStages = Loop::kM > 128 ? 3
                                              : (kSharedBytes / kStageBytes<Loop> < 4
                                                     ? kSharedBytes / kStageBytes<Loop>
                                                     : 4);

// What an epilogue's finish may use: one float a warp.
inline constexpr int kFinishBytes = 128;
template <class Loop>
inline constexpr int kProductBytes = kStages<Loop>* kStageBytes<Loop>;

// Sums the tile at (m0, n0) over k from k0 on, `steps` staged tiles deep. Calls see(staged A,
// staged B) before each product.
template <class LoaderA, class LoaderB, class Loop, class Call, class See>
GPU_VERB void accumulate_staged(Loop& loop, unsigned char* shared, const Call& p, int64_t m0,
                                int64_t n0, int64_t k0, int steps, See&& see) {
  constexpr int kDepth = kStages<Loop>;
  constexpr int kBytes = kStageBytes<Loop>;
  LoaderA a(p.a, m0, k0);
  LoaderB b(p.b, n0, k0);
  const auto stage = [&](unsigned char* to) {
    a.stage(to);
    b.stage(to + Loop::TileA::kBytes);
  };
#pragma unroll 1
  for (int s = 0; s < kDepth - 1; ++s) {
    if (s < steps) stage(shared + s * kBytes);
    gpu::cp_async_commit();
  }
  int now = 0;                       // where this step's tiles are
  int done = (kDepth - 1) * kBytes;  // where the ones before were
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    gpu::cp_async_wait<kDepth - 2>();
    gpu::sync_block();  // this step's tiles are there, and everybody is finished with those before
    if (step + kDepth - 1 < steps) stage(shared + done);
    gpu::cp_async_commit();
    const unsigned char* tiles = shared + now;
    see(tiles, tiles + Loop::TileA::kBytes);
    loop.multiply(tiles, tiles + Loop::TileA::kBytes);
    done = now;
    now = now == (kDepth - 1) * kBytes ? 0 : now + kBytes;
  }
  gpu::cp_async_wait<0>();
  gpu::sync_block();
}

template <class Operand, class Tile, class T, int kThreads>
concept HasNarrowLoader = requires {
  typename Operand::template NarrowLoader<Tile, T, kThreads>;
};

// The loader of an operand in a product of which one is not wide: a kind without a narrow loader is
// always wide itself.
template <class Operand, class Tile, class T, int kThreads>
struct NarrowOrWide {
  using Loader = typename Operand::template Loader<Tile, T, kThreads>;
};
template <class Operand, class Tile, class T, int kThreads>
requires HasNarrowLoader<Operand, Tile, T, kThreads>
struct NarrowOrWide<Operand, Tile, T, kThreads> {
  using Loader = typename Operand::template NarrowLoader<Tile, T, kThreads>;
};

// Which loader depends on the operands: one branch a tile.
template <class Loop, class Call, class See>
GPU_VERB void accumulate_tile(Loop& loop, unsigned char* shared, const Call& p, int64_t m0,
                              int64_t n0, int64_t k0, int steps, See&& see) {
  using T = typename Loop::Element;
  using A = typename Call::OperandA;
  using B = typename Call::OperandB;
  using TileA = typename Loop::TileA;
  using TileB = typename Loop::TileB;
  constexpr int kThreads = Loop::kThreads;
  if constexpr (HasNarrowLoader<A, TileA, T, kThreads> || HasNarrowLoader<B, TileB, T, kThreads>) {
    if (!p.a.is_wide() || !p.b.is_wide()) {
      using NarrowA = typename NarrowOrWide<A, TileA, T, kThreads>::Loader;
      using NarrowB = typename NarrowOrWide<B, TileB, T, kThreads>::Loader;
      accumulate_staged<NarrowA, NarrowB>(loop, shared, p, m0, n0, k0, steps, see);
      return;
    }
  }
  using WideA = typename A::template Loader<TileA, T, kThreads>;
  using WideB = typename B::template Loader<TileB, T, kThreads>;
  accumulate_staged<WideA, WideB>(loop, shared, p, m0, n0, k0, steps, see);
}

// Blocks a multiprocessor that registers must leave room for. Left to itself (0), ptxas gives
// a large tile 128, so that two fit, but squeezes the others until some spill (8 bytes, on sm_86,
// 89 and 100).
template <class Loop>
inline constexpr int kMinBlocks = Loop::kM == 128 && Loop::kN == 128 ? 0 : 1;

// Epilogue::Of<Loop>: constructed from its Params; where kSeesStages, see(slab, staged A, staged B)
// for each step over k; then begin(slab), which may start loads for the first slab; slab(slab) for
// each, whose values this thread has written its part of (barriers are the epilogue's, but for one
// after it); then finish(slab, scratch of kFinishBytes in shared memory).
template <class Loop, class Epilogue, class Call>
GPU_VERB void run_tile(const Call& p, unsigned char* shared, int64_t tile, int64_t split) {
  const int64_t tile_columns = ceil_div(p.n, Loop::kN);
  const int64_t m0 = tile / tile_columns * Loop::kM;
  const int64_t n0 = tile % tile_columns * Loop::kN;
  const int64_t k0 = split * p.k_per_split;
  const int64_t k_left = p.k - k0;
  constexpr int kSlabArea = Epilogue::kSlabCopies * kSlabFloats<Loop> * 4;
  static_assert(kSlabArea + kFinishBytes <= kProductBytes<Loop>);
  auto* values = reinterpret_cast<float*>(shared);
  Slab<typename Call::Output> slab{
      values,  values + kSlabFloats<Loop>, 0, m0, n0, p.m, p.n, tile, n0 / Loop::kN, split,
      p.output};
  typename Epilogue::template Of<Loop> epilogue(p.epilogue);

  Loop loop;
  loop.clear();
  const auto k_here = static_cast<int>(k_left < p.k_per_split ? k_left : p.k_per_split);
  accumulate_tile(loop, shared, p, m0, n0, k0, (k_here + Loop::kK - 1) / Loop::kK,
                  [&](const unsigned char* a, const unsigned char* b) {
                    if constexpr (Epilogue::kSeesStages) epilogue.see(slab, a, b);
                  });

  epilogue.begin(slab);
#pragma unroll 1
  for (int i = 0; i < Loop::kSlabs; ++i) {
    slab.index = i;
    loop.write_slab(i, values, kSlabPitch<Loop>);
    epilogue.slab(slab);
    gpu::sync_block();
  }
  epilogue.finish(slab, values + kSlabArea / 4);
}

template <class Loop, class Epilogue, class Call>
__global__ void __launch_bounds__(Loop::kThreads, kMinBlocks<Loop>)
    tile_product_kernel(const __grid_constant__ Call p) {
  GPU_DYN_SHARED(unsigned char, shared);
  run_tile<Loop, Epilogue>(p, shared, blockIdx.x, blockIdx.z);
}

// The inner loop for each kind of arithmetic and tile. A row of a staged tile along k is 64 bytes,
// in small tiles 128, where there are fewer threads to keep copies in flight.
template <ProductMath kMath, TileSize kSize, Along kA, Along kB>
struct LoopOf;

template <Along kA, Along kB>
struct LoopOf<ProductMath::kBf16, TileSize::kTall, kA, kB> {
  using Type = gpu::MmaLoop<Bf16, 256, 128, 32, 4, 2, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kBf16, TileSize::kLarge, kA, kB> {
  using Type = gpu::MmaLoop<Bf16, 128, 128, 32, 2, 4, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kBf16, TileSize::kLong, kA, kB> {
  using Type = gpu::MmaLoop<Bf16, 128, 64, 32, 2, 2, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kBf16, TileSize::kMedium, kA, kB> {
  using Type = gpu::MmaLoop<Bf16, 64, 64, 32, 2, 2, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kBf16, TileSize::kSmall, kA, kB> {
  using Type = gpu::MmaLoop<Bf16, 32, 32, 64, 2, 2, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kTf32, TileSize::kLarge, kA, kB> {
  using Type = gpu::MmaLoop<float, 128, 128, 16, 2, 4, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kTf32, TileSize::kSmall, kA, kB> {
  using Type = gpu::MmaLoop<float, 32, 32, 32, 2, 2, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kF32, TileSize::kLarge, kA, kB> {
  using Type = gpu::FfmaLoop<128, 128, 16, 16, 16, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kF32, TileSize::kMedium, kA, kB> {
  using Type = gpu::FfmaLoop<64, 64, 16, 16, 8, kA, kB>;
};
template <Along kA, Along kB>
struct LoopOf<ProductMath::kF32, TileSize::kSmall, kA, kB> {
  using Type = gpu::FfmaLoop<32, 32, 32, 8, 8, kA, kB>;
};

template <class Loop, class Epilogue, class Call>
void launch_tiles(const Call& call, int64_t splits, void* stream) {
  const int64_t tiles = ceil_div(call.m, Loop::kM) * ceil_div(call.n, Loop::kN);
  gpu::launch(tile_product_kernel<Loop, Epilogue, Call>,
              {static_cast<unsigned>(tiles), 1, static_cast<unsigned>(splits)},
              {static_cast<unsigned>(Loop::kThreads)}, kProductBytes<Loop>, stream, call);
}

// Calls f<kSize>() for the tile that was chosen. Throws where that one is not built (the choice is
// of another set): a launch that is left out would leave its output as it was.
template <ProductMath kMath, TileSet kSet, class F>
void with_tile(TileSize size, F&& f) {
  const auto call_if = [&]<TileSize kSize>() {
    if constexpr (has_tile(kSet, kMath, kSize)) {
      if (size == kSize) f.template operator()<kSize>();
      return size == kSize;
    } else {
      return false;
    }
  };
  const bool is_called = call_if.template operator()<TileSize::kTall>() ||
                         call_if.template operator()<TileSize::kLarge>() ||
                         call_if.template operator()<TileSize::kLong>() ||
                         call_if.template operator()<TileSize::kMedium>() ||
                         call_if.template operator()<TileSize::kSmall>();
  if (!is_called) throw std::logic_error("tile product: this tile size is not built");
}

template <ProductMath kMath, Along kA, Along kB, class Epilogue, TileSet kSet, class Call>
void launch_product(TileSize size, const Call& call, int64_t splits, void* stream) {
  with_tile<kMath, kSet>(size, [&]<TileSize kSize>() {
    using Loop = typename LoopOf<kMath, kSize, kA, kB>::Type;
    launch_tiles<Loop, Epilogue>(call, splits, stream);
  });
}

// A row-major [outer, inner] tensor as an operand.
template <class T>
gpu::MatrixOperand operand(const T* data, int64_t outer, int64_t inner) {
  const int width = gpu::common_alignment(data, static_cast<std::size_t>(inner) * sizeof(T));
  return {data, outer, inner, width == 16 ? 16 : (width >= 4 ? 4 : 2)};
}

// What the dense ops call: matrices all round.
template <class EpilogueParams>
using MatrixCall = ProductCall<gpu::MatrixOperand, gpu::MatrixOperand, RowMajor, EpilogueParams>;

// A layer's product: x [B,I] times the weight, however that is stored.
template <class EpilogueParams, class T>
MatrixCall<EpilogueParams> layer_product(const DenseShape& s, const T* x, const T* weight) {
  MatrixCall<EpilogueParams> call;
  call.a = operand(x, s.B, s.I);
  call.b = s.weight_transposed ? operand(weight, s.O, s.I) : operand(weight, s.I, s.O);
  call.m = s.B;
  call.n = s.O;
  call.k = call.k_per_split = s.I;
  call.output = {s.O};
  return call;
}

// Calls f<kMath>() with the arithmetic for T on this device: product_math<T>.
template <class T, class F>
void with_math(const Device& device, F&& f) {
  if constexpr (sizeof(T) == 2) {
    f.template operator()<ProductMath::kBf16>();
  } else if (device.allows_tf32) {
    f.template operator()<ProductMath::kTf32>();
  } else {
    f.template operator()<ProductMath::kF32>();
  }
}

// Runs C[B,N] = A[B,K] times the weight, which is stored along k or along n.
template <class T, class Epilogue, TileSet kSet, class Call>
void launch_dense(const Call& call, TileSize size, bool is_along_k, const Device& device,
                  void* stream) {
  with_math<T>(device, [&]<ProductMath kMath>() {
    if (is_along_k) {
      launch_product<kMath, Along::kDepth, Along::kDepth, Epilogue, kSet>(size, call, 1, stream);
    } else {
      launch_product<kMath, Along::kDepth, Along::kWidth, Epilogue, kSet>(size, call, 1, stream);
    }
  });
}

}  // namespace diabolo::kernels::cuda
