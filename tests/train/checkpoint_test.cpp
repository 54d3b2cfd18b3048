// Checkpoints as files: what comes back, and what is refused. (resume_test.cpp: what goes on.)
#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "train/checkpoint_parts.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

class CheckpointTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(CheckpointTest, EveryFieldOfACheckpointComesBack) {
  Checkpoint saved;
  saved.identity = "of this training";
  saved.step = 11, saved.epoch = 2, saved.position = 96, saved.metrics_bytes = 345;
  saved.loss_sum = 0.1, saved.term_sums = {{"a", 0.7}, {"b_sum", 1e-300}};
  saved.seconds = 12.25, saved.last_validation_loss = 0.3, saved.best_validation_loss = 0.2;
  saved.best_epoch = 1;
  saved.best = {{9, 10, 11}, {12, 13}};
  saved.computed_on = "the CPU with 3 threads";
  saved.data_file = {{"/data/rows.npy", "5:hash"}, "5:7:ends"};
  VectorBlobs blobs(3), found_blobs(3), others(4);
  blobs.master = {1, 2, -0.0f}, blobs.m = {3, 4, 5}, blobs.v = {6, 7, 8};
  blobs.mean = {-1, -0.0f}, found_blobs.mean = {0, 0};
  const std::string path = folder_ / "checkpoint";
  save_checkpoint(saved, blobs, path, real_file_system());
  const Checkpoint found =
      load_checkpoint(path, found_blobs, is(saved.identity), real_file_system());
  EXPECT_EQ(found.step, saved.step);
  EXPECT_EQ(found.epoch, saved.epoch);
  EXPECT_EQ(found.position, saved.position);
  EXPECT_EQ(found.loss_sum, saved.loss_sum);
  ASSERT_EQ(found.term_sums.size(), 2);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(found.term_sums[i].name, saved.term_sums[i].name);
    EXPECT_EQ(found.term_sums[i].value, saved.term_sums[i].value);
  }
  EXPECT_EQ(found.seconds, saved.seconds);
  EXPECT_EQ(found.metrics_bytes, saved.metrics_bytes);
  EXPECT_EQ(found.last_validation_loss, saved.last_validation_loss);
  EXPECT_EQ(found.best_validation_loss, saved.best_validation_loss);
  EXPECT_EQ(found.best_epoch, saved.best_epoch);
  EXPECT_EQ(found_blobs.master, blobs.master);
  EXPECT_TRUE(std::signbit(found_blobs.master[2]));
  EXPECT_EQ(found_blobs.m, blobs.m);
  EXPECT_EQ(found_blobs.v, blobs.v);
  EXPECT_EQ(found_blobs.mean, blobs.mean);
  EXPECT_EQ(found.best, saved.best);
  EXPECT_EQ(found.computed_on, saved.computed_on);
  EXPECT_EQ(found.data_file.stamp.path, saved.data_file.stamp.path);
  EXPECT_EQ(found.data_file.stamp.content, saved.data_file.stamp.content);
  EXPECT_EQ(found.data_file.identity, saved.data_file.identity);
  EXPECT_THROW(load_checkpoint(path, others, is(saved.identity), real_file_system()), Error);
  EXPECT_THROW(load_checkpoint(path, found_blobs, is("of another"), real_file_system()), Error);
}

TEST_F(CheckpointTest, AFileThatIsKnownIsNotReadAgainForItsStamp) {
  const std::string path = folder_ / "rows.raw";
  const auto stamp = [&](const KnownFile& known) {
    OpenOptions raw;
    raw.format = "raw", raw.dtype = DType::kF32, raw.row_shape = {2};
    return stamp_of(*open_dataset(path, raw), Log(), known);
  };
  std::ofstream(path) << std::string(800, 'a');
  KnownFile known = stamp({});
  EXPECT_TRUE(why_not_usable(known.stamp).empty());
  known.stamp.content = "as it was";  // what only a new reading would mend
  EXPECT_EQ(stamp(known).stamp.content, "as it was");
  std::ofstream(path) << std::string(800, 'b');
  EXPECT_TRUE(why_not_usable(stamp(known).stamp).empty());
}

// Whole files that do not hold what they say.
TEST_F(CheckpointTest, ACheckpointWithoutWhatItsStepNeedsIsRefused) {
  const std::string path = folder_ / "checkpoint";
  VectorBlobs all(3);
  Checkpoint good;
  good.identity = "of this training";
  good.step = 11, good.epoch = 2;
  const auto refused = [&](const Checkpoint& checkpoint, const VectorBlobs& blobs) {
    save_checkpoint(checkpoint, blobs, path, real_file_system());
    return is_refused(content_of(path), 3, good.identity);
  };
  EXPECT_FALSE(refused(good, all));
  for (std::vector<float> VectorBlobs::*lost : {&VectorBlobs::m, &VectorBlobs::v}) {
    VectorBlobs some(3);
    (some.*lost).clear();
    EXPECT_TRUE(refused(good, some));
  }
  Checkpoint changed = good;
  changed.best = {{1, 2, 3}};
  EXPECT_TRUE(refused(changed, all)) << "weights of no epoch";
  changed.best_epoch = 1;
  EXPECT_FALSE(refused(changed, all));
  changed.best_epoch = 3;
  EXPECT_TRUE(refused(changed, all)) << "an epoch to come";
  changed.best_epoch = 1;
  changed.best.clear();
  EXPECT_TRUE(refused(changed, all)) << "no weights of the best epoch";
  Checkpoint first = good;
  first.step = 0, first.epoch = 0;
  EXPECT_FALSE(refused(first, all)) << "an optimizer holds nothing yet";
}

}  // namespace
}  // namespace diabolo
