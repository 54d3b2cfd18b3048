// Model files that want to do harm or are simply wrong: each is refused with ErrorCode::kModel,
// also where the user takes unverified files (R3; the data files are in
// tests/data/hostile_data_test.cpp).
#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "base/memory_file_system.h"
#include "data/make_files.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests

struct Hostile {
  const char* name;
  std::string content;
};

std::string file(const std::string& header, const std::string& data = "") {
  return little(header.size(), 8) + header + data;
}
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                const std::string& data = "") {
  return file(R"({"a":)" + entry(dtype, shape, offsets) + "}", data);
}
std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}
const std::string kByte = entry("U8", "[1]", "[0,1]");

std::vector<Hostile> hostile_lengths() {
  return {
      {"empty", ""},
      {"seven_bytes", "1234567"},
      {"length_only", little(0, 8)},
      {"length_2_to_64_less_1", little(UINT64_MAX, 8) + "{}"},
      {"length_2_to_64_less_8", little(UINT64_MAX - 7, 8) + "{}"},
      {"length_one_too_long", little(3, 8) + "{}"},
      {"length_one_too_short", little(1, 8) + "{}"},
      {"length_over_the_limit",
       little(kMaxSafetensorsHeaderBytes + 8, 8) + std::string((16 << 20) + 8, ' ')},
      {"pickle", "\x80\x02}q\1 and so on"},
      {"zip", "PK\3\4 and so on, long enough for a length"},
  };
}

std::vector<Hostile> hostile_json() {
  return {
      {"spaces", file("        ")},
      {"null", file("null")},
      {"list", file("[]")},
      {"text", file("\"a\"")},
      {"space_first", file(" {}")},
      {"byte_order_mark", file("\xef\xbb\xbf{}")},
      {"not_closed", file(R"({"a":)")},
      {"more_after_it", file("{} {}")},
      {"zero_byte", file(std::string("{}\0", 3))},
      {"comment", file("{/**/}")},
      {"trailing_comma", file(R"({"a":)" + kByte + ",}", "x")},
      {"wrong_utf8", file("{\"\xff\":" + kByte + "}", "x")},
      {"half_surrogate", file(R"({"\ud800":)" + kByte + "}", "x")},
      {"control_character", file("{\"a\nb\":" + kByte + "}", "x")},
      {"deep_lists", file(repeated("[", 100'000))},
      {"deep_objects", file(repeated(R"({"a":)", 100'000))},
      {"deep_in_a_tensor", one("U8", "[[1]]", "[0,1]", "x")},
      {"two_million_tokens", file("{" + repeated("\"\":0,", 2'000'000) + "}")},
      {"long_name", file("{\"" + std::string(5000, 'n') + "\":" + kByte + "}", "x")},
  };
}

std::vector<Hostile> hostile_structure() {
  return {
      {"name_twice", file(R"({"a":)" + kByte + R"(,"a":)" + kByte + "}", "x")},
      {"name_twice_by_escape", file(R"({"a":)" + kByte + R"(,"\u0061":)" + kByte + "}", "x")},
      {"metadata_twice", file(R"({"__metadata__":{},"__metadata__":{}})")},
      {"metadata_key_twice", file(R"({"__metadata__":{"k":"1","k":"2"}})")},
      {"metadata_number", file(R"({"__metadata__":{"k":1}})")},
      {"metadata_object", file(R"({"__metadata__":{"k":{}}})")},
      {"metadata_null", file(R"({"__metadata__":null})")},
      {"tensor_is_a_number", file(R"({"a":1})")},
      {"tensor_is_a_list", file(R"({"a":[]})")},
      {"tensor_is_empty", file(R"({"a":{}})")},
      {"no_dtype", file(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x")},
      {"no_shape", file(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "x")},
      {"no_offsets", file(R"({"a":{"dtype":"U8","shape":[1]}})", "x")},
      {"dtype_twice",
       file(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")},
      {"unknown_key",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"path":"/etc/passwd"}})", "x")},
      {"dtype_is_a_number", file(R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", "x")},
      {"shape_is_a_text", file(R"({"a":{"dtype":"U8","shape":"1","data_offsets":[0,1]}})", "x")},
      {"shape_of_texts", one("U8", R"(["1"])", "[0,1]", "x")},
      {"shape_of_truth", one("U8", "[true]", "[0,1]", "x")},
  };
}

std::vector<Hostile> hostile_sizes() {
  const std::string two = R"(,"b":)";
  return {
      {"unknown_dtype", one("F8_E4M3", "[1]", "[0,1]", "x")},
      {"lower_case_dtype", one("u8", "[1]", "[0,1]", "x")},
      {"six_axes", one("U8", "[1,1,1,1,1,1]", "[0,1]", "x")},
      {"negative_extent", one("U8", "[-1]", "[0,1]", "x")},
      {"fractional_extent", one("U8", "[1.0]", "[0,1]", "x")},
      {"extent_2_to_63", one("U8", "[9223372036854775808]", "[0,1]", "x")},
      {"extent_2_to_64", one("U8", "[18446744073709551616]", "[0,1]", "x")},
      {"extent_1e400", one("U8", "[1e400]", "[0,1]", "x")},
      {"product_overflows", one("F32", "[4294967296,4294967296]", "[0,1]", "x")},
      {"product_wraps_to_1", one("U8", "[4294967297,4294967297,4294967297]", "[0,1]", "x")},
      {"bytes_wrap_to_4", one("F32", "[4611686018427387905]", "[0,4]", "abcd")},
      {"zero_times_too_large", one("U8", "[0,9223372036854775808]", "[0,0]")},
      {"one_offset", one("U8", "[1]", "[0]", "x")},
      {"three_offsets", one("U8", "[1]", "[0,1,1]", "x")},
      {"offsets_reversed", one("U8", "[1]", "[1,0]", "x")},
      {"offset_negative", one("U8", "[1]", "[-1,0]", "x")},
      {"offset_2_to_64_less_1",
       one("U8", "[1]", "[18446744073709551615,18446744073709551616]", "x")},
      {"offsets_wrap", one("U8", "[1]", "[18446744073709551615,0]", "x")},
      {"shape_larger_than_offsets", one("F32", "[2]", "[0,4]", "abcd")},
      {"shape_smaller_than_offsets", one("F32", "[1]", "[0,8]", "abcdefgh")},
      {"offsets_beyond_the_file", one("U8", "[100]", "[0,100]", "x")},
      {"bytes_left_over", one("U8", "[1]", "[0,1]", "xy")},
      {"bytes_before_the_first", one("U8", "[1]", "[1,2]", "xy")},
      {"overlap", file(R"({"a":)" + kByte + two + kByte + "}", "x")},
      {"gap", file(R"({"a":)" + kByte + two + entry("U8", "[1]", "[2,3]") + "}", "xyz")},
      {"empty_tensor_elsewhere",
       file(R"({"a":)" + kByte + two + entry("U8", "[0]", "[7,7]") + "}", "x")},
      {"no_tensors_but_bytes", file("{}", "x")},
  };
}

void expect_refused(const std::vector<Hostile>& files) {
  for (const Hostile& hostile : files) {
    SCOPED_TRACE(hostile.name);
    MemoryFileSystem fs(hostile.content);
    for (const bool allows : {false, true}) {
      const SafetensorsOptions options{.allow_unverified = allows, .fs = &fs};
      const Error error = error_of([&] { SafetensorsFile::open("file", options); });
      EXPECT_EQ(error.code(), ErrorCode::kModel) << error.what();
      EXPECT_EQ(std::string(error.what()).find("file: "), 0u) << error.what();
      EXPECT_LT(std::string(error.what()).size(), 400u);
    }
  }
}

TEST(HostileModelTest, Lengths) {
  expect_refused(hostile_lengths());
}
TEST(HostileModelTest, Json) {
  expect_refused(hostile_json());
}
TEST(HostileModelTest, Structure) {
  expect_refused(hostile_structure());
}
TEST(HostileModelTest, Sizes) {
  expect_refused(hostile_sizes());
}

// The same builder makes files that are taken, so the refusals above are not for a reason of its
// own.
TEST(HostileModelTest, TheirHarmlessCousins) {
  for (const std::string& good :
       {file("{}"), file("{}   "), one("U8", "[1]", "[0,1]", "x"), one("U8", "[]", "[0,1]", "x"),
        one("U8", "[0,9223372036854775807]", "[0,0]"), file(R"({"__metadata__":{"k":"v"}})"),
        file(R"({"a":)" + kByte + R"(,"b":)" + entry("U8", "[0]", "[1,1]") + R"(,"c":)" +
                 entry("U8", "[0]", "[0,0]") + "}",
             "x")}) {
    MemoryFileSystem fs(good);
    EXPECT_NO_THROW(SafetensorsFile::open("file", {.allow_unverified = true, .fs = &fs})) << good;
  }
}

// A folder, a pipe, a file that shrinks: not only the content can be wrong.
TEST(HostileModelTest, OtherThings) {
  EXPECT_EQ(error_of([&] { SafetensorsFile::open("/"); }).code(), ErrorCode::kModel);
  const std::string good = one("U8", "[1]", "[0,1]", "x");
  MemoryFileSystem pipe(good, MemoryFileSystem::Kind::kPipe);
  const SafetensorsOptions options{.allow_unverified = true, .fs = &pipe};
  EXPECT_EQ(error_of([&] { SafetensorsFile::open("file", options); }).code(), ErrorCode::kModel);
}

}  // namespace
}  // namespace diabolo
