// CSV: what is read of each spelling, from a file, a pipe and a compressed file; what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base/expect_error.h"
#include "base/memory_file_system.h"
#include "data/block_reader.h"
#include "data/csv_index.h"
#include "data/csv_number.h"
#include "data/csv_text.h"
#include "data/make_files.h"
#include "data/read_csv.h"
#include "data/row_fit.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CsvTest, NumbersWithAHeader) {
  const Content content = read_csv("a,b\n1,2\n-3.5,4e2\n+5, 6 \n");
  EXPECT_EQ(content.shape, "f64[3,2]");
  EXPECT_THAT(content.x, ElementsAre(1, 2, -3.5, 400, 5, 6));
}

TEST(CsvTest, WithoutAHeader) {
  EXPECT_EQ(read_csv("1,2\n3,4\n").shape, "f64[2,2]");
  EXPECT_EQ(read_csv("1,2\n3,4\n", {.header = HeaderLine::kYes}).shape, "f64[1,2]");
  EXPECT_EQ(read_csv("nan,1\n3,4\n").shape, "f64[2,2]");
  EXPECT_EQ(read_csv(",1\n3,4\n").shape, "f64[2,2]");
  // A text that stands in every row does not make the first one a header.
  const TableOptions named{.columns = {.id = "0"}};
  EXPECT_THAT(read_csv("p,1\nq,2\n", named).ids, ElementsAre("p", "q"));
  EXPECT_EQ(read_csv("a,b\n").shape, "f64[0,2]");
}

TEST(CsvTest, SeparatorsAreFoundOrTold) {
  for (const std::string text : {"a,b\n1,2\n", "a;b\n1;2\n", "a\tb\n1\t2\n", "\"a,;\";b\n1;2\n"})
    EXPECT_THAT(read_csv(text).x, ElementsAre(1, 2)) << text;
  EXPECT_THAT(read_csv("\"a;;;\",b\n1,2\n").x, ElementsAre(1, 2));
  EXPECT_THAT(csv_error("a;b\n1;2\n", {.separator = Separator::kComma}).what(),
              HasSubstr("'a;b' is no number"));
}

TEST(CsvTest, LineEndsMarksAndLinesWithoutText) {
  for (const std::string text :
       {"\xef\xbb\xbf"
        "a,b\r\n1,2\r\n3,4",
        "a,b\n1,2\n\n3,4\n\n\n", "\n\na,b\n\r\n1,2\n3,4\r\n", "a,b\n1,2\n  \n3,4\n \r\n",
        "\xef\xbb\xbf"
        "1,2\n3,4"})
    EXPECT_THAT(read_csv(text).x, ElementsAre(1, 2, 3, 4)) << text;
  // In a table of one column a line without text is an empty cell.
  const Content one = read_csv("a\n1\n\n3\n");
  ASSERT_EQ(one.x.size(), 3u);
  EXPECT_TRUE(std::isnan(one.x[1]));
}

TEST(CsvTest, QuotesHoldSeparatorsQuotesAndLineBreaks) {
  const Content content =
      read_csv("\"the \"\"name\"\"\",x\n\"a,b\",1\n \"two\nlines\" ,\"2\"\n\"\",3\nplain,4\n",
               {.columns = {.id = "the \"name\""}});
  EXPECT_THAT(content.ids, ElementsAre("a,b", "two\nlines", "", "plain"));
  EXPECT_THAT(content.x, ElementsAre(1, 2, 3, 4));
}

TEST(CsvTest, ColumnsByNameAndByNumber) {
  const std::string text = "id,a,kind,b,note\n9007199254740993,1,5,2,hello\nx7,3,-6,4,\n";
  for (const ColumnNames& names : {ColumnNames{"kind", "id", "note"}, ColumnNames{"2", "0", "4"}}) {
    const Content content = read_csv(text, {.columns = names});
    EXPECT_THAT(content.x, ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(content.labels, ElementsAre(5, -6));
    EXPECT_THAT(content.ids, ElementsAre("9007199254740993", "x7"));
  }
  // Those of a model's training are passed over where they are not there.
  EXPECT_THAT(read_csv("a,b\n1,2\n", {.usual = {"kind", "id", "note,more"}}).x, ElementsAre(1, 2));
  EXPECT_THAT(read_csv(text, {.usual = {"kind", "id", "note,more"}}).labels, ElementsAre(5, -6));
}

TEST(CsvTest, WhatTheFirstLineIsIsSaid) {
  for (const auto& [text, is] : {std::pair{"a,b\n1,2\n", "names"}, {"1,2\n3,4\n", "data"}}) {
    for (const Kind kind : {Kind::kRegular, Kind::kPipe}) {
      MemoryFileSystem fs(text, kind);
      EXPECT_EQ(first_line(*open_dataset("t.csv", {.fs = &fs})), is);
    }
  }
}

// However many rows there are, the list stays short and finds each from no farther than it must.
TEST(CsvTest, TheListOfRowsStaysShort) {
  RowIndex index(8, 10);
  for (uint64_t row = 0; row < 1000; ++row) {
    index.add(row, {row * 7, row + 1});
    ASSERT_LE(index.size(), 8u);
    for (const uint64_t wanted : {uint64_t{0}, row / 2, row}) {
      const RowIndex::Entry& before = index.before(wanted);
      ASSERT_LE(before.row, wanted);
      ASSERT_EQ(before.place.offset, before.row * 7);
      ASSERT_LE(wanted - before.row, std::max<uint64_t>(4, row / 2)) << wanted << " of " << row;
    }
  }
}

// Text in the first row makes no header of it: of the features' cells, none may be a number.
TEST(CsvTest, NoRowOfDataIsTakenForNames) {
  const TableOptions id{.columns = {.id = "0"}};
  EXPECT_THAT(read_csv("p7,1\n12,2\n", id).ids, ElementsAre("p7", "12"));
  EXPECT_THAT(read_csv("p7,1\n12,2\n", {.usual = {.drop = "number:0"}, .usual_features = 1}).x,
              ElementsAre(1, 2));
  for (const std::string missing : {"?", "-", "None", "unknown", "<NA>"}) {
    const Error error = csv_error(missing + ",1\n3,4\n");
    EXPECT_THAT(error.what(), HasSubstr("row 0 (line 1), column '0': '" + missing + "' is no"));
    EXPECT_THAT(error.what(), HasSubstr("--header yes"));
  }
  for (const std::string row : {"?,-", "None,None", "-,"})
    EXPECT_THAT(csv_error(row + "\n3,4\n").what(), HasSubstr("row 0 (line 1)")) << row;
  EXPECT_THAT(csv_error("p,1\n2,x\n", {.columns = {.id = "0"}}).what(),
              Not(HasSubstr("--header yes")));
}

TEST(CsvTest, NamesAreFoundThatAreSome) {
  EXPECT_THAT(read_csv("id,kind,a\nx,0,2\n", {.columns = {"1", "0"}}).x, ElementsAre(2));
  EXPECT_THAT(read_csv(",a,b\n0,1,2\n").x, ElementsAre(0, 1, 2));
  EXPECT_EQ(read_csv("a,b\n,\n1,2\n").shape, "f64[2,2]");
  // A name that is asked for stands in names, be the others numbers.
  EXPECT_THAT(read_csv("kind,1,2\n7,3,4\n", {.columns = {.label = "kind"}}).x, ElementsAre(3, 4));
  EXPECT_THAT(read_csv("kind,1,2\n7,3,4\n", {.usual = {.label = "kind"}}).x, ElementsAre(3, 4));
  // As names without a name are written; nobody can tell.
  for (const std::string first : {"0,1,2", ",0,1,2", "0,1,2,3"}) {
    const std::string text = first + "\n5,6,7,8\n";
    const Error error = csv_error(text);
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("--header"));
  }
  EXPECT_EQ(read_csv("0,1,2\n5,6,7\n", {.header = HeaderLine::kYes}).shape, "f64[1,3]");
  EXPECT_EQ(read_csv("0,1,2\n5,6,7\n", {.header = HeaderLine::kNo}).shape, "f64[2,3]");
}

TEST(CsvTest, ReturnsAloneAreNoLineEnds) {
  for (const std::string text : {"a\r1\r2\r", "a,b\r1,2\r3,4", "1\r2\n3\r4\n"})
    EXPECT_THAT(csv_error(text).what(), HasSubstr("CR alone")) << text;
  EXPECT_THAT(read_csv("\"a\rb\",c\r\n1,2\r\n").x, ElementsAre(1, 2));
}

TEST(CsvTest, NamesInMessagesAreShortAndOneLine) {
  const std::string name = "\"a\n" + std::string(500, 'b') + "\"";
  const auto expect_short = [](const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 300u) << error.what();
  };
  expect_short(csv_error(name + ",c\nx,2\n", {.header = HeaderLine::kYes}));
  expect_short(csv_error(name + ",c\n1,2\n", {.columns = {.id = "d"}}));
  expect_short(csv_error(name + ",c\n1,2\n", {.columns = {.label = "0", .id = "0"}}));
}

TEST(CsvTest, ManyColumnsAreRefusedBeforeTheyTakeMemory) {
  const std::string wide((size_t{1} << 20) + 5, ',');
  EXPECT_THAT(csv_error(wide).what(), HasSubstr("line 1: has more than 1048576 columns"));
  EXPECT_THAT(csv_error("a,b\n" + wide).what(), HasSubstr("line 2: has more than 1048576"));
}

TEST(CsvTest, RowsAndIdsOfAnyLengthAreRefused) {
  const std::string text = "a,b\n1,\"" + std::string(CsvRecords::kMaxBytes + 10, 'x');
  EXPECT_THAT(csv_error(text).what(), HasSubstr("line 2: no end of this row within"));
  const TableOptions id{.columns = {.id = "0"}};
  EXPECT_EQ(read_csv(std::string(4096, 'n') + ",1\n", id).ids.at(0).size(), 4096u);
  EXPECT_THAT(csv_error(std::string(4097, 'n') + ",1\n", id).what(),
              HasSubstr("an id of 4097 bytes"));
}

TEST(CsvTest, BytesOfZeroBehindTheFirstLineAreNoNumbers) {
  EXPECT_THAT(csv_error(std::string("a,b\n1,2\n3,\0004\n", 13)).what(),
              HasSubstr("row 1 (line 3), column 'b': ' 4' is no number"));
}

TEST(CsvTest, LabelsOf64BitsKeepTheirDigits) {
  const TableOptions table{.columns = {.label = "y"}};
  EXPECT_THAT(read_csv("a,y\n1,9223372036854775807\n2,-9007199254740993\n", table).labels,
              ElementsAre(INT64_MAX, -9007199254740993));
  const std::string real = "a,y\n1,0\n2,0.5\n";
  MemoryFileSystem fs(real);
  const auto data = open_dataset("t.csv", with_table({.fs = &fs}, table));
  EXPECT_EQ(data->fields()[1].row.dtype(), DType::kF64);
}

// 0 is ordinary, and nothing else is.
TEST(CsvTest, LabelsThatRoundToZeroAreNotZero) {
  MemoryFileSystem fs("a,y\n1,1e-400\n2,0e9\n3,-1e-999\n");
  const auto data = open_dataset("t.csv", with_table({.fs = &fs}, {.columns = {.label = "y"}}));
  std::vector<double> labels(3);
  data->read(1, 0, 3, std::as_writable_bytes(std::span(labels)));
  EXPECT_GT(labels[0], 0);
  EXPECT_EQ(labels[1], 0);
  EXPECT_NE(labels[2], 0);
}

TEST(CsvTest, WhatIsMissingIsNaN) {
  const Content content = read_csv("a,b\n1,\nNA,NaN\nnull,inf\n");
  ASSERT_EQ(content.x.size(), 6u);
  for (const size_t i : {1, 2, 3, 4}) EXPECT_TRUE(std::isnan(content.x[i])) << i;
  EXPECT_EQ(content.x[5], std::numeric_limits<double>::infinity());
}

TEST(CsvTest, TypesAndShapesThatAreAskedFor) {
  const std::string text = "0,255,7,8\n1,2,3,4\n";
  MemoryFileSystem fs(text);
  const auto data = open_dataset("t.csv", {.dtype = DType::kU8, .row_shape = {2, 2}, .fs = &fs});
  EXPECT_EQ(data->text(), "u8[2,2,2]");
  EXPECT_TRUE(data->holds_images());
  EXPECT_THAT(csv_error("1,256\n", {}, {.dtype = DType::kU8}).what(), HasSubstr("is beyond u8"));
  EXPECT_THAT(csv_error("1,2.5\n", {}, {.dtype = DType::kU8}).what(), HasSubstr("'2.5'"));
  EXPECT_THAT(csv_error("1,\n", {}, {.dtype = DType::kU8}).what(), HasSubstr("an empty cell"));
  for (const std::string cell : {"-1", "2.5"})
    EXPECT_THAT(csv_error("1," + cell + "\n", {}, {.dtype = DType::kU8}).what(),
                HasSubstr("'" + cell + "' is no u8 (leave --dtype out)"));
  EXPECT_EQ(csv_error("1,2\n", {}, {.row_shape = {3}}).code(), ErrorCode::kUsage);
  EXPECT_EQ(csv_error("1,2\n", {}, {.dtype = DType::kF16}).code(), ErrorCode::kUsage);
}

TEST(CsvTest, TextIsNamedByRowLineAndColumn) {
  const Error error = csv_error("a,\"b c\"\n1,2\n\n3,\"x\ny\"\n");
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("t.csv: row 1 (line 4), column 'b c': 'x y' is no number"));
  EXPECT_THAT(error.what(), HasSubstr("--drop-columns"));
  EXPECT_THAT(csv_error("a,y\n1,2\n3,z\n", {.columns = {.label = "y"}}).what(),
              HasSubstr("as labels are"));
}

TEST(CsvTest, WhatIsNoTableIsRefused) {
  const auto what = [](const std::string& text, TableOptions table = {}) {
    const Error error = csv_error(text, table);
    EXPECT_TRUE(error.code() == ErrorCode::kData || error.code() == ErrorCode::kUsage);
    return std::string(error.what());
  };
  EXPECT_THAT(what("a,b\n1,2\n3\n"), HasSubstr("row 1 (line 3): has 1 cells"));
  EXPECT_THAT(what("a,b\n1,2\n\n3,4,5\n"), HasSubstr("row 1 (line 4): has 3 cells"));
  EXPECT_THAT(what("1,2\n3,4,\n"), HasSubstr("has 3 cells"));
  EXPECT_THAT(what("a,b\n1,2\n\"3,4\n5,6\n"), HasSubstr("line 3: a quote"));
  EXPECT_THAT(what("a,b\n1,2\n3,4\"\n5,\"6\"\n7,\"8\"\n9,10\n"), HasSubstr("line 3: a quote"));
  EXPECT_THAT(what("a,b\n1,2\n3,4\"5\" \n"), HasSubstr("does not begin with one"));
  EXPECT_THAT(what("a,b\n1,2\n3,\"4\"5\n"), HasSubstr("behind a closing quote"));
  EXPECT_THAT(what(""), HasSubstr("has no rows"));
  EXPECT_THAT(what("\n\n"), HasSubstr("has no rows"));
  EXPECT_THAT(what(std::string("a\0,b\0\n", 6)), HasSubstr("UTF-16"));
  EXPECT_THAT(what("a,b\n1,2\n", {.columns = {.label = "c"}}), HasSubstr("no column 'c'"));
  EXPECT_THAT(what("a,b\n1,2\n", {.columns = {.drop = "a,2"}}), HasSubstr("no column '2'"));
  EXPECT_THAT(what("a,a\n1,2\n", {.columns = {.id = "a"}}), HasSubstr("several columns 'a'"));
  EXPECT_THAT(what("a,b\n1,2\n", {.columns = {.drop = "a,b"}}), HasSubstr("none is left"));
  EXPECT_THAT(what("a,b\n1,2\n", {.columns = {.label = "a", .id = "a"}}),
              HasSubstr("cannot be two things"));
}

TEST(CsvTest, OtherFormatsHaveNoColumns) {
  const std::string text = idx(8, {2, 3}, counting(6));
  MemoryFileSystem fs(text);
  const OpenOptions options{.table = {.columns = {.label = "y"}}, .fs = &fs};
  EXPECT_EQ(error_of([&] { open_dataset("x.idx", options); }).code(), ErrorCode::kUsage);
  const OpenOptions usual{
      .usual = {.table = {.columns = {.label = "y"}, .header = HeaderLine::kNo}}, .fs = &fs};
  EXPECT_EQ(open_dataset("x.idx", usual)->rows(), 2u);
}

// Rows far from where the list knows one, of lengths that differ, with line breaks in cells.
TEST(CsvTest, RowsAreFoundByNumberInLongFiles) {
  std::string text = "name,a,b\n";
  constexpr uint64_t kRows = 40'000;
  for (uint64_t row = 0; row < kRows; ++row) {
    text += row % 7 == 0 ? "\"x\n\"\"" + std::string(row % 50, 'y') + "\"" : "z";
    text += "," + std::to_string(row) + "," + std::to_string(row * 3) + (row % 2 ? "\n" : "\r\n");
  }
  MemoryFileSystem fs(text);
  const auto data = open_dataset("t.csv", {.table = {.columns = {.id = "name"}}, .fs = &fs});
  EXPECT_EQ(data->rows(), kRows);
  for (const uint64_t first :
       {uint64_t{0}, uint64_t{1}, uint64_t{6}, uint64_t{999}, uint64_t{12'345}, kRows - 1}) {
    for (const uint64_t count : {uint64_t{0}, uint64_t{1}, uint64_t{5'000}, kRows}) {
      if (first + count > kRows) continue;
      std::vector<double> x(2 * count);
      data->read(0, first, count, std::as_writable_bytes(std::span(x)));
      for (uint64_t i = 0; i < count; ++i) {
        ASSERT_EQ(x[2 * i], static_cast<double>(first + i));
        ASSERT_EQ(x[2 * i + 1], static_cast<double>(3 * (first + i)));
      }
    }
  }
}

// Records longer than the buffers, and cut anywhere.
TEST(CsvTest, RecordsOfAnyLength) {
  for (const size_t columns : {300'000, 3}) {
    std::string text;
    for (int row = 0; row < 3; ++row) {
      for (size_t i = 0; i < columns; ++i)
        text += (i > 0 ? "," : "") + std::to_string((i * 7 + static_cast<size_t>(row)) % 1000);
      text += '\n';
    }
    MemoryFileSystem fs(text);
    const auto data = open_dataset("t.csv", {.fs = &fs});
    ASSERT_EQ(data->x().row.elems(), static_cast<int64_t>(columns));
    const Content content = content_of(*data, 1);
    ASSERT_EQ(content.x.size(), 3 * columns);
    for (size_t i = 0; i < columns; ++i)
      ASSERT_EQ(content.x[2 * columns + i], static_cast<double>((i * 7 + 2) % 1000));
  }
}

TEST(CsvTest, NumbersAreRoundedAsTheyShould) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    double value = 0;
    const uint64_t bits = random();
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    char text[64];
    std::snprintf(text, sizeof text, "%.17g", value);
    double again = 0;
    ASSERT_EQ(parse_cell(text, again), CellKind::kNumber) << text;
    ASSERT_EQ(again, value) << text;
  }
}

TEST(CsvTest, NumbersBeyondTheirTypeAreInfinityOrZero) {
  const auto parsed = [](const std::string& text) {
    double value = 7;
    EXPECT_EQ(parse_cell(text, value), CellKind::kNumber) << text;
    return value;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<std::string> huge = {"1e400", "1" + std::string(400, '0'), "0.001e99999",
                                         "1e99999999999999999999"};
  for (const std::string& text : huge) EXPECT_EQ(parsed(text), kInfinity) << text;
  EXPECT_EQ(parsed("-1e400"), -kInfinity);
  const std::vector<std::string> tiny = {"1e-400", "0." + std::string(400, '0') + "1", "1000e-999",
                                         "1e-99999999999999999999"};
  for (const std::string& text : tiny) EXPECT_EQ(parsed(text), 0) << text;
  float narrow = 7;
  EXPECT_EQ(parse_cell("1e39", narrow), CellKind::kNumber);
  EXPECT_EQ(narrow, std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace diabolo
