// What is said of a CPU's products: nothing that noise could have said.
#include "backend/product_rates.h"

#include <gtest/gtest.h>

namespace diabolo {
namespace {

TEST(ProductRates, Bf16IsSlowerOnlyWhereMostRoundsSaySo) {
  EXPECT_TRUE(is_slower(std::vector{0.6, 0.62, 0.7, 0.58, 0.61}));
  EXPECT_TRUE(is_slower(std::vector{0.6, 0.62, 1.7, 0.58, 0.61}));  // one round was disturbed
  EXPECT_FALSE(is_slower(std::vector{0.6, 0.62, 1.7, 1.4, 0.61}));
  EXPECT_FALSE(is_slower(std::vector{0.97, 0.96, 0.99, 0.98, 0.97}));  // as fast, within noise
  EXPECT_FALSE(is_slower(std::vector{1.7, 1.8, 1.9, 1.7, 1.6}));
  EXPECT_FALSE(is_slower(std::vector{0.6, 0.6}));  // too few to say
  EXPECT_FALSE(is_slower({}));
}

TEST(ProductRates, AreMeasuredWithinTheTime) {
  const auto host = create_host_backend(1);
  const ProductRates rates = measure_products(*host, 0.01);
  EXPECT_GT(rates.f32, 1e7);
  EXPECT_TRUE(rates.bf16 == 0 || host->info().cpu.has_bf16);  // a build without oneDNN has none
  EXPECT_EQ(rates.gains.empty(), rates.bf16 == 0);
}

}  // namespace
}  // namespace diabolo
