// Data files that want to do harm or are simply wrong, each with the code of its error (R3; the
// models are in tests/model/hostile_model_test.cpp). A file here must fail at opening, before any
// row is read.
#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "base/memory_file_system.h"
#include "data/dataset.h"
#include "data/make_files.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests

struct Hostile {
  const char* name;
  std::string content;
  ErrorCode code = ErrorCode::kData;
  ColumnNames columns = {};
};

std::string npy_shape(const std::string& shape, const std::string& content = "") {
  return npy("<f4", "False", shape, content);
}
std::string npy_descr(const std::string& descr) {
  return npy(descr, "False", "(2, 2)", counting(16));
}
std::string npy_text(const std::string& dictionary) {
  return npy_with(dictionary, counting(16));
}
// An array with a length field that lies.
std::string npy_length(uint64_t length, int major) {
  std::string file = npy("<f4", "False", "(2, 2)", counting(16), major);
  const std::string field = little(length, major == 1 ? 2 : 4);
  return file.replace(8, field.size(), field);
}
std::string npy_version(char major, char minor) {
  std::string file = npy("<f4", "False", "(2, 2)", counting(16));
  file[6] = major;
  file[7] = minor;
  return file;
}
std::string with_changed(std::string content, size_t at, char value) {
  content.at(at) = value;
  return content;
}

std::vector<Hostile> hostile_npy_shapes() {
  return {
      {"npy_no_axes", npy_shape("()", "abcd")},
      {"npy_six_axes", npy_shape("(1, 1, 1, 1, 1, 1)", "abcd")},
      {"npy_extent_of_120_digits", npy_shape("(" + std::string(120, '1') + ",)")},
      {"npy_many_axes",
       npy_shape("(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", "abcd")},
      {"npy_negative_extent", npy_shape("(-1, 4)")},
      {"npy_fractional_extent", npy_shape("(2.0, 2)")},
      {"npy_hexadecimal_extent", npy_shape("(0x2, 2)")},
      {"npy_expression_as_extent", npy_shape("(2+2, 2)")},
      {"npy_call_as_shape", npy_shape("__import__('os').system('true')")},
      {"npy_extent_2_to_64", npy_shape("(18446744073709551616, 1)")},
      {"npy_rows_2_to_63", npy_shape("(9223372036854775808,)")},
      {"npy_product_overflows", npy_shape("(4294967296, 4294967296, 4)")},
      {"npy_product_wraps_to_16", npy_shape("(4611686018427387905, 4)", counting(16))},
      {"npy_row_overflows", npy_shape("(0, 4294967296, 4294967296)")},
      {"npy_row_of_gigabytes", npy_shape("(0, 1099511627776)")},
      {"npy_rows_without_elements", npy_shape("(1000000000000, 0)")},
      {"npy_larger_than_the_file", npy_shape("(3, 2)", counting(16))},
      {"npy_smaller_than_the_file", npy_shape("(1, 2)", counting(16))},
      {"npy_shape_is_a_list", npy_shape("[2, 2]", counting(16))},
      {"npy_shape_is_a_number", npy_shape("4", counting(16))},
      {"npy_shape_without_comma", npy_shape("(4)", counting(16))},
      {"npy_shape_of_commas", npy_shape("(,)", counting(16))},
      {"npy_shape_not_closed", npy_shape("(2, 2", counting(16))},
  };
}

std::vector<Hostile> hostile_npy_types() {
  return {
      {"npy_python_objects", npy("|O", "False", "(2,)", "\x80\x04N.")},
      {"npy_objects_by_size", npy_descr("|O8")},
      {"npy_complex", npy_descr("<c8")},
      {"npy_text", npy_descr("<U4")},
      {"npy_bytes", npy_descr("|S4")},
      {"npy_void", npy_descr("|V4")},
      {"npy_date", npy_descr("<M8[ns]")},
      {"npy_long_double", npy_descr("<f16")},
      {"npy_float_of_three_bytes", npy_descr("<f3")},
      {"npy_float_of_no_bytes", npy_descr("<f0")},
      {"npy_type_without_order", npy_descr("f4")},
      {"npy_order_missing_for_four_bytes", npy_descr("|f4")},
      {"npy_unknown_order", npy_descr("!f4")},
      {"npy_empty_type", npy_descr("")},
      {"npy_type_of_many_letters", npy_descr(std::string(5000, 'f'))},
      {"npy_structure",
       npy_text("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}")},
      {"npy_type_is_a_number", npy_text("{'descr': 4, 'fortran_order': False, 'shape': (4,)}")},
  };
}

std::vector<Hostile> hostile_npy_headers() {
  const std::string good = npy("<f4", "False", "(2, 2)", counting(16));
  return {
      {"npy_magic_only", "\x93NUMPY"},
      {"npy_wrong_magic", with_changed(good, 5, 'X')},
      {"npy_version_0", npy_version(0, 0)},
      {"npy_version_4", npy_version(4, 0)},
      {"npy_version_1_1", npy_version(1, 1)},
      {"npy_version_255", npy_version('\xff', 0)},
      {"npy_header_of_4_gib", npy_length(0xffffffffu, 2)},
      {"npy_header_beyond_the_file", npy_length(5000, 1)},
      {"npy_header_of_no_bytes", npy_length(0, 1)},
      {"npy_header_cut_short", npy_length(20, 1)},
      {"npy_header_over_the_limit", npy_with(std::string(70'000, ' '), "", 2)},
      {"npy_no_dictionary", npy_text("")},
      {"npy_empty_dictionary", npy_text("{}")},
      {"npy_dictionary_not_closed", npy_text("{'descr': '<f4'")},
      {"npy_no_type", npy_text("{'fortran_order': False, 'shape': (2, 2)}")},
      {"npy_no_order", npy_text("{'descr': '<f4', 'shape': (2, 2)}")},
      {"npy_no_shape", npy_text("{'descr': '<f4', 'fortran_order': False}")},
      {"npy_shape_twice",
       npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), 'shape': (2, 2)}")},
      {"npy_unknown_key",
       npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), 'x': 1}")},
      {"npy_order_is_a_number", npy_text("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2)}")},
      {"npy_more_after_the_dictionary",
       npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)} ; print(1)")},
      {"npy_quote_not_closed", npy_text("{'descr: <f4")},
      {"npy_zero_bytes_in_header", npy_text("{'descr': '<f4', " + std::string(3, '\0') +
                                            "'fortran_order': False, 'shape': (2, 2)}")},
      {"npy_nested_braces", npy_text(std::string(5000, '{'))},
      {"npy_nested_parentheses", npy_shape(std::string(5000, '('))},
  };
}

std::vector<Hostile> hostile_idx() {
  const std::string images = idx(8, {3, 2, 2}, counting(12));
  const std::string packed = gzipped(images);
  const std::string claims_gigabytes = gzipped(idx(8, {4'000'000'000u}, "abc"));
  const std::string six_axes = idx(8, {1, 1, 1, 1, 1, 1}, "x");
  return {
      {"idx_unknown_type", with_changed(images, 2, 0x0a)},
      {"idx_no_axes", with_changed(images, 3, 0)},
      {"idx_six_axes", six_axes},
      {"idx_255_axes", with_changed(images, 3, '\xff')},
      {"idx_product_overflows", idx(14, {0xffffffffu, 0xffffffffu, 0xffffffffu}, "")},
      {"idx_product_wraps_to_0", idx(8, {0x80000000u, 0x80000000u, 4}, "")},
      {"idx_row_of_gigabytes", idx(8, {0, 0xffffffffu, 16}, "")},
      {"idx_rows_without_elements", idx(8, {0xffffffffu, 0}, "")},
      {"idx_larger_than_the_file", idx(8, {4, 2, 2}, counting(12))},
      {"idx_smaller_than_the_file", idx(8, {2, 2, 2}, counting(12))},
      {"idx_header_cut_off", images.substr(0, 9)},
      {"gzip_header_only", packed.substr(0, 10)},
      {"gzip_cut_off", packed.substr(0, packed.size() - 1)},
      {"gzip_checksum_wrong", with_changed(packed, packed.size() - 6, '!')},
      {"gzip_length_wrong", with_changed(packed, packed.size() - 1, '!')},
      {"gzip_unknown_method", with_changed(packed, 2, 7)},
      {"gzip_reserved_flags", with_changed(packed, 3, '\xe0')},
      {"gzip_of_nothing", gzipped("")},
      {"gzip_of_a_npy", gzipped(npy("<f4", "False", "(2, 2)", counting(16)))},
      {"gzip_claims_gigabytes", claims_gigabytes},
      {"gzip_holds_less", gzipped(idx(8, {4, 2, 2}, counting(12)))},
      {"gzip_holds_more", gzipped(images + "x")},
      {"gzip_then_garbage", packed + "garbage"},
      {"gzip_bomb", gzipped(idx(8, {1}, std::string(5'000'000, '\0')), 9)},
      {"gzip_in_gzip", gzipped(packed)},
  };
}

std::vector<Hostile> hostile_csv() {
  const std::string long_name = "\"a\n" + std::string(100'000, 'b') + "\"";
  return {
      {"csv_of_nothing", ""},
      {"csv_of_line_ends", "\n\r\n\n"},
      {"csv_of_utf16", std::string("a\0,\0b\0", 6)},
      {"csv_of_returns", "a,b\r1,2\r"},
      {"csv_quote_not_closed", "\"" + std::string(1 << 20, ',')},
      {"csv_quote_too_much", "a,b\"c\n1,2\n"},
      {"csv_of_a_million_columns", std::string(size_t{1} << 21, ',')},
      {"csv_second_line_of_a_million", "a\n" + std::string(size_t{1} << 21, ',')},
      {"csv_line_of_64_mib", std::string((size_t{64} << 20) + 100, 'x')},
      {"csv_labels_of_a_long_name",
       long_name + "," + long_name + "\n1,2\n",
       ErrorCode::kUsage,
       {.label = "0", .id = "0"}},
      {"csv_without_the_column", long_name + ",b\n1,2\n", ErrorCode::kUsage, {.id = "c\nd"}},
      {"csv_number_of_the_column", "a\n1\n", ErrorCode::kUsage, {.id = "18446744073709551616"}},
      {"csv_of_counting", "0,1,2,3\n4,5,6,7\n", ErrorCode::kUsage},
  };
}

void expect_refused(const std::vector<Hostile>& files, const std::string& format = "") {
  for (const Hostile& file : files) {
    SCOPED_TRACE(file.name);
    MemoryFileSystem fs(file.content);
    const OpenOptions options{.format = format, .table = {.columns = file.columns}, .fs = &fs};
    const Error error = error_of([&] { open_dataset("file", options); });
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 400u) << file.name;
    EXPECT_EQ(error.code(), file.code) << error.what();
    EXPECT_EQ(std::string(error.what()).find("file: "), 0u) << error.what();
  }
}

TEST(HostileDataTest, NpyShapes) {
  expect_refused(hostile_npy_shapes());
}
TEST(HostileDataTest, NpyTypes) {
  expect_refused(hostile_npy_types());
}
TEST(HostileDataTest, NpyHeaders) {
  expect_refused(hostile_npy_headers());
}
TEST(HostileDataTest, Idx) {
  expect_refused(hostile_idx());
}
TEST(HostileDataTest, Csv) {
  expect_refused(hostile_csv(), "csv");
}
TEST(HostileDataTest, NoFormatAtAll) {
  expect_refused({{"empty", ""},
                  {"one_byte", "x"},
                  {"text", "1,2,3\n4,5,6\n"},
                  {"zip", "PK\3\4 and so on"},
                  {"pickle", "\x80\x04\x95 and so on"},
                  {"zeros", std::string(1000, '\0')}});
}

TEST(HostileDataTest, OptionsForRawFiles) {
  const std::string content = counting(64);
  MemoryFileSystem fs(content);
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{0}, {-4}, {INT64_MAX, INT64_MAX}, {1, 1, 1, 1, 1}, {1 << 30}}) {
    const OpenOptions options{.dtype = DType::kU8, .row_shape = shape, .fs = &fs};
    EXPECT_EQ(error_of([&] { open_dataset("file", options); }).code(), ErrorCode::kUsage);
  }
  for (const OpenOptions& options : {OpenOptions{.format = "raw", .fs = &fs},
                                     OpenOptions{.format = "raw", .dtype = DType::kU8, .fs = &fs},
                                     OpenOptions{.format = "raw", .row_shape = {4}, .fs = &fs}})
    EXPECT_EQ(error_of([&] { open_dataset("file", options); }).code(), ErrorCode::kUsage);
}

}  // namespace
}  // namespace diabolo
