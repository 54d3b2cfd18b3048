// The real thing, briefly: one epoch of the `dense` preset on Fashion-MNIST. (Twenty epochs and
// three seeds: bench/README.md.)
#include "infer/inference.h"
#include "model/presets.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

constexpr const char* kFolder = "/usr/share/datasets/fashion-mnist/";

TEST(FashionMnist, OneEpochIsNearPca) {
  const std::string folder = kFolder;
  if (!std::filesystem::exists(folder + "train-images-idx3-ubyte.gz"))
    GTEST_SKIP() << "needs Debian's package dataset-fashion-mnist";
  const auto train_data = open_dataset(folder + "train-images-idx3-ubyte.gz");
  const auto test_data = open_dataset(folder + "t10k-images-idx3-ubyte.gz");
  const auto backend = create_host_backend();
  Config config = preset_config("dense");
  config.train.epochs = 1;
  const TrainResult result = train(*backend, config, *train_data, nullptr, {}, {});

  std::vector<std::byte> raw(10000 * 784);
  test_data->read(0, 0, 10000, raw);
  std::vector<float> scores(10000);
  Scores out;
  out.score = scores;
  Inference(*backend, result.model, {}).score({DType::kU8, false, raw, 10000}, out);
  double mse = 0;
  for (const float score : scores) mse += static_cast<double>(score) / 10000;
  // A mean image has 0.087, PCA with 32 components 0.015; twenty epochs reach 0.0095.
  EXPECT_LT(mse, 0.03);
  EXPECT_GT(mse, 0.015);
  RecordProperty("test_mse", std::to_string(mse));
}

}  // namespace
}  // namespace diabolo
