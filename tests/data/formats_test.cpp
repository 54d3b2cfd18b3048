// Reading: every format, type, order and way of slicing; every truncation is refused.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "base/expect_error.h"
#include "base/faulty_file_system.h"
#include "data/dataset.h"
#include "data/make_files.h"
#include "data/transform.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests
using ::testing::Contains;
using ::testing::HasSubstr;

std::string read_rows(const Dataset& data, uint64_t first, uint64_t count) {
  std::string text(count * data.x().row.bytes(), '?');
  EXPECT_EQ(data.read(0, first, count, std::as_writable_bytes(std::span(text))), count);
  return text;
}
std::string read_all(const Dataset& data) {
  return read_rows(data, 0, data.rows().value());
}
// The same rows in blocks of every size.
void expect_slices(const Dataset& data, const std::string& expected) {
  const uint64_t rows = data.rows().value();
  const uint64_t row_bytes = data.x().row.bytes();
  ASSERT_EQ(expected.size(), rows * row_bytes);
  for (uint64_t first = 0; first <= rows; ++first) {
    for (uint64_t count = 0; count <= rows - first; ++count)
      EXPECT_EQ(read_rows(data, first, count),
                expected.substr(first * row_bytes, count * row_bytes))
          << first << "+" << count;
  }
}

class FormatsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Dataset> open(const std::string& content, const OpenOptions& options = {}) {
    put(path(), content);
    return open_dataset(path(), options);
  }
  // Fails at opening, never at reading: a file is checked as a whole first.
  void expect_truncations_refused(const std::string& content) {
    for (size_t bytes = 0; bytes < content.size(); ++bytes) {
      SCOPED_TRACE(bytes);
      EXPECT_EQ(error_of([&] { open(content.substr(0, bytes)); }).code(), ErrorCode::kData);
    }
    EXPECT_EQ(error_of([&] { open(content + "x"); }).code(), ErrorCode::kData);
  }
  std::string path() const { return folder_.file("data"); }

  TemporaryFolder folder_;
};

TEST_F(FormatsTest, NpyInCOrder) {
  const auto data = open(npy("|u1", "False", "(5, 2, 3)", counting(30)));
  EXPECT_EQ(data->text(), "u8[5,2,3]");
  EXPECT_FALSE(data->is_stream());
  EXPECT_TRUE(data->holds_images());
  expect_slices(*data, counting(30));
}

TEST_F(FormatsTest, NpyRowsOfOneNumber) {
  const auto data = open(npy("<i2", "False", "(4,)", counting(8)));
  EXPECT_EQ(data->text(), "i16[4]");
  EXPECT_EQ(data->x().row.elems(), 1);
  expect_slices(*data, counting(8));
}

TEST_F(FormatsTest, NpyWithoutRows) {
  EXPECT_EQ(open(npy("<f4", "False", "(0, 7)", ""))->rows(), 0u);
  EXPECT_EQ(open(npy("<f4", "True", "(0, 7)", ""))->rows(), 0u);
}

TEST_F(FormatsTest, NpyInFortranOrder) {
  // Element (r, a, b) of a 4 x 2 x 3 array lies at r + 4 (a + 2 b).
  std::string expected;
  for (int r = 0; r < 4; ++r)
    for (int a = 0; a < 2; ++a)
      for (int b = 0; b < 3; ++b) expected += little(r + 4 * (a + 2 * b), 2);
  std::string stored, swapped;
  for (int i = 0; i < 24; ++i) stored += little(i, 2), swapped += big(i, 2);
  expect_slices(*open(npy("<u2", "True", "(4, 2, 3)", stored)), expected);
  expect_slices(*open(npy(">u2", "True", "(4, 2, 3)", swapped)), expected);
}

// Columns too long to be read whole: the other way of gathering.
TEST_F(FormatsTest, NpyInFortranOrderWithLongColumns) {
  constexpr uint32_t kRows = 3'000'000;
  std::vector<uint32_t> stored(kRows * 2);
  for (uint32_t i = 0; i < stored.size(); ++i) stored[i] = i * 2654435761u;
  const auto data = open(npy("<u4", "True", "(3000000, 2)", bytes_of(stored)));
  for (const uint64_t first : {0u, 1u, 777'777u, kRows - 5}) {
    for (const uint64_t count : {1u, 5u, 2'000'000u}) {
      if (first + count > kRows) continue;
      std::vector<uint32_t> expected;
      for (uint64_t r = first; r < first + count; ++r) {
        expected.push_back(stored[r]);
        expected.push_back(stored[kRows + r]);
      }
      EXPECT_TRUE(read_rows(*data, first, count) == bytes_of(expected)) << first << "+" << count;
    }
  }
  EXPECT_EQ(read_all(*data).size(), stored.size() * 4);
}

TEST_F(FormatsTest, NpyVersionsAndSpellings) {
  for (const int major : {1, 2, 3})
    EXPECT_EQ(open(npy("|i1", "False", "(2, 3)", counting(6), major))->text(), "i8[2,3]") << major;
  for (const char* text :
       {"{'shape': (2, 3), 'fortran_order': False, 'descr': '|i1'}",
        "{\"descr\":\"|i1\",\"fortran_order\":False,\"shape\":(2,3)}",
        "{'descr': '|i1', 'fortran_order': False, 'shape': (2L, 3L), }  ",
        "{  'descr' : '<i1' , 'fortran_order' : False , 'shape' : ( 2 , 3 , ) }"})
    EXPECT_EQ(open(npy_with(text, counting(6)))->text(), "i8[2,3]") << text;
}

struct TypeRow {
  const char* descr;
  DType dtype;
};

TEST_F(FormatsTest, NpyEveryTypeInBothByteOrders) {
  for (const TypeRow& type :
       {TypeRow{"b1", DType::kBool}, TypeRow{"u1", DType::kU8}, TypeRow{"i1", DType::kI8},
        TypeRow{"u2", DType::kU16}, TypeRow{"i2", DType::kI16}, TypeRow{"u4", DType::kU32},
        TypeRow{"i4", DType::kI32}, TypeRow{"u8", DType::kU64}, TypeRow{"i8", DType::kI64},
        TypeRow{"f2", DType::kF16}, TypeRow{"f4", DType::kF32}, TypeRow{"f8", DType::kF64}}) {
    SCOPED_TRACE(type.descr);
    const auto size = static_cast<int>(size_bytes(type.dtype));
    std::string little_content, big_content;
    for (uint64_t i = 1; i <= 6; ++i) {
      little_content += little(i * 0x0807060504030201u, size);
      big_content += big(i * 0x0807060504030201u, size);
    }
    for (const char order : {'<', '>', '='}) {
      const auto data = open(npy(order + std::string(type.descr), "False", "(3, 2)",
                                 order == '>' ? big_content : little_content));
      EXPECT_EQ(data->x().row.dtype(), type.dtype);
      expect_slices(*data, little_content);
    }
  }
}

TEST_F(FormatsTest, NpyTruncations) {
  expect_truncations_refused(npy("<f4", "False", "(3, 2)", counting(24)));
  expect_truncations_refused(npy("<f4", "True", "(3, 2)", counting(24), 2));
}

TEST_F(FormatsTest, IdxOfEveryType) {
  struct Row {
    int code;
    DType dtype;
  };
  for (const Row& type : {Row{0x08, DType::kU8}, Row{0x09, DType::kI8}, Row{0x0b, DType::kI16},
                          Row{0x0c, DType::kI32}, Row{0x0d, DType::kF32}, Row{0x0e, DType::kF64}}) {
    const auto size = static_cast<int>(size_bytes(type.dtype));
    std::string stored, expected;
    for (uint64_t i = 1; i <= 12; ++i) {
      stored += big(i * 0x0807060504030201u, size);
      expected += little(i * 0x0807060504030201u, size);
    }
    for (const auto& file :
         {idx(type.code, {3, 2, 2}, stored), gzipped(idx(type.code, {3, 2, 2}, stored))}) {
      const auto data = open(file);
      EXPECT_EQ(data->x().row, TensorDesc(type.dtype, {2, 2}));
      EXPECT_EQ(data->holds_images(), type.dtype == DType::kU8);
      EXPECT_FALSE(data->identity().empty());
      expect_slices(*data, expected);
    }
  }
}

TEST_F(FormatsTest, IdxLabelsAndTablesAreNoImages) {
  const auto labels = open(idx(8, {5}, counting(5)));
  EXPECT_EQ(labels->text(), "u8[5]");
  EXPECT_FALSE(labels->holds_images());
  EXPECT_FALSE(open(idx(8, {5, 2}, counting(10)))->holds_images());
}

TEST_F(FormatsTest, IdxTruncations) {
  expect_truncations_refused(idx(8, {3, 2, 2}, counting(12)));
  expect_truncations_refused(gzipped(idx(8, {3, 2, 2}, counting(12))));
  expect_truncations_refused(gzipped(idx(8, {300, 20, 2}, std::string(12000, 'a'))));
}

// By type and number of axes, whatever the container.
TEST_F(FormatsTest, ImagesAreUnsignedOfTwoAxesOrMore) {
  const auto holds = [&](const std::string& descr, const std::string& shape, size_t bytes) {
    const auto data = open(npy(descr, "False", shape, counting(bytes)));
    EXPECT_EQ(default_scale(*data), data->holds_images() ? Scale::kUnit : Scale::kStandard);
    return data->holds_images();
  };
  EXPECT_TRUE(holds("|u1", "(2, 4, 4)", 32));
  EXPECT_TRUE(holds("<u2", "(2, 2, 4, 1)", 32));
  EXPECT_FALSE(holds("|u1", "(2, 16)", 32));
  EXPECT_FALSE(holds("|i1", "(2, 4, 4)", 32));
  EXPECT_FALSE(holds("<i2", "(2, 2, 4)", 32));
  EXPECT_FALSE(holds("<u4", "(2, 2, 2)", 32));
  EXPECT_FALSE(holds("<f4", "(2, 2, 2)", 32));
  EXPECT_TRUE(open(counting(32), {.dtype = DType::kU8, .row_shape = {4, 4}})->holds_images());
}

TEST_F(FormatsTest, TheHeaderOfACompressedFileIsReadAlone) {
  const std::string whole = gzipped(idx(8, {3000, 8, 8}, counting(3000 * 64)));
  const auto data = open(whole.substr(0, whole.size() / 2), {.only_header = true});
  EXPECT_EQ(data->text(), "u8[3000,8,8]");
  EXPECT_TRUE(data->holds_images());
  EXPECT_THROW(read_all(*data), InternalError);
}

TEST_F(FormatsTest, GzipMayBePaddedWithZeros) {
  const std::string file = gzipped(idx(8, {40, 2}, counting(80)));
  for (const size_t zeros : {1u, 511u, 200'000u})
    EXPECT_EQ(read_all(*open(file + std::string(zeros, '\0'))), counting(80)) << zeros;
  const Error error = error_of([&] { open(file + std::string(9, '\0') + "x"); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("bytes after its end that are not padding"));
}

TEST_F(FormatsTest, GzipOfSeveralMembers) {
  const std::string file = idx(8, {40, 2}, counting(80));
  const auto data = open(gzipped(file.substr(0, 7)) + gzipped(file.substr(7)));
  EXPECT_EQ(read_all(*data), counting(80));
}

TEST_F(FormatsTest, GzipHoldsItsMemoryLimit) {
  const std::string file = gzipped(idx(8, {100, 100}, std::string(10'000, 'a')));
  EXPECT_EQ(open(file, {.max_unpacked_bytes = 10'000})->rows(), 100u);
  const Error error = error_of([&] { open(file, {.max_unpacked_bytes = 9'999}); });
  EXPECT_EQ(error.code(), ErrorCode::kResource);
  EXPECT_THAT(error.what(), HasSubstr("10000 bytes, at most 9999"));
}

TEST_F(FormatsTest, Raw) {
  const OpenOptions options{.dtype = DType::kI16, .row_shape = {3, 2}};
  const auto data = open(counting(48), options);
  EXPECT_EQ(data->text(), "i16[4,3,2]");
  expect_slices(*data, counting(48));
  const Error error = error_of([&] { open(counting(47), options); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("no multiple of a row i16[3,2]"));
}

TEST_F(FormatsTest, OptionsMustAgreeWithTheFile) {
  const std::string file = npy("|u1", "False", "(5, 2, 3)", counting(30));
  EXPECT_EQ(open(file, {.dtype = DType::kU8, .row_shape = {2, 3}})->rows(), 5u);
  for (const OpenOptions& wrong :
       {OpenOptions{.dtype = DType::kI8}, OpenOptions{.row_shape = {6}},
        OpenOptions{.row_shape = {3, 2}}, OpenOptions{.row_shape = {5, 2, 3}}}) {
    EXPECT_EQ(error_of([&] { open(file, wrong); }).code(), ErrorCode::kUsage);
  }
}

TEST_F(FormatsTest, FormatByName) {
  for (const char* name : {"npy", "idx", "raw"}) EXPECT_THAT(format_names(), Contains(name));
  const std::string file = npy("|u1", "False", "(5, 2, 3)", counting(30));
  EXPECT_EQ(open(file, {.format = "npy"})->rows(), 5u);
  EXPECT_EQ(open(file, {.format = "raw", .dtype = DType::kU8, .row_shape = {1}})->rows(),
            file.size());
  EXPECT_EQ(error_of([&] { open(file, {.format = "idx"}); }).code(), ErrorCode::kData);
  EXPECT_EQ(error_of([&] { open(file, {.format = "xlsx"}); }).code(), ErrorCode::kUsage);
  EXPECT_EQ(error_of([&] { open("words"); }).code(), ErrorCode::kData);
}

TEST_F(FormatsTest, MemoryRows) {
  const std::string bytes = counting(24);
  const auto data =
      memory_dataset("caller", TensorDesc(DType::kU16, {3}), std::as_bytes(std::span(bytes)));
  EXPECT_EQ(data->text(), "u16[4,3]");
  expect_slices(*data, bytes);
}

// A pipe behind a name of its own, filled by a thread.
class StreamTest : public FormatsTest {
 protected:
  ~StreamTest() override {
    if (feeder_.joinable()) feeder_.join();
  }
  std::unique_ptr<Dataset> stream(const std::string& content, const OpenOptions& options = {}) {
    if (feeder_.joinable()) feeder_.join();
    const std::string fifo = folder_.file("fifo");
    unlink(fifo.c_str());
    EXPECT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    feeder_ = std::thread([fifo, content] { put(fifo, content); });
    return open_dataset(fifo, options);
  }
  std::thread feeder_;
};

TEST_F(StreamTest, NpyInOrder) {
  const auto data = stream(npy("|u1", "False", "(50, 2)", counting(100)));
  EXPECT_TRUE(data->is_stream());
  EXPECT_EQ(data->rows(), 50u);
  EXPECT_EQ(read_rows(*data, 0, 7), counting(100).substr(0, 14));
  EXPECT_EQ(read_rows(*data, 7, 43), counting(100).substr(14));
}

TEST_F(StreamTest, RawUntilItEnds) {
  const OpenOptions options{.dtype = DType::kU8, .row_shape = {3}};
  for (const size_t rows : {0, 1, 4, 5, 6, 100}) {
    const std::string content = counting(rows * 3);
    const auto data = stream(content, options);
    EXPECT_EQ(data->rows(), std::nullopt);
    EXPECT_EQ(data->text(), "u8[*,3]");
    std::string all;
    for (uint64_t first = 0; true;) {
      std::string part(7 * 3, '?');
      const uint64_t n = data->read(0, first, 7, std::as_writable_bytes(std::span(part)));
      all += part.substr(0, n * 3);
      first += n;
      if (n < 7) break;
    }
    EXPECT_EQ(all, content);
  }
}

TEST_F(StreamTest, BytesAfterTheLastRowAreAnError) {
  const std::string one = npy("|u1", "False", "(50, 2)", counting(100));
  for (const std::string& content : {one + one, one + "x", idx(8, {50, 2}, counting(101))}) {
    const auto data = stream(content);
    std::vector<std::byte> rows(100);
    const std::span head = std::span(rows).first(80), tail = std::span(rows).last(20);
    EXPECT_EQ(data->read(0, 0, 40, head), 40u);
    const Error error = error_of([&] { data->read(0, 40, 10, tail); });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("says 50 rows of u8[2], and the stream goes on"));
  }
  EXPECT_EQ(error_of([&] { stream(npy("|u1", "False", "(0, 2)", "x")); }).code(), ErrorCode::kData);
}

TEST_F(StreamTest, CutOffRowsAreAnError) {
  const auto raw = stream(counting(20), {.dtype = DType::kU8, .row_shape = {3}});
  std::string part(30, '?');
  const Error error =
      error_of([&] { raw->read(0, 0, 10, std::as_writable_bytes(std::span(part))); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("ends within row 6, at byte 20"));
  const auto npy_data = stream(npy("|u1", "False", "(50, 2)", counting(99)));
  EXPECT_EQ(error_of([&] { read_all(*npy_data); }).code(), ErrorCode::kData);
  EXPECT_EQ(error_of([&] { stream(npy("|u1", "True", "(50, 2)", counting(100))); }).code(),
            ErrorCode::kData);
  EXPECT_EQ(error_of([&] { stream(gzipped(idx(8, {3}, "abc"))); }).code(), ErrorCode::kData);
}

// What is cut between opening and reading is an error as well, not a crash.
TEST_F(FormatsTest, AFileThatShrinksIsNoticed) {
  const auto data = open(npy("|u1", "False", "(5, 2, 3)", counting(30)));
  std::filesystem::resize_file(path(), 140);
  EXPECT_EQ(error_of([&] { read_all(*data); }).code(), ErrorCode::kData);
}

TEST_F(FormatsTest, EveryReadFailureIsADataError) {
  for (const std::string& file :
       {npy("<u2", "False", "(6, 2)", counting(24)), npy("<u2", "True", "(6, 2)", counting(24)),
        gzipped(idx(8, {6, 4}, counting(24)))}) {
    put(path(), file);
    FaultyFileSystem counting_calls;
    const std::string expected = read_all(*open_dataset(path(), {.fs = &counting_calls}));
    ASSERT_GT(counting_calls.calls(), 4);
    for (int nth = 1; nth <= counting_calls.calls(); ++nth) {
      for (const Fault& fault : faults_at(nth)) {
        SCOPED_TRACE(describe(fault));
        FaultyFileSystem fs(fault);
        try {
          EXPECT_EQ(read_all(*open_dataset(path(), {.fs = &fs})), expected);
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kData) << error.what();
        }
      }
    }
  }
}

}  // namespace
}  // namespace diabolo
