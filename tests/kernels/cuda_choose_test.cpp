// The CUDA kernels' choices and index maps, exhaustively where they are small, and at sizes beyond
// 2^31 elements. Pure functions: no GPU, no harness.
#include <gtest/gtest.h>

#include <set>

#include "kernels/cuda/choose.h"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/tile_layout.h"
#include "kernels/cuda/rates.h"
#include "kernels/dense.h"

namespace diabolo::kernels {
namespace {

using cuda::ceil_div;
using cuda::Device;
using cuda::ProductMath;
using cuda::TileSet;
using cuda::TileSize;
using gpu::Along;

constexpr int64_t kExtents[] = {1,  2,   31,  32,  33,  63,    64,
                                65, 127, 128, 129, 784, 65536, int64_t{1} << 20};

Device device_of(int multiprocessors) {
  Device device;
  device.multiprocessors = multiprocessors;
  return device;
}

TEST(CudaChoose, ATileThatIsBuiltInOnePart) {
  for (const int64_t m : kExtents) {
    for (const int64_t n : kExtents) {
      for (const ProductMath math : {ProductMath::kF32, ProductMath::kTf32, ProductMath::kBf16}) {
        for (const TileSet set : {TileSet::kAll, TileSet::kLargeAndSmall}) {
          const auto choice = cuda::choose_product({m, n, 100}, set, math, device_of(132));
          EXPECT_TRUE(cuda::has_tile(set, math, choice.tile));
          EXPECT_EQ(choice.splits, 1);
          EXPECT_EQ(choice.k_per_split, 100);
        }
      }
    }
  }
}

TEST(CudaChoose, WeightGradPartsCoverTheBatchOnce) {
  for (const int64_t B : kExtents) {
    for (const int64_t width : {int64_t{1}, int64_t{64}, int64_t{784}, int64_t{4096}}) {
      for (const int multiprocessors : {1, 108, 170}) {
        const DenseShape shape{B, width, 512};
        for (const auto& split :
             {cuda::choose_weight_grad<float>(shape, device_of(multiprocessors)),
              cuda::choose_weight_grad<Bf16>(shape, device_of(multiprocessors))}) {
          EXPECT_GE(split.splits, 1);
          EXPECT_LE(split.splits, 64);  // grid z, and the scratch
          EXPECT_GE(split.splits * split.k_per_split, B);
          EXPECT_LT((split.splits - 1) * split.k_per_split, B) << "an empty part";
          EXPECT_TRUE(split.splits == 1 || split.k_per_split % 64 == 0);
        }
      }
    }
  }
}

// Loaders count the depth of a tile in 32 bits.
TEST(CudaChoose, NoPartIsDeeperThanTwoToThe30) {
  for (const int64_t B : {(int64_t{1} << 30) + 1, int64_t{1} << 33, int64_t{1} << 36}) {
    for (const int multiprocessors : {1, 16, 132}) {  // one wave each, as deep as it likes
      const auto split = cuda::choose_weight_grad<float>({B, 512, 512}, device_of(multiprocessors));
      EXPECT_LE(split.k_per_split, int64_t{1} << 30) << B << " on " << multiprocessors;
      EXPECT_GE(split.splits * split.k_per_split, B);
    }
  }
}

// The layers of a 784-512-256-64 net on an H100.
TEST(CudaChoose, WeightGradsOfAnH100) {
  const Device h100 = device_of(132);
  for (const int64_t B : {32, 256}) {  // a second launch costs more than it saves
    for (const auto& [I, O] : {std::pair{784, 512}, {512, 256}, {256, 64}}) {
      EXPECT_EQ(cuda::choose_weight_grad<Bf16>({B, I, O}, h100).splits, 1);
      EXPECT_EQ(cuda::choose_weight_grad<float>({B, I, O}, h100).splits, 1);
    }
  }
  const auto expect = [&](const DenseShape& shape, TileSize tile, int64_t least, int64_t most) {
    const auto split = cuda::choose_weight_grad<Bf16>(shape, h100);
    EXPECT_EQ(split.tile, tile) << shape.B << " " << shape.I << " " << shape.O;
    EXPECT_GE(split.splits, least) << shape.B << " " << shape.I << " " << shape.O;
    EXPECT_LE(split.splits, most) << shape.B << " " << shape.I << " " << shape.O;
  };
  expect({256, 784, 512}, TileSize::kMedium, 1, 1);  // 104 tiles
  expect({4096, 784, 512}, TileSize::kLarge, 4, 4);  // 28 tiles, 112 blocks
  expect({4096, 256, 64}, TileSize::kSmall, 8, 16);
  expect({65536, 784, 512}, TileSize::kTall, 4, 33);
  expect({65536, 256, 64}, TileSize::kLong, 32, 64);  // a large tile would be half empty
}

// Padding counts: what the last tiles hang over is time too.
TEST(CudaChoose, TilesOfAnH100) {
  const auto tile = [](int64_t m, int64_t n, int64_t k) {
    return cuda::choose_product({m, n, k}, TileSet::kAll, ProductMath::kBf16, device_of(132)).tile;
  };
  EXPECT_EQ(tile(4096, 512, 784), TileSize::kLarge);   // 128 tiles, a wave
  EXPECT_EQ(tile(65536, 512, 784), TileSize::kTall);   // moves less for an output
  EXPECT_EQ(tile(65536, 512, 511), TileSize::kLarge);  // a short sum does not pay for its ends
  EXPECT_EQ(tile(65536, 64, 256), TileSize::kLong);    // a large tile would be half empty
  EXPECT_EQ(tile(4096, 256, 512), TileSize::kLong);    // 128 of them, 64 large ones
  EXPECT_EQ(tile(256, 512, 784), TileSize::kSmall);    // 128 of them, 8 large ones
  EXPECT_EQ(tile(1, 64, 784), TileSize::kSmall);
}

// What one launch for both gradients gains is the other's, and the rest of its last wave.
TEST(CudaChoose, BothGradientsInOneLaunch) {
  const Device h100 = device_of(132);
  const auto pays = [&](const DenseShape& shape, ProductMath math = ProductMath::kBf16) {
    return cuda::dense_grads_pay(shape, math, h100, true);
  };
  EXPECT_TRUE(pays({256, 784, 512}));
  EXPECT_TRUE(pays({256, 512, 256}, ProductMath::kF32));
  EXPECT_FALSE(pays({256, 512, 256}, ProductMath::kTf32)) << "not built";
  DenseWeightGrad<Bf16> weight{.shape = {256, 512, 256}, .leaves_parts = true};
  DenseDataGrad<Bf16> data{.shape = weight.shape};
  EXPECT_TRUE(cuda::joins(weight, data, h100));
  data.shape.weight_transposed = true;
  EXPECT_FALSE(cuda::joins(weight, data, h100)) << "of another layer";
  // The sum of an element of dx is as short as the layer is wide: no tall tile for that either.
  for (const auto& [I, O] : {std::pair{512, 256}, {256, 64}})
    EXPECT_NE(cuda::choose_dense_grads({65536, I, O}, ProductMath::kBf16, h100, true).tile,
              TileSize::kTall);
  // The blocks of both are of one grid: here 2^31 - 2 tiles of dx alone.
  const DenseShape most{(int64_t{1} << 36) - 64, 32, 32};
  EXPECT_EQ(cuda::refuse_shape(most, h100), nullptr);
  EXPECT_EQ(cuda::choose_dense_grads(most, ProductMath::kF32, h100, true).tile, TileSize::kSmall);
  EXPECT_TRUE(pays({most.B / 4, 32, 32}, ProductMath::kF32));
  EXPECT_FALSE(pays(most, ProductMath::kF32));
}

// A multiprocessor has 1 KiB more than one of its blocks can have, and each block takes that much.
TEST(CudaChoose, BlocksShareWhatTheDeviceHas) {
  Device device;
  device.shared_bytes_per_block = 99 * 1024;
  EXPECT_EQ(cuda::resident_blocks(5, 24 * 1024, device), 4);
  EXPECT_EQ(cuda::resident_blocks(5, 25 * 1024, device), 3);
  EXPECT_EQ(cuda::resident_blocks(2, 24 * 1024, device), 2);
  EXPECT_EQ(cuda::resident_blocks(2, 99 * 1024, device), 1);
}

TEST(CudaChoose, FlatSumsCoverTheArrayOnce) {
  for (const int64_t n : {int64_t{1}, int64_t{3}, int64_t{4}, int64_t{16384}, int64_t{16385},
                          int64_t{300000000}, (int64_t{1} << 31) + 5, int64_t{1} << 40}) {
    const auto sum = cuda::choose_flat_sum(n);
    EXPECT_GE(sum.blocks * sum.elems_per_block, n);
    EXPECT_LT((sum.blocks - 1) * sum.elems_per_block, n) << "an empty block";
    EXPECT_EQ(sum.elems_per_block % 4, 0) << "quads would straddle blocks";
    EXPECT_LE(sum.blocks, 4096);
    EXPECT_LE(cuda::choose_flat_blocks(ceil_div(n, 4), device_of(132)), 132 * 8);
  }
}

TEST(CudaChoose, ScratchBeyondTwoToThe31) {
  DenseScore<float> score;
  score.shape = {int64_t{1} << 28, 64, 4096};
  EXPECT_EQ(cuda::scratch_bytes(score, Device{}), (uint64_t{1} << 28) * 32 * 4);
  DenseLoss<Bf16> loss;
  loss.shape = {int64_t{1} << 24, 64, 4096};
  EXPECT_EQ(cuda::scratch_bytes(loss, Device{}), (uint64_t{1} << 17) * 32 * 4);
}

TEST(CudaChoose, Refuses) {
  DenseForward<float> p;
  p.shape = {0, 4, 4};
  EXPECT_STREQ(cuda::refusal(p, Device{}), "an extent is 0");
  p.shape = {65536, 784, 512};
  EXPECT_EQ(cuda::refusal(p, Device{}), nullptr);
  Device old;
  old.arch = 75;
  EXPECT_STREQ(cuda::refusal(p, old), "the device is older than sm_80");
  p.shape = {int64_t{1} << 40, 32, 1024};
  EXPECT_STREQ(cuda::refusal(p, Device{}), "more than 2^31 tiles");
  for (const auto& [I, O] :
       {std::pair{int64_t{1} << 21, int64_t{1} << 21},
        {int64_t{1} << 29, int64_t{1} << 12},
        {int64_t{1} << 30, int64_t{1024}}}) {  // the weight's, whatever the batch
    p.shape = {1, I, O};
    EXPECT_STREQ(cuda::refusal(p, Device{}), "more than 2^31 tiles") << I << " " << O;
  }
  p.shape = {1, int64_t{1} << 20, int64_t{1} << 18};
  EXPECT_EQ(cuda::refusal(p, Device{}), nullptr);
}

// Calls f<tile>() for every staged tile of kernels/README.md, either way round.
template <class F>
void for_each_tile(F&& f) {
  const auto both_ways = [&]<int kBytes, int kWidth, int kDepth>() {
    f.template operator()<gpu::StagedTile<kBytes, kWidth, kDepth, Along::kDepth>>();
    f.template operator()<gpu::StagedTile<kBytes, kWidth, kDepth, Along::kWidth>>();
  };
  both_ways.template operator()<2, 256, 32>();
  both_ways.template operator()<2, 128, 32>();  // of the long tile too
  both_ways.template operator()<2, 64, 32>();
  both_ways.template operator()<2, 32, 64>();
  both_ways.template operator()<4, 128, 16>();
  both_ways.template operator()<4, 64, 16>();
  both_ways.template operator()<4, 32, 32>();
}

template <class Tile>
inline constexpr int kElemBytes = gpu::kChunkBytes / Tile::kChunkElems;

TEST(CudaTiles, ChunksHaveOnePlaceEach) {
  for_each_tile([]<class Tile>() {
    std::set<int> places;
    for (int row = 0; row < Tile::kOuter; ++row) {
      for (int chunk = 0; chunk < Tile::kRowChunks; ++chunk) {
        const int at = Tile::chunk_at(row, chunk);
        EXPECT_EQ(at % 16, 0);
        EXPECT_GE(at, 0);
        EXPECT_LT(at, Tile::kBytes);
        places.insert(at);
      }
    }
    EXPECT_EQ(static_cast<int>(places.size()), Tile::kChunks);
  });
}

// Accesses of 16 bytes go to shared memory eight lanes at a time: they are free of conflicts if the
// eight chunks lie in different 16-byte columns of the 128 bytes that the banks make.
template <class Tile>
class Phase {
 public:
  void add(int row, int chunk) { columns_.insert(Tile::chunk_at(row, chunk) % 128); }
  void expect_no_conflict() const { EXPECT_EQ(columns_.size(), 8U); }

 private:
  std::set<int> columns_;
};

// A loader's neighbouring lanes copy neighbouring chunks.
TEST(CudaTiles, CopiesWriteWithoutBankConflicts) {
  for_each_tile([]<class Tile>() {
    for (int first = 0; first < Tile::kChunks; first += 8) {
      Phase<Tile> phase;
      for (int i = first; i < first + 8; ++i) phase.add(i / Tile::kRowChunks, i % Tile::kRowChunks);
      phase.expect_no_conflict();
    }
  });
}

// A phase of ldmatrix, and of the FFMA loop along k, reads eight rows at one chunk. Floats along
// the width are read by neither.
TEST(CudaTiles, EightRowsAtOneChunkReadWithoutBankConflicts) {
  for_each_tile([]<class Tile>() {
    if (kElemBytes<Tile> == 4 && Tile::kDirection == Along::kWidth) return;
    for (int chunk = 0; chunk < Tile::kRowChunks; ++chunk) {
      for (int first = 0; first < Tile::kOuter; first += 8) {
        Phase<Tile> phase;
        for (int row = first; row < first + 8; ++row) phase.add(row, chunk);
        phase.expect_no_conflict();
      }
    }
  });
}

// A phase of the FFMA loop along the width reads eight neighbouring chunks of one row.
TEST(CudaTiles, EightChunksOfARowReadWithoutBankConflicts) {
  for_each_tile([]<class Tile>() {
    if (kElemBytes<Tile> != 4 || Tile::kDirection == Along::kDepth) return;
    for (int row = 0; row < Tile::kOuter; ++row) {
      for (int first = 0; first < Tile::kRowChunks; first += 8) {
        Phase<Tile> phase;
        for (int chunk = first; chunk < first + 8; ++chunk) phase.add(row, chunk);
        phase.expect_no_conflict();
      }
    }
  });
}

// tf32 fragments of an operand along the width: lanes read k = lane % 4, m = lane / 4; 32 banks.
TEST(CudaTiles, Tf32AlongTheWidthReadsWithoutBankConflicts) {
  for_each_tile([]<class Tile>() {
    if (kElemBytes<Tile> != 4 || Tile::kDirection == Along::kDepth) return;
    for (int first = 0; first < Tile::kInner; first += 8) {
      for (int k = 0; k < Tile::kOuter; k += 4) {
        std::set<int> banks;
        for (int lane = 0; lane < 32; ++lane) {
          banks.insert(Tile::element_at(k + lane % 4, first + lane / 4) / 4 % 32);
        }
        EXPECT_EQ(banks.size(), 32U);
      }
    }
  });
}

// The accumulator map is a bijection of (lane, register) onto the 16 x 8 tile.
TEST(CudaTiles, AccumulatorCoversItsTile) {
  std::set<std::pair<int, int>> places;
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) places.insert({gpu::mma_c_row(lane, i), gpu::mma_c_col(lane, i)});
  }
  EXPECT_EQ(places.size(), 128U);
  EXPECT_EQ(places.begin()->first, 0);
  EXPECT_EQ(*places.rbegin(), (std::pair<int, int>{15, 7}));
}

}  // namespace
}  // namespace diabolo::kernels
