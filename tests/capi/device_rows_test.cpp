// Rows on the caller's device pointers and stream, on the fake device, which is as late as it may
// be: the bits of host memory, in order with the caller's own work, and every way to get it wrong.
#include <cstring>
#include <thread>

#include "capi/device_model.h"
#include "fake_cuda/fake_cuda.h"

namespace diabolo_test {
namespace {

constexpr uint64_t kMany = 70;

// Codes of rows by way of the device, bf16 ones widened.
std::vector<float> device_codes(const Loaded& model, const diabolo_rows& rows, bool is_bf16) {
  const CallerStream stream;
  const DeviceArray in(bytes_of(rows));
  const uint64_t numbers = rows.count * kCodeSize;
  std::vector<uint16_t> low(numbers);
  std::vector<float> codes(numbers);
  const DeviceArray out(numbers * (is_bf16 ? 2 : 4));
  in.fill(rows.data, stream);
  diabolo_rows given = rows;
  given.data = in.data();
  EXPECT_EQ(diabolo_encode_device(model.get(), &given, out.data(),
                                  is_bf16 ? DIABOLO_BF16 : DIABOLO_F32, numbers, stream),
            DIABOLO_OK)
      << diabolo_last_error();
  out.read(is_bf16 ? static_cast<void*>(low.data()) : codes.data(), stream);
  stream.wait();
  for (uint64_t i = 0; is_bf16 && i < numbers; ++i) {
    const uint32_t bits = uint32_t{low[i]} << 16;
    std::memcpy(&codes[i], &bits, sizeof bits);
  }
  return codes;
}

TEST_F(DeviceRows, GiveTheBitsOfHostMemory) {
  const std::vector<float> floats = wave_rows(600);
  std::vector<uint8_t> bytes;
  for (const float value : floats) bytes.push_back(static_cast<uint8_t>(value * 100 + 128));
  uint64_t seed = 0;
  for (const bool is_bf16 : {false, true}) {
    for (const diabolo_dtype dtype : {DIABOLO_F32, DIABOLO_U8}) {
      fake_cuda::reset(seed++);
      {
        const Loaded model(path, is_bf16 ? DIABOLO_PRECISION_BF16 : DIABOLO_PRECISION_F32);
        // Three of a count: plain, recorded, replayed.
        for (const uint64_t count : {1, 9, 9, 9, 2, 33, 600, 1}) {
          diabolo_rows rows = diabolo_rows_f32(floats.data(), count, kFeatures);
          rows.dtype = dtype;
          if (dtype == DIABOLO_U8) rows.data = bytes.data();
          EXPECT_EQ(device_codes(model, rows, is_bf16), model.codes(rows)) << count;
        }
      }
      expect_clean();
    }
  }
}

TEST_F(DeviceRows, AreScoredWithTheBitsOfHostMemory) {
  {
    const Loaded model(path);
    const std::vector<float> values = wave_rows(kMany);
    const diabolo_rows rows = view(values);
    std::vector<float> expected(kMany), found(kMany);
    ASSERT_EQ(diabolo_score(model.get(), &rows, expected.data(), kMany), DIABOLO_OK);
    const CallerStream stream;
    const DeviceArray in(bytes_of(rows)), out(kMany * sizeof(float));
    in.fill(values.data(), stream);
    const diabolo_rows given = on_device(rows, in);
    EXPECT_EQ(diabolo_score_device(model.get(), &given, out.floats(), kMany, stream), DIABOLO_OK)
        << diabolo_last_error();
    out.read(found.data(), stream);
    stream.wait();
    EXPECT_EQ(found, expected);
  }
  expect_clean();
}

// The same memory takes one input after the other; only the stream keeps them apart.
TEST_F(DeviceRows, WorkInOrderWithWhatTheCallerQueuesBeforeAndAfter) {
  const std::vector<float> all = wave_rows(3 * kMany);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    fake_cuda::reset(seed);
    {
      const Loaded model(path);
      const CallerStream stream;
      const DeviceArray in(kMany * kFeatures * sizeof(float));
      const DeviceArray out(kMany * kCodeSize * sizeof(float));
      std::vector<float> found[3];
      for (uint64_t turn = 0; turn < 3; ++turn) {
        const float* part = all.data() + turn * kMany * kFeatures;
        found[turn].resize(kMany * kCodeSize);
        in.fill(part, stream);
        const diabolo_rows rows = on_device(diabolo_rows_f32(part, kMany, kFeatures), in);
        EXPECT_EQ(diabolo_encode_device(model.get(), &rows, out.data(), DIABOLO_F32,
                                        kMany * kCodeSize, stream),
                  DIABOLO_OK);
        out.read(found[turn].data(), stream);
      }
      stream.wait();
      for (uint64_t turn = 0; turn < 3; ++turn)
        EXPECT_EQ(found[turn], model.codes(diabolo_rows_f32(all.data() + turn * kMany * kFeatures,
                                                            kMany, kFeatures)))
            << "seed " << seed << ", turn " << turn;
    }
    expect_clean();
  }
}

TEST_F(DeviceRows, NeitherAllocateNorWaitOnceTheirPlansHaveRun) {
  {
    const Loaded model(path);
    const std::vector<float> values = wave_rows(kMany);
    const CallerStream stream;
    const DeviceArray in(values.size() * sizeof(float)), out(kMany * kCodeSize * sizeof(float));
    in.fill(values.data(), stream);
    const diabolo_rows rows = on_device(view(values), in);
    const auto encode = [&] {
      EXPECT_EQ(diabolo_encode_device(model.get(), &rows, out.data(), DIABOLO_F32,
                                      kMany * kCodeSize, stream),
                DIABOLO_OK);
    };
    for (int repeat = 0; repeat < 3; ++repeat) encode();
    const fake_cuda::InsideStep step;
    encode();
  }
  expect_clean();
}

TEST_F(DeviceRows, OfManyStreamsShareAFewLanes) {
  {
    const Loaded model(path);
    const std::vector<float> values = wave_rows(kMany);
    const DeviceArray in(values.size() * sizeof(float)), out(kMany * kCodeSize * sizeof(float));
    const CallerStream streams[7];
    in.fill(values.data(), streams[0]);
    streams[0].wait();
    const diabolo_rows rows = on_device(view(values), in);
    auto info = sized<diabolo_model_info>();
    std::vector<uint64_t> held;
    for (const CallerStream& stream : streams) {
      EXPECT_EQ(diabolo_encode_device(model.get(), &rows, out.data(), DIABOLO_F32,
                                      kMany * kCodeSize, stream),
                DIABOLO_OK);
      EXPECT_EQ(diabolo_model_inspect(model.get(), &info), DIABOLO_OK);
      held.push_back(info.device_bytes);
    }
    EXPECT_GT(held[1], held[0]);  // the first is still at work
    EXPECT_EQ(held[6], held[3]);
    for (const CallerStream& stream : streams) stream.wait();
  }
  expect_clean();
}

TEST_F(DeviceRows, OfTwoThreadsOnTwoStreamsDoNotDisturbEachOther) {
  const std::vector<float> all = wave_rows(2 * kMany);
  fake_cuda::reset(3);
  {
    const Loaded model(path);
    std::vector<float> found[2][8];
    const auto work = [&](uint64_t thread) {
      const diabolo_rows rows =
          diabolo_rows_f32(all.data() + thread * kMany * kFeatures, kMany, kFeatures);
      for (std::vector<float>& codes : found[thread]) codes = device_codes(model, rows, false);
    };
    std::thread first(work, 0), second(work, 1);
    first.join();
    second.join();
    for (uint64_t thread = 0; thread < 2; ++thread)
      for (const std::vector<float>& codes : found[thread])
        EXPECT_EQ(codes, model.codes(diabolo_rows_f32(all.data() + thread * kMany * kFeatures,
                                                      kMany, kFeatures)));
  }
  expect_clean();
}

TEST_F(DeviceRows, LeaveTheCurrentDeviceAndRefuseWhatIsAnothers) {
  fake_cuda::Description two;
  two.count = 2;
  fake_cuda::describe(two);
  {
    const std::vector<float> values = wave_rows(4);
    const uint64_t room = 4 * kCodeSize;
    const DeviceArray in_of_0(values.size() * sizeof(float));
    const DeviceArray out_of_0(room * sizeof(float));
    const CallerStream stream_of_0;
    const Loaded model(path, DIABOLO_PRECISION_F32, "cuda:1");
    ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
    const DeviceArray in(values.size() * sizeof(float)), out(room * sizeof(float));
    const CallerStream stream;
    in.fill(values.data(), stream);
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    const auto encode = [&](const DeviceArray& from, const DeviceArray& to, cudaStream_t on) {
      const diabolo_rows rows = on_device(view(values), from);
      return diabolo_encode_device(model.get(), &rows, to.data(), DIABOLO_F32, room, on);
    };
    EXPECT_EQ(encode(in, out, stream), DIABOLO_OK) << diabolo_last_error();
    int device = -1;
    EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
    EXPECT_EQ(device, 0);
    expect(DIABOLO_USAGE, "rows: expected memory of CUDA device 1", encode(in_of_0, out, stream));
    expect(DIABOLO_USAGE, "codes: expected memory of CUDA device 1", encode(in, out_of_0, stream));
    expect(DIABOLO_USAGE, "stream: expected a stream of CUDA device 1",
           encode(in, out, stream_of_0));
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(encode(in, out, stream), DIABOLO_OK);
    stream.wait();
  }
  expect_clean();
}

TEST_F(DeviceRows, RefuseHostMemoryShortMemoryAndCapturedStreams) {
  {
    const Loaded model(path);
    const std::vector<float> values = wave_rows(4);
    float codes[4 * kCodeSize];
    const uint64_t room = 4 * kCodeSize;
    const CallerStream stream;
    const DeviceArray in(values.size() * sizeof(float)), out(sizeof codes);
    in.fill(values.data(), stream);
    const diabolo_rows of_host = view(values);
    diabolo_rows rows = on_device(of_host, in);
    const auto encode = [&](const diabolo_rows& from, void* to) {
      return diabolo_encode_device(model.get(), &from, to, DIABOLO_F32, room, stream);
    };
    expect(DIABOLO_USAGE, "rows: expected memory of CUDA device 0", encode(of_host, out.data()));
    expect(DIABOLO_USAGE, "codes: expected memory of CUDA device 0", encode(rows, codes));
    expect(DIABOLO_USAGE, "ends too early", encode(rows, out.floats() + kCodeSize));
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    expect(DIABOLO_USAGE, "stream: it is being captured", encode(rows, out.data()));
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);  // and the capture is unharmed
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(encode(rows, out.data()), DIABOLO_OK) << diabolo_last_error();
    rows.count = 0;
    rows.data = nullptr;
    EXPECT_EQ(encode(rows, nullptr), DIABOLO_OK) << diabolo_last_error();
    stream.wait();
  }
  expect_clean();
}

// One call after the other of the runtime goes wrong in the middle of an encode. Only those of
// destructors, of which nobody can be told, may go unnoticed.
TEST_F(DeviceRows, SurviveEveryFailureOfTheDevice) {
  const std::vector<float> values = wave_rows(9);
  int unnoticed = 0;
  for (int64_t k = 1; k < 1000; ++k) {
    SCOPED_TRACE(k);
    fake_cuda::reset(static_cast<uint64_t>(k % 3));
    bool is_over = false;
    {
      const Loaded model(path);
      const CallerStream stream;
      const DeviceArray in(values.size() * sizeof(float)), out(9 * kCodeSize * sizeof(float));
      in.fill(values.data(), stream);
      const diabolo_rows rows = on_device(view(values), in);
      const auto encode = [&] {
        return diabolo_encode_device(model.get(), &rows, out.data(), DIABOLO_F32, 9 * kCodeSize,
                                     stream);
      };
      fake_cuda::fail_call(k, cudaErrorUnknown);
      const diabolo_status first = encode(), second = encode();
      is_over = fake_cuda::failure_is_pending();
      fake_cuda::fail_call(0, cudaSuccess);
      const bool are_both_ok = first == DIABOLO_OK && second == DIABOLO_OK;
      unnoticed += !is_over && are_both_ok;
      EXPECT_TRUE(are_both_ok || !is_over) << diabolo_last_error();
      for (const diabolo_status status : {first, second})
        EXPECT_TRUE(status == DIABOLO_OK || status == DIABOLO_DEVICE) << diabolo_last_error();
      EXPECT_EQ(encode(), DIABOLO_OK) << diabolo_last_error();
      stream.wait();
    }
    expect_clean();
    if (is_over) {
      EXPECT_GT(k, 50);
      EXPECT_LE(unnoticed, 3);
      return;
    }
  }
  FAIL() << "the calls do not end";
}

}  // namespace
}  // namespace diabolo_test
