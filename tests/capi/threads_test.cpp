// One model, several threads: the bits that each would get alone.
#include <atomic>
#include <cstring>
#include <thread>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 25;

class Threads : public SmallModel {
 protected:
  // Runs work(thread) on all threads, started together.
  template <class Work>
  static void together(const Work& work) {
    std::atomic<int> waiting = kThreads;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        work(t);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(Threads, EveryVerbGivesTheBitsOfOneThread) {
  const std::vector<float> values = wave_rows(600);
  std::vector<float> codes(600 * kCodeSize), rebuilt(600 * kFeatures), scores(600);
  const diabolo_rows all = view(values);
  ASSERT_EQ(diabolo_encode(model, &all, codes.data(), codes.size()), DIABOLO_OK);
  ASSERT_EQ(diabolo_reconstruct(model, &all, rebuilt.data(), rebuilt.size()), DIABOLO_OK);
  ASSERT_EQ(diabolo_score(model, &all, scores.data(), scores.size()), DIABOLO_OK);

  std::atomic<int> wrong = 0;
  const auto compare = [&](diabolo_status status, const std::vector<float>& got,
                           const float* want) {
    const bool is_right =
        status == DIABOLO_OK && std::memcmp(got.data(), want, got.size() * sizeof(float)) == 0;
    if (!is_right) ++wrong;
  };
  together([&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      // Some small enough for the caller's own thread, some not, at different places.
      const uint64_t count = round % 3 == 0 ? 1 : round % 3 == 1 ? 20 : 450;
      const uint64_t first = static_cast<uint64_t>(thread * 31 + round) % (600 - count);
      const diabolo_rows part =
          diabolo_rows_f32(values.data() + first * kFeatures, count, kFeatures);
      std::vector<float> out(count * kCodeSize);
      compare(diabolo_encode(model, &part, out.data(), out.size()), out,
              codes.data() + first * kCodeSize);
      out.resize(count * kFeatures);
      compare(
          diabolo_decode(model, codes.data() + first * kCodeSize, count, out.data(), out.size()),
          out, rebuilt.data() + first * kFeatures);
      compare(diabolo_reconstruct(model, &part, out.data(), out.size()), out,
              rebuilt.data() + first * kFeatures);
      out.resize(count);
      compare(diabolo_score(model, &part, out.data(), out.size()), out, scores.data() + first);
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST_F(Threads, AModelMayBeDestroyedWhileItIsUsed) {
  const std::vector<float> values = wave_rows(200);
  const diabolo_rows rows = view(values);
  diabolo_model* mine = train_small(context);
  std::atomic<int> wrong = 0;
  together([&](int thread) {
    if (thread == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (diabolo_model_destroy(mine) != DIABOLO_OK) ++wrong;
      return;
    }
    std::vector<float> codes(200 * kCodeSize);
    diabolo_status status = DIABOLO_OK;
    while (status == DIABOLO_OK) status = diabolo_encode(mine, &rows, codes.data(), codes.size());
    if (status != DIABOLO_USAGE) ++wrong;  // "destroyed already?"
  });
  EXPECT_EQ(wrong, 0);
}

TEST_F(Threads, SavingInspectingAndTrainingSideBySide) {
  const Folder folder;
  std::atomic<int> wrong = 0;
  together([&](int thread) {
    const std::string path = folder.file("model" + std::to_string(thread));
    for (int round = 0; round < 5; ++round) {
      auto info = sized<diabolo_model_info>();
      if (diabolo_model_save(model, path.c_str()) != DIABOLO_OK) ++wrong;
      if (diabolo_model_inspect(model, &info) != DIABOLO_OK) ++wrong;
      diabolo_model* loaded = nullptr;
      if (diabolo_model_load(context, path.c_str(), nullptr, &loaded) != DIABOLO_OK) ++wrong;
      if (diabolo_model_destroy(loaded) != DIABOLO_OK) ++wrong;
    }
    if (diabolo_model_destroy(train_small(context)) != DIABOLO_OK) ++wrong;
  });
  EXPECT_EQ(wrong, 0) << diabolo_last_error();
}

}  // namespace
}  // namespace diabolo_test
