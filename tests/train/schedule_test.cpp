// The learning rate against its closed form.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace diabolo {
namespace {

Schedule schedule(ScheduleKind kind, int64_t warmup) {
  Schedule out;
  out.config.kind = kind;
  out.config.warmup_steps = warmup;
  out.config.final_fraction = 0.1;
  out.config.step_epochs = 2;
  out.config.step_factor = 0.5;
  out.optimizer.learning_rate = 0.2;
  out.steps_per_epoch = 10;
  out.total_steps = 101;
  return out;
}

TEST(Schedule, ConstantStaysAndWarmUpRises) {
  const Schedule plain = schedule(ScheduleKind::kConstant, 0);
  const Schedule warm = schedule(ScheduleKind::kConstant, 4);
  for (uint64_t step = 0; step < 200; ++step) {
    EXPECT_EQ(plain.learning_rate(step), 0.2);
    EXPECT_DOUBLE_EQ(warm.learning_rate(step),
                     step < 4 ? 0.05 * static_cast<double>(step + 1) : 0.2);
  }
}

TEST(Schedule, CosineFallsToItsFractionAtTheLastStep) {
  const Schedule cosine = schedule(ScheduleKind::kCosine, 0);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(0), 0.2);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(50), 0.11);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(100), 0.02);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(25), 0.02 + 0.09 * (1 + std::sqrt(0.5)));
  for (uint64_t step = 1; step <= 100; ++step)
    EXPECT_LT(cosine.learning_rate(step), cosine.learning_rate(step - 1));
}

TEST(Schedule, CosineAfterWarmUp) {
  const Schedule cosine = schedule(ScheduleKind::kCosine, 20);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(19), 0.2);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(20), 0.2);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(60), 0.11);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(100), 0.02);
}

TEST(Schedule, StepChangesEverySoManyEpochs) {
  const Schedule steps = schedule(ScheduleKind::kStep, 0);
  EXPECT_DOUBLE_EQ(steps.learning_rate(19), 0.2);
  EXPECT_DOUBLE_EQ(steps.learning_rate(20), 0.1);
  EXPECT_DOUBLE_EQ(steps.learning_rate(39), 0.1);
  EXPECT_DOUBLE_EQ(steps.learning_rate(40), 0.05);
}

TEST(Schedule, PlansCarryAdamsCorrections) {
  const Schedule plain = schedule(ScheduleKind::kConstant, 0);
  EXPECT_FLOAT_EQ(plain.scalars(0).bias_correction1, 0.1f);
  EXPECT_FLOAT_EQ(plain.scalars(1).bias_correction1, 0.19f);
  EXPECT_FLOAT_EQ(plain.scalars(0).bias_correction2_sqrt, std::sqrt(0.001f));
  EXPECT_EQ(plain.scalars(1000000).bias_correction1, 1.0f);
}

}  // namespace
}  // namespace diabolo
