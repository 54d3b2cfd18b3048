// CSV that is read as another table was: columns, header, separator and type of a training.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/column_reference.h"
#include "data/read_csv.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CsvUsualTest, WhatIsAskedForGoesBeforeWhatIsUsual) {
  const std::string text = "id,a,kind,b,note\nn,1,5,2,7\nm,3,-6,4,8\n";
  const auto labels = [&](TableOptions table) { return read_csv(text, table).labels; };
  EXPECT_THAT(labels({.columns = {.label = "kind"}, .usual = {.id = "id", .drop = "kind,note"}}),
              ElementsAre(5, -6));
  EXPECT_THAT(labels({.columns = {.label = "kind"}, .usual = {"note", "kind", "id"}}),
              ElementsAre(5, -6));
  EXPECT_THAT(labels({.columns = {.label = "note", .id = "id"}, .usual = {"kind", "id", "kind"}}),
              ElementsAre(7, 8));
  EXPECT_TRUE(labels({.columns = {.drop = "kind,id"}, .usual = {.label = "kind"}}).empty());
  EXPECT_THAT(csv_error(text, {.columns = {.label = "kind", .drop = "kind"}}).what(),
              HasSubstr("cannot be two things"));
}

TEST(CsvUsualTest, NoneStandsAgainstTheUsual) {
  const std::string text = "n,a,b\n7,1,2\n";
  const auto x = [&](TableOptions table) { return read_csv(text, table).x; };
  EXPECT_THAT(x({.usual = {.id = "n"}}), ElementsAre(1, 2));
  EXPECT_THAT(x({.columns = {.id = "none"}, .usual = {.id = "n"}}), ElementsAre(7, 1, 2));
  EXPECT_THAT(read_csv("none,a\n7,1\n", {.columns = {.id = "none"}}).x, ElementsAre(1));
}

// A number says which column it is only in a table as wide as the training's.
TEST(CsvUsualTest, UsualNumbersAreOfTablesOfThatWidth) {
  const auto table = [](ColumnNames usual) {
    return TableOptions{.usual = std::move(usual), .usual_features = 2};
  };
  EXPECT_THAT(read_csv("n,a,b\n7,1,2\n", table({.id = "number:0"})).x, ElementsAre(1, 2));
  EXPECT_THAT(read_csv("7,1,2\n", table({.id = "number:0"})).ids, ElementsAre("7"));
  EXPECT_THAT(read_csv("1,2\n", table({.id = "number:0"})).x, ElementsAre(1, 2));  // features alone
  const Error error = csv_error("7,0,1,2\n", table({.id = "number:0"}));
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_THAT(error.what(), HasSubstr("has 4 columns, the table of the training had 3"));
  EXPECT_THAT(error.what(), HasSubstr("say --id-column COLUMN, or none"));
  TableOptions none = table({.id = "number:0"});
  none.columns.id = "none";
  EXPECT_THAT(read_csv("7,0,1,2\n", none).x, ElementsAre(7, 0, 1, 2));
  EXPECT_THAT(read_csv("k,n,a,b\n0,7,1,2\n", table({.id = "n", .drop = "k"})).ids,
              ElementsAre("7"));
}

TEST(CsvUsualTest, ColumnsAreKeptByNameWhereThereIsOne) {
  const auto columns = [](const std::string& text, ColumnNames asked) {
    MemoryFileSystem fs(text);
    return open_dataset("t.csv", {.table = {.columns = std::move(asked)}, .fs = &fs})->columns();
  };
  EXPECT_EQ(columns("n,k,a,b,c\n1,2,3,4,5\n", {"1", "0", "4,b"}), (ColumnNames{"k", "n", "b,c"}));
  EXPECT_EQ(columns("1,2,3,4\n", {"1", "0", ""}), (ColumnNames{"number:1", "number:0", ""}));
  EXPECT_EQ(columns("n,n,\"a,b\",c\n1,2,3,4\n", {"", "1", "2"}),
            (ColumnNames{"", "number:1", "number:2"}));
  EXPECT_EQ(columns("a,b,c\n1,2,3\n", {.drop = "a , b"}), (ColumnNames{.drop = "a,b"}));
  EXPECT_EQ(columns("7,name:k,none,b b,a\n1,2,3,4,5\n", {"name:7", "2", "b b,1"}),
            (ColumnNames{"name:7", "name:none", "name:name:k,b b"}));
  EXPECT_EQ(columns(",a,b\n1,2,3\n", {.id = "0"}), (ColumnNames{.id = "number:0"}));
}

// What was a name is looked for as a name alone, what was a number is a number alone.
TEST(CsvUsualTest, NamesAndNumbersStayWhatTheyWere) {
  const auto table = [](ColumnNames usual, std::optional<HeaderLine> header = {}) {
    return TableOptions{.header = header, .usual = std::move(usual), .usual_features = 2};
  };
  const std::string named = "7,1,0\n5,6,9\n";
  const auto names = HeaderLine::kYes, data = HeaderLine::kNo;
  EXPECT_THAT(read_csv(named, table({.drop = "name:1"}, names)).x, ElementsAre(5, 9));
  EXPECT_THAT(read_csv(named, table({.drop = "number:1"}, names)).x, ElementsAre(5, 9));
  EXPECT_THAT(read_csv(named, table({.drop = "number:0"}, names)).x, ElementsAre(6, 9));
  EXPECT_THAT(read_csv("7,1\n", table({.drop = "name:1"}, data)).x, ElementsAre(7, 1));
  const Error headless = csv_error(named, table({.drop = "name:1"}, data));
  EXPECT_EQ(headless.code(), ErrorCode::kData);
  EXPECT_THAT(headless.what(), HasSubstr("expected 2 columns of numbers, found 3: column '1' of "
                                         "the training (left out) is known by name, and it has no "
                                         "names: say --drop-columns COLUMN, or none"));
  EXPECT_THAT(csv_error("a,b,c\n5,6,9\n", table({.label = "name:1"})).what(),
              HasSubstr("column '1' of the training (label column) is not in its header"));
  const auto asked = [](const std::string& text, std::string drop) {
    return read_csv(text, {.columns = {.drop = std::move(drop)}}).x;
  };
  EXPECT_THAT(asked("2,1,d\n5,6,9\n", "name:1"), ElementsAre(5, 9));  // so the first line is names
  EXPECT_THAT(asked("a,1,d\n5,6,9\n", "number:2,1"), ElementsAre(5));
  EXPECT_THAT(csv_error("a,b\n1,2\n", {.columns = {.drop = "name:1"}}).what(),
              HasSubstr("has no column '1'; there are 2: 'a', 'b'"));
  EXPECT_THAT(csv_error("a,b\n1,2\n", {.columns = {.drop = "number:b"}}).what(),
              HasSubstr("expected number:N"));
}

// Models of earlier builds hold texts that may be either.
TEST(CsvUsualTest, DigitsOfEarlierModelsAreNamesWhereThereWereNames) {
  const ColumnNames old{"1", "kind", "2,a,3"};
  EXPECT_EQ(settled(old, true), (ColumnNames{"name:1", "kind", "name:2,a,name:3"}));
  EXPECT_EQ(settled(old, false), (ColumnNames{"number:1", "kind", "number:2,a,number:3"}));
  EXPECT_EQ(settled(settled(old, true), false), settled(old, true));
}

// A row of a table without names is not passed over as its header.
TEST(CsvUsualTest, ARowOfNumbersIsNotTheUsualHeader) {
  OpenOptions options;
  options.usual.table.header = HeaderLine::kYes;
  options.usual.row = TensorDesc(DType::kF64, {2});
  options.usual.features = {"3", "5"};
  const auto rows = [&](const std::string& text) {
    MemoryFileSystem fs(text);
    options.fs = &fs;
    return *open_dataset("t.csv", options)->rows();
  };
  EXPECT_EQ(rows("3,5\n1,2\n"), 1u);  // its names
  EXPECT_EQ(rows("a,5\n1,2\n"), 1u);
  const Error error = error_of([&] { rows("3,6\n1,2\n"); });
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_THAT(error.what(), HasSubstr("the first line is numbers, and none of the names"));
  options.table.header = HeaderLine::kYes;
  EXPECT_EQ(rows("3,6\n1,2\n"), 1u);
  options.table.header.reset();
  options.usual.table.header.reset();
  EXPECT_EQ(rows("3,5\n1,2\n"), 2u);  // names that are numbers tell nothing
}

// Columns that there are too many or too few of are named.
TEST(CsvUsualTest, OtherColumnsThanUsualAreNamed) {
  OpenOptions options;
  options.usual.row = TensorDesc(DType::kF64, {2});
  options.usual.features = {"a", "b"};
  const auto error = [&](const std::string& text) {
    MemoryFileSystem fs(text);
    options.fs = &fs;
    return std::string(error_of([&] { open_dataset("t.csv", options); }).what());
  };
  EXPECT_EQ(error("a,c,b\n1,2,3\n"),
            "t.csv: expected 2 columns of numbers, found 3: column 'c' is none of the training's "
            "features (--drop-columns leaves it out)");
  EXPECT_THAT(error("b\n1\n"), HasSubstr("found 1: column 'a' is missing"));
}

// Reading as the training did it, where nothing else is asked for; and that is said.
TEST(CsvUsualTest, ReadingIsAsUsual) {
  UsualReading usual;
  usual.dtype = DType::kU8;
  usual.table = {{.id = "n"}, HeaderLine::kYes, Separator::kSemicolon};
  const auto open = [&](const std::string& text, OpenOptions options = {}) {
    options.usual = usual;
    MemoryFileSystem fs(text);
    options.fs = &fs;
    const auto data = open_dataset("t.csv", options);
    return data->text() + " " + data->as_usual();
  };
  EXPECT_EQ(open("n;0,1,2\n5;6\n"),
            "u8[1,1] separator semicolon, header yes, id column 'n', numbers u8");
  EXPECT_EQ(open("a,1\n5,6\n"), "u8[1,2] header yes, numbers u8");
  EXPECT_EQ(open("0,1\n5,6\n", {.dtype = DType::kF32, .table = {.header = HeaderLine::kNo}}),
            "f32[2,2] ");
  usual.dtype = DType::kF16;  // of raw files alone
  EXPECT_EQ(open("a,1\n5,6\n"), "f64[1,2] header yes");
}

TEST(CsvUsualTest, RowsOfCodesAreFoundBesideOtherColumns) {
  OpenOptions options;
  options.usual.features = {"x0", "x1"};
  options.usual.has_ids_first = true;
  const auto open = [&](const std::string& text) {
    MemoryFileSystem fs(text);
    options.fs = &fs;
    return content_of(*open_dataset("t.csv", options), 10);
  };
  for (const std::string text : {"name,row,x0,x1\np,7,1,2\n", "0,row,x0,x1\np,7,1,2\n"}) {
    EXPECT_THAT(open(text).x, ElementsAre(1, 2)) << text;
    EXPECT_THAT(open(text).ids, ElementsAre("p")) << text;
  }
  EXPECT_THAT(open("row,x0,x1\n7,1,2\n").x, ElementsAre(1, 2));
  EXPECT_THAT(open("a,b\n1,2\n").x, ElementsAre(1, 2));
  const Error error = error_of([&] { open("x1,x0\n1,2\n"); });
  EXPECT_THAT(error.what(), HasSubstr("are in another order"));
}

}  // namespace
}  // namespace diabolo
