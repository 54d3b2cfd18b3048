// Rows through a model on the fake device: pieces overlap, the bits depend neither on that nor on
// how late the device is, and where its memory is short the rows go through in smaller pieces.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "fake_cuda/fake_cuda.h"
#include "infer/inference.h"
#include "infer/odd_tasks.h"
#include "jobs/encode_pipeline.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kFeatures = 12;
constexpr uint64_t kRows = 43;  // five pieces of 8 and one of 3

class FakeInference : public testing::Test {
 protected:
  FakeInference() {
    fake_cuda::reset();
    model_.config = resolved(small_config(), Scale::kUnit);
    model_.row = TensorDesc(DType::kF32, {kFeatures});
    model_.scaling.shift.assign(kFeatures, 0.25f);
    model_.scaling.scale.assign(kFeatures, 0.5f);
    model_.parameters =
        ParameterValues(model_.network().parameters(), initial_parameters(model_.network(), 0));
  }
  ~FakeInference() override { fake_cuda::reset(); }

  RawRows rows() const {
    return {DType::kF32, false, std::as_bytes(std::span(data_.values)), kRows};
  }

  // All that every verb gives, one after the other.
  std::vector<float> results(const Inference& inference) const {
    std::vector<float> codes(kRows * 3), rebuilt(kRows * kFeatures), decoded(kRows * kFeatures),
        scores(kRows), errors(kRows * 2);
    std::vector<uint32_t> index(kRows * 2);
    inference.encode(rows(), codes);
    inference.decode(codes, decoded);
    inference.reconstruct(rows(), rebuilt);
    inference.score(rows(), {scores, 2, index, errors});
    std::vector<float> all(index.begin(), index.end());
    for (const auto* part : {&codes, &rebuilt, &decoded, &scores, &errors})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }

  static void expect_clean(const char* what) {
    EXPECT_THAT(fake_cuda::violations(), IsEmpty()) << what;
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty()) << what;
  }

  ModelFile model_;
  FloatData data_{planar_rows(kRows, kFeatures, 1), kFeatures};
  TemporaryFolder folder_;
};

TEST_F(FakeInference, PiecesUnderWayTogetherGiveTheBitsOfOneAlone) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    fake_cuda::reset();
    std::vector<float> expected;
    {
      const auto backend = create_cuda_backend();
      const Inference whole(*backend, model_, {.precision = precision, .capture = Capture::kOff});
      expected = results(whole);
    }
    for (uint64_t seed = 0; seed < 6; ++seed) {
      SCOPED_TRACE(cat("seed ", seed));
      fake_cuda::reset(seed);
      {
        const auto backend = create_cuda_backend();
        const Capture capture = seed % 2 ? Capture::kOn : Capture::kOff;
        const Inference pieces(*backend, model_,
                               {.precision = precision, .capture = capture, .max_rows = 8});
        EXPECT_EQ(results(pieces), expected);
        EXPECT_EQ(results(pieces), expected);
      }
      expect_clean("pieces");
    }
  }
}

// What the log of one encoding says about its three streams.
struct Overlap {
  std::set<std::string> in, compute, out;
  bool copies_in_ahead = false;   // a piece came in before the one before it was computed
  bool copies_out_later = false;  // a piece went out after the next one was computed
};

Overlap overlap_of(const std::vector<std::string>& log) {
  Overlap seen;
  size_t in = 0, computed = 0, out = 0;
  for (const std::string& line : log) {
    const std::string stream = line.substr(0, line.find(':'));
    if (line.ends_with(cat("copy ", 8 * kFeatures * sizeof(float), " bytes"))) {
      seen.in.insert(stream);
      if (++in > computed + 1) seen.copies_in_ahead = true;
    } else if (!line.ends_with(cat("copy ", 8 * 3 * sizeof(float), " bytes"))) {
      seen.compute.insert(stream);
    } else if (seen.compute.contains(stream)) {  // out of the arena
      if (++computed > out + 1) seen.copies_out_later = true;
    } else {
      seen.out.insert(stream);
      ++out;
    }
  }
  EXPECT_EQ(in, kRows / 8 + 1);
  EXPECT_EQ(computed, in);
  EXPECT_EQ(out, in);
  return seen;
}

TEST_F(FakeInference, CopiesRunOnStreamsOfTheirOwnBesideThePiecesThatCompute) {
  // How late a stream is depends on the seed: about one in fourteen lets a copy out wait so long.
  constexpr uint64_t kSeeds = 300;
  bool ahead = false, later = false;
  for (uint64_t seed = 1; seed < kSeeds && !(ahead && later); ++seed) {
    fake_cuda::reset(seed);
    const auto backend = create_cuda_backend();
    const Inference inference(*backend, model_, {.capture = Capture::kOff, .max_rows = 8});
    std::vector<float> codes(kRows * 3);
    inference.encode(rows(), codes);
    fake_cuda::set_log(true);
    inference.encode(rows(), codes);
    const Overlap seen = overlap_of(fake_cuda::log());
    fake_cuda::set_log(false);
    EXPECT_EQ(seen.in.size(), 1u);
    EXPECT_EQ(seen.compute.size(), 1u);
    EXPECT_EQ(seen.out.size(), 1u);
    EXPECT_NE(seen.in, seen.compute);
    EXPECT_NE(seen.in, seen.out);
    ahead |= seen.copies_in_ahead;
    later |= seen.copies_out_later;
  }
  EXPECT_TRUE(ahead);
  EXPECT_TRUE(later);
}

// The memory of three pieces, whatever the number of rows.
TEST_F(FakeInference, MemoryDoesNotGrowWithTheRows) {
  const auto backend = create_cuda_backend();
  const Inference inference(*backend, model_, {.max_rows = 8});
  std::vector<float> codes(kRows * 3);
  inference.encode({DType::kF32, false, rows().bytes.first(24 * kFeatures * sizeof(float)), 24},
                   std::span(codes).first(24 * 3));
  const uint64_t held = fake_cuda::counters().live_device_bytes;
  inference.encode(rows(), codes);
  EXPECT_EQ(fake_cuda::counters().live_device_bytes, held);
}

class FakePipeline : public FakeInference {
 protected:
  PipelineOptions options(const std::string& name) const {
    PipelineOptions out;
    out.output = folder_ / name;
    out.batch_rows = 40;  // pieces of 10
    return out;
  }
  PipelineResult run(const std::string& name) {
    const auto backend = create_cuda_backend();
    return run_pipeline(*backend, model_, *data_.data, options(name));
  }
};

TEST_F(FakePipeline, AnyAllocationThatFailsHalvesTheBatchAndKeepsTheBits) {
  EXPECT_EQ(run("whole.npy").batch_rows, 10u);
  const std::string expected = content_of(folder_ / "whole.npy");
  for (const char* function : {"cudaMalloc", "cudaHostAlloc"}) {
    int failed = 0;
    for (int64_t k = 1; k < 1000; ++k) {
      SCOPED_TRACE(cat(function, " ", k));
      fake_cuda::reset(static_cast<uint64_t>(k));
      fake_cuda::fail_call_of(function, k, cudaErrorMemoryAllocation);
      const PipelineResult result = run("short.npy");
      if (fake_cuda::failure_is_pending()) break;
      EXPECT_EQ(result.batch_rows, 5u);
      EXPECT_EQ(content_of(folder_ / "short.npy"), expected);
      expect_clean("short of memory once");
      std::filesystem::remove(folder_ / "short.npy");
      ++failed;
    }
    EXPECT_GE(failed, 4) << function;
  }
}

TEST_F(FakePipeline, ASmallDeviceEncodesInSmallPiecesAndATinyOneSaysWhatIsMissing) {
  run("whole.npy");
  const uint64_t needed = fake_cuda::counters().peak_device_bytes;
  fake_cuda::reset();
  fake_cuda::set_memory_bytes(needed - 256);
  EXPECT_LT(run("small.npy").batch_rows, 10u);
  EXPECT_EQ(content_of(folder_ / "small.npy"), content_of(folder_ / "whole.npy"));
  fake_cuda::reset();
  fake_cuda::set_memory_bytes(1024);
  try {
    run("tiny.npy");
    FAIL() << "1024 bytes were enough";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResource);
    EXPECT_THAT(error.what(), HasSubstr("wanted"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "tiny.npy"));
  expect_clean("too little memory");
}

// Draws are named by a row's number, however the rows are cut, and every output comes back.
TEST_F(FakeInference, ATaskThatDrawsGivesTheBitsOfOnePiece) {
  Picked whole(kRows), pieces(kRows);
  {
    const auto backend = create_cuda_backend();
    const Inference at_once(*backend, model_, {});
    at_once.run(picking_task(), rows(), whole.results());
    const Inference cut(*backend, model_, {.max_rows = 8});
    cut.run(picking_task(), rows(), pieces.results());
  }
  EXPECT_TRUE(whole == pieces);
  EXPECT_NE(whole.rows, data_.values);
  expect_clean("draws");
}

}  // namespace
}  // namespace diabolo
