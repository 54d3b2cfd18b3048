// Which rows a model takes, and what is said of those that it does not.
#include "data/row_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/expect_error.h"

namespace diabolo {
namespace {

using diabolo::testing::error_of;

TensorDesc row(std::initializer_list<int64_t> extents, DType dtype = DType::kU8) {
  return TensorDesc(dtype, extents);
}

TEST(RowFitTest, EqualShapesAndFlatRows) {
  EXPECT_TRUE(rows_fit(row({8, 8}), row({8, 8})));
  EXPECT_TRUE(rows_fit(row({8, 8}), row({64})));
  EXPECT_TRUE(rows_fit(row({64}), row({8, 8})));
  EXPECT_FALSE(rows_fit(row({8, 8}), row({4, 16})));
  EXPECT_FALSE(rows_fit(row({8, 8}), row({63})));
  EXPECT_FALSE(rows_fit(row({3, 8, 8}), row({8, 8, 3})));
  EXPECT_TRUE(rows_fit(row({8, 8}), row({8, 8}, DType::kF64)));
}

TEST(RowFitTest, AxesOfOneElementOrderNothing) {
  EXPECT_TRUE(rows_fit(row({28, 28}), row({28, 28, 1})));
  EXPECT_TRUE(rows_fit(row({1, 28, 28}), row({28, 28})));
  EXPECT_TRUE(rows_fit(row({8, 8}), row({1, 64})));
  EXPECT_TRUE(rows_fit(row({}), row({1})));
  EXPECT_FALSE(rows_fit(row({8, 8, 1}), row({4, 16, 1})));
}

std::string message(const TensorDesc& expected, const TensorDesc& found,
                    std::optional<uint64_t> count, const std::string& what = "") {
  const Error error = error_of([&] { require_rows_fit(expected, {"a.npy", found, count}, what); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  return error.what();
}

TEST(RowFitTest, MessagesNameBothShapesAndTheRemedy) {
  EXPECT_EQ(message(row({8, 8}), row({4, 16}), 100),
            "a.npy: expected rows u8[*,8,8], found u8[100,4,16]; give rows of that shape, or flat "
            "ones of 64 numbers");
  EXPECT_EQ(message(row({5}, DType::kF32), row({}, DType::kF32), 5),
            "a.npy: expected rows f32[*,5], found f32[5]; the first axis counts rows, so these are "
            "5 rows of one number: make the shape of a single row [1,5]");
  EXPECT_EQ(message(row({5}), row({4}), std::nullopt, " (codes)"),
            "a.npy: expected rows u8[*,5] (codes), found u8[*,4]");
}

}  // namespace
}  // namespace diabolo
