// The extents of convolutions, against a table that was counted by hand, and against a kernel that
// is put down place by place; and plans of large ones, which nothing is allocated for but that.
#include "ops/conv2d_shape.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <limits>

#include "base/error.h"
#include "kernels/conv2d.h"

namespace diabolo {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

struct Known {
  int64_t image;
  ConvWalk walk;  // kernel, stride, dilation, before, after
  int64_t grid, rest;
};
constexpr Known kKnown[] = {
    {28, {3, 1, 1, 0, 0}, 26, 0},    // no padding
    {28, {3, 1, 1, 1, 1}, 28, 0},    // "same"
    {28, {3, 2, 1, 1, 1}, 14, 1},    // halves, and is one short on the way back
    {29, {3, 2, 1, 1, 1}, 15, 0},    // does not halve
    {7, {3, 2, 1, 1, 1}, 4, 0},      //
    {224, {7, 2, 1, 3, 3}, 112, 1},  // ResNet's first
    {227, {11, 4, 1, 0, 0}, 55, 0},  // AlexNet's first
    {64, {4, 2, 1, 1, 1}, 32, 0},    // DCGAN's
    {5, {2, 3, 1, 0, 0}, 2, 0},      // a stride over the kernel
    {6, {2, 3, 1, 0, 0}, 2, 1},      //
    {10, {3, 1, 3, 0, 0}, 4, 0},     // spans 7
    {10, {3, 2, 2, 2, 2}, 5, 1},     //
    {2, {5, 1, 1, 2, 2}, 2, 0},      // a kernel over the image
    {1, {1, 1, 1, 0, 0}, 1, 0},      //
    {3, {1, 2, 1, 2, 3}, 4, 1},      // padding over the kernel
};

TEST(ConvExtents, AreThoseOfTheTable) {
  for (const Known& known : kKnown) {
    SCOPED_TRACE(cat("image ", known.image, " kernel ", known.walk.kernel));
    EXPECT_EQ(conv_grid(known.image, known.walk), known.grid);
    EXPECT_EQ(conv_rest(known.image, known.walk), known.rest);
    EXPECT_EQ(conv_image(known.grid, known.walk, known.rest), known.image);
  }
}

// Calls f(walk) for every small one.
template <class F>
void for_each_walk(const F& f) {
  for (int64_t kernel = 1; kernel <= 4; ++kernel)
    for (int64_t stride = 1; stride <= 4; ++stride)
      for (int64_t dilation = 1; dilation <= 3; ++dilation)
        for (int64_t before = 0; before <= 3; ++before)
          for (int64_t after = 0; after <= 3; ++after)
            f(ConvWalk{kernel, stride, dilation, before, after});
}

TEST(ConvExtents, AreWhatPuttingTheKernelDownCounts) {
  for_each_walk([](const ConvWalk& walk) {
    for (int64_t image = 1; image <= 12; ++image) {
      int64_t count = 0;
      for (int64_t at = 0;
           at + (walk.kernel - 1) * walk.dilation < walk.before + image + walk.after;
           at += walk.stride)
        ++count;
      const auto grid = conv_grid(image, walk);
      ASSERT_EQ(grid.value_or(0), count);
      if (!grid) continue;
      const int64_t rest = conv_rest(image, walk);
      ASSERT_TRUE(rest >= 0 && rest < walk.stride);
      ASSERT_EQ(conv_image(*grid, walk, rest), image) << "an image comes back in its own size";
    }
  });
}

TEST(ConvExtents, SamePaddingGivesACeilingOfTheStrideAtEverySize) {
  for_each_walk([](const ConvWalk& walk) {
    const auto same = padded_same(walk);
    ASSERT_TRUE(same);
    for (int64_t image = 1; image <= 12; ++image)
      ASSERT_EQ(conv_grid(image, *same), (image + walk.stride - 1) / walk.stride);
  });
}

TEST(ConvExtents, NumbersThatDoNotFitAreNothing) {
  EXPECT_FALSE(conv_grid(2, {3, 1, 1, 0, 0}));
  EXPECT_FALSE(conv_grid(kMost, {3, 1, 1, 1, 1}));
  EXPECT_FALSE(conv_grid(5, {3, 1, kMost, 0, 0}));
  EXPECT_FALSE(conv_grid(5, {3, 1, 1, kMost, 1}));
  EXPECT_FALSE(conv_image(1, {1, 1, 1, 1, 0}, 0)) << "the padding leaves nothing";
  EXPECT_FALSE(conv_image(kMost, {3, 2, 1, 0, 0}, 0));
  EXPECT_FALSE(conv_image(kMost, {3, 1, 1, 0, 0}, 0));
  EXPECT_FALSE(padded_same({3, 1, kMost, 0, 0}));
}

// Of a layer with as much padding as "same" has.
kernels::Conv2dShape shape_of(int64_t B, int64_t image, ConvWalk walk, int64_t C, int64_t O) {
  walk = *padded_same(walk);
  const kernels::ConvAxis axis{image,       *conv_grid(image, walk), walk.kernel,
                               walk.stride, walk.dilation,           walk.before};
  return {.B = B, .h = axis, .w = axis, .C = C, .O = O};
}

int64_t peak_kibibytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

template <class T>
void plan_all(const kernels::Conv2dShape& shape, const kernels::cpu::CpuFeatures& cpu) {
  kernels::Conv2dForward<T> forward{.shape = shape};
  kernels::Conv2dDataGrad<T> data{.shape = shape};
  kernels::Conv2dWeightGrad<T> weight{.shape = shape};
  prepare(forward, cpu, nullptr);
  EXPECT_GT(scratch_bytes(forward, cpu), 0u);
  EXPECT_GT(scratch_bytes(data, cpu), 0u);
  EXPECT_GT(scratch_bytes(weight, cpu), 0u);
  prepare(data, cpu, nullptr);
  prepare(weight, cpu, nullptr);
}

// A plan comes before anybody has asked whether there is memory for it.
TEST(ConvPlans, TakeLittleMemoryWhateverTheBatchAndTheStride) {
  const kernels::cpu::CpuFeatures cpu{.threads = 16};
  plan_all<float>(shape_of(2, 8, {3, 2, 1, 0, 0}, 2, 3), cpu);
  const int64_t before = peak_kibibytes();
  plan_all<float>(shape_of(65536, 1024, {3, 2, 1, 0, 0}, 1, 8), cpu);
  plan_all<float>(shape_of(4, 1024, {3, 64, 1, 0, 0}, 2, 3), cpu);
  EXPECT_LT(peak_kibibytes() - before, 64 << 10);
}

TEST(ConvPlans, TooManyPhasesAreForTheReference) {
  const kernels::cpu::CpuFeatures cpu{.threads = 2};
  const auto refusal_of = [&](int64_t stride, bool is_transposed) {
    kernels::Conv2dShape shape = shape_of(1, 1024, {3, stride, 1, 0, 0}, 1, 1);
    shape.is_transposed = is_transposed;
    return refusal(kernels::Conv2dForward<float>{.shape = shape}, cpu);
  };
  EXPECT_EQ(refusal_of(64, true), nullptr);
  EXPECT_NE(refusal_of(65, true), nullptr);
  EXPECT_EQ(refusal_of(1024, false), nullptr);
}

TEST(ConvPlans, PartsOfAGradientOnADeviceAreEnoughAndCoverAllOnce) {
  for (const int64_t B : {1, 7, 4096})
    for (const int64_t image : {1, 5, 64})
      for (const int64_t O : {1, 24, 512}) {
        const auto shape = shape_of(B, image, {3, 1, 1, 0, 0}, 1, O);
        const auto split = kernels::cuda::conv2d_grad_parts(shape, true);
        const int64_t rows = B * image, cells = rows * image;
        EXPECT_TRUE(split.parts * split.rows >= rows && (split.parts - 1) * split.rows < rows);
        EXPECT_GE(split.parts * split.cells, cells);
        EXPECT_LE(split.parts, 512);
        EXPECT_TRUE(rows < 4096 || O < 24 || split.parts * split.numbers >= int64_t{1} << 16);
      }
}

TEST(ConvPlans, AnExtentOf0IsRefusedByADevice) {
  kernels::Conv2dShape shape = shape_of(2, 5, {3, 1, 1, 0, 0}, 1, 1);
  EXPECT_STRNE(kernels::cuda::refuse_shape(shape, {}), "an extent is 0");
  shape.B = 0;
  EXPECT_STREQ(kernels::cuda::refuse_shape(shape, {}), "an extent is 0");
}

}  // namespace
}  // namespace diabolo
