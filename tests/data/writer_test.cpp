// Row outputs: what is written is read again, whatever is known in front.
#include "data/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "base/faulty_file_system.h"
#include "base/partial_writer.h"
#include "data/dataset.h"
#include "data/make_files.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests
using ::testing::HasSubstr;

const TensorDesc kRow(DType::kU16, {3, 2});

void write(const std::string& path, const TensorDesc& row, std::optional<uint64_t> announced,
           uint64_t rows) {
  const auto writer = make_row_writer(path, "", row);
  AtomicWriter sink(path);
  writer->begin(sink, announced);
  const std::string content = counting(rows * row.bytes());
  sink.write(std::as_bytes(std::span(content)));
  writer->finish(sink, rows);
  sink.commit();
}

std::string rows_of(const Dataset& data) {
  std::string text(*data.rows() * data.x().row.bytes(), '?');
  data.read(0, 0, *data.rows(), std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(RowWriterTest, NpyOfEveryTypeComesBack) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.npy");
  for (int i = 0; i < 13; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kBf16) continue;
    for (const TensorDesc& row :
         {TensorDesc(dtype, {}), TensorDesc(dtype, {5}), TensorDesc(dtype, {1, 2, 3, 4})}) {
      for (const uint64_t rows : {0, 1, 7}) {
        write(path, row, rows, rows);
        const auto data = open_dataset(path);
        EXPECT_EQ(data->x().row, row);
        EXPECT_EQ(data->rows(), rows);
        EXPECT_EQ(rows_of(*data), counting(rows * row.bytes()));
      }
    }
  }
}

TEST(RowWriterTest, NpyWithTheNumberCorrectedAtTheEnd) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.npy");
  write(path, kRow, std::nullopt, 7);
  EXPECT_EQ(open_dataset(path)->text(), "u16[7,3,2]");
  write(path, kRow, 9, 7);  // two rows were skipped
  EXPECT_EQ(open_dataset(path)->text(), "u16[7,3,2]");
}

TEST(RowWriterTest, NpyHeadersHaveOneLength) {
  for (const uint64_t rows : {uint64_t{0}, uint64_t{9}, uint64_t{10'000'000}, UINT64_MAX}) {
    EXPECT_EQ(npy_header(kRow, rows).size(), 128u);
    EXPECT_EQ(npy_header(TensorDesc(DType::kF64, {INT32_MAX, 1, 1, 1}), rows).size() % 64, 0u);
  }
}

TEST(RowWriterTest, NpyToAPipeNeedsTheNumber) {
  const auto writer = make_row_writer("-", "npy", kRow);
  StreamWriter sink("/dev/null");
  EXPECT_THAT(error_of([&] { writer->begin(sink, std::nullopt); }).what(), HasSubstr("raw"));
  writer->begin(sink, 7);
  writer->finish(sink, 7);
  EXPECT_THROW(writer->finish(sink, 6), InternalError);
}

TEST(RowWriterTest, NpyHasNoBf16) {
  const TensorDesc row(DType::kBf16, {4});
  EXPECT_EQ(error_of([&] { make_row_writer("a.npy", "", row); }).code(), ErrorCode::kUsage);
  EXPECT_EQ(make_row_writer("a.bin", "", row)->header_bytes(), 0u);
  EXPECT_EQ(error_of([&] { make_row_writer("a", "csv", row); }).code(), ErrorCode::kUsage);
}

TEST(RowWriterTest, FormatsByNameAreThoseThatAreMeant) {
  const std::vector<std::pair<const char*, RowFormat>> known = {
      {"a.npy", RowFormat::kNpy},   {"a.NPY", RowFormat::kNpy}, {"d.x/a.Csv", RowFormat::kCsv},
      {"a.tsv", RowFormat::kTsv},   {"a.raw", RowFormat::kRaw}, {"a.BIN", RowFormat::kRaw},
      {"d.csv/a", RowFormat::kRaw}, {"-", RowFormat::kRaw},     {"/dev/null", RowFormat::kRaw}};
  for (const auto& [path, format] : known) EXPECT_EQ(row_format(path, ""), format) << path;
  EXPECT_EQ(row_format("a.gz", "tsv"), RowFormat::kTsv);
  for (const char* path : {"a.csv.gz", "a.txt", "a.npz"}) {
    const Error error = error_of([&] { row_format(path, ""); });
    EXPECT_EQ(error.code(), ErrorCode::kUsage) << path;
    EXPECT_THAT(error.what(), HasSubstr("is no format of outputs")) << path;
  }
  EXPECT_THAT(error_of([&] { row_format("a.csv", "gz"); }).what(), HasSubstr("expected npy, raw"));
}

TEST(RowWriterTest, Raw) {
  const TemporaryFolder folder;
  write(folder.file("out.bin"), kRow, std::nullopt, 7);
  EXPECT_EQ(content_of(folder.file("out.bin")), counting(7 * 12));
}

// As encode writes: in parts, continued, some rows skipped.
TEST(RowWriterTest, NpyThroughAPartialOutput) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.npy");
  const auto writer = make_row_writer(path, "", kRow);
  const PartialOptions options{
      .identity = "x", .resume = true, .header_bytes = writer->header_bytes()};
  const std::string content = counting(5 * kRow.bytes());
  {
    PartialWriter sink(path, options);
    writer->begin(sink, std::nullopt);
    sink.write(std::as_bytes(std::span(content)).first(2 * kRow.bytes()));
    sink.checkpoint({.rows_read = 4, .rows_written = 2, .rows_counted = 1});
  }
  PartialWriter sink(path, options);
  EXPECT_EQ(sink.resumed(), (Progress{4, 2, 1}));
  sink.write(std::as_bytes(std::span(content)).subspan(2 * kRow.bytes()));
  writer->finish(sink, 5);
  sink.commit();
  const auto data = open_dataset(path);
  EXPECT_EQ(data->text(), "u16[5,3,2]");
  EXPECT_EQ(rows_of(*data), content);
}

}  // namespace
}  // namespace diabolo
