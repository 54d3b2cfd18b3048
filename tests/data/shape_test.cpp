// A million random shapes and more (R4): the exact answer, computed in 128 bits, or a clear error.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>

#include "base/error.h"
#include "base/sanitized.h"
#include "base/tensor.h"
#include "data/rows.h"

namespace diabolo {
namespace {

constexpr int kShapes = testing::fewer_if_sanitized(1'200'000, 20);
constexpr uint64_t kTop = uint64_t{1} << 63;
constexpr std::array<uint64_t, 20> kExtents = {0,
                                               1,
                                               2,
                                               3,
                                               5,
                                               7,
                                               784,
                                               65535,
                                               65536,
                                               kTop,
                                               UINT64_MAX,
                                               kTop - 1,
                                               kTop + 1,
                                               uint64_t{1} << 31,
                                               (uint64_t{1} << 31) - 1,
                                               (uint64_t{1} << 31) + 1,
                                               (uint64_t{1} << 32) - 1,
                                               uint64_t{1} << 32,
                                               (uint64_t{1} << 32) + 1,
                                               uint64_t{1} << 61};

// Products up to 2^63 - 1 exactly, larger ones as nothing. Factors below 2^64 and a bound of 2^63
// keep each step within 128 bits.
__extension__ using Wide = unsigned __int128;
std::optional<uint64_t> product(std::span<const uint64_t> factors, uint64_t start) {
  for (const uint64_t factor : factors)
    if (factor == 0) return 0;
  Wide wide = start;
  for (const uint64_t factor : factors) {
    wide *= factor;
    if (wide >= kTop) return std::nullopt;
  }
  return static_cast<uint64_t>(wide);
}

struct Shapes {
  std::mt19937_64 random{20261123};

  // Small extents are common enough that many shapes are fine.
  std::vector<uint64_t> next() {
    std::vector<uint64_t> extents(random() % 10);
    const bool is_small = random() % 2 == 0;
    for (uint64_t& extent : extents)
      extent = is_small ? random() % 40 : kExtents[random() % kExtents.size()];
    return extents;
  }
  DType dtype() { return static_cast<DType>(random() % 13); }
};

bool is_acceptable(std::span<const uint64_t> extents, DType dtype) {
  if (extents.empty() || extents.size() > kMaxRank) return false;
  const auto row = product(extents.subspan(1), 1);
  if (!row || *row == 0 || *row > kMaxRowElems) return false;
  return product(extents, size_bytes(dtype)).has_value();
}

TEST(ShapeTest, RowsOfAMillionRandomShapes) {
  Shapes shapes;
  int accepted = 0;
  for (int i = 0; i < kShapes; ++i) {
    const auto extents = shapes.next();
    const DType dtype = shapes.dtype();
    std::optional<RowShape> shape;
    try {
      shape = checked_rows("file", ErrorCode::kData, dtype, extents);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kData);
    }
    ASSERT_EQ(shape.has_value(), is_acceptable(extents, dtype)) << i;
    if (!shape) continue;
    ++accepted;
    ASSERT_EQ(shape->rows, extents[0]);
    ASSERT_EQ(static_cast<uint64_t>(shape->row.elems()),
              *product(std::span(extents).subspan(1), 1));
    ASSERT_EQ(shape->bytes, *product(extents, size_bytes(dtype)));
  }
  EXPECT_GT(accepted, kShapes / 8);
  EXPECT_LT(accepted, kShapes * 7 / 8);
}

TEST(ShapeTest, DescriptionsOfAMillionRandomShapes) {
  Shapes shapes;
  int accepted = 0;
  for (int i = 0; i < kShapes; ++i) {
    auto extents = shapes.next();
    if (extents.size() > kMaxRank) extents.resize(kMaxRank);
    for (uint64_t& extent : extents) extent &= kTop - 1;  // a negative extent is a bug of ours
    const DType dtype = shapes.dtype();
    const std::vector<int64_t> signed_extents(extents.begin(), extents.end());
    const auto bytes = product(extents, size_bytes(dtype));
    try {
      const TensorDesc desc(dtype, signed_extents);
      ASSERT_TRUE(bytes.has_value()) << desc.text();
      ASSERT_EQ(desc.bytes(), *bytes);
      ASSERT_EQ(static_cast<uint64_t>(desc.elems()), *bytes / size_bytes(dtype));
      ++accepted;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kResource);
      ASSERT_FALSE(bytes.has_value()) << i;
    }
  }
  EXPECT_GT(accepted, kShapes / 4);
}

}  // namespace
}  // namespace diabolo
