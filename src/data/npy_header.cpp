#include "data/npy_header.h"

#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace diabolo {
namespace {

// Reads the header from left to right; every function takes what it is named after or fails.
class HeaderParser {
 public:
  HeaderParser(const std::string& name, std::string_view text) : name_(name), rest_(text) {}

  NpyHeader header() {
    expect('{');
    skip_spaces();
    while (!accept('}')) {
      entry();
      skip_spaces();
      if (accept(',')) {
        skip_spaces();
      } else if (!rest_.starts_with('}')) {
        fail("',' or '}'");
      }
    }
    if (rest_.find_first_not_of(" \n") != std::string_view::npos) fail("nothing after '}'");
    if (!has_descr_ || !has_order_ || !has_shape_) fail("descr, fortran_order and shape");
    return header_;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw Error(ErrorCode::kData, cat(name_, ": its .npy header is damaged: expected ", expected,
                                      " ", rest_.size(), " characters before its end"));
  }
  [[noreturn]] void refuse(std::string_view descr, const char* why) const {
    std::string shown;  // what is printed comes from the file
    for (const char c : descr.substr(0, 16)) shown += c >= ' ' && c <= '~' ? c : '?';
    throw Error(ErrorCode::kData, cat(name_, ": has elements of type '", shown, "', ", why,
                                      "; convert it to a numeric type with numpy's astype"));
  }

  void skip_spaces() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    const char text[] = {'\'', c, '\'', '\0'};
    if (!accept(c)) fail(text);
  }
  bool accept_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string_view quoted() {
    const char quote = rest_.starts_with('"') ? '"' : '\'';
    if (!accept(quote)) fail("a text in quotes");
    const size_t end = rest_.find(quote);
    if (end == std::string_view::npos) fail("a closing quote");
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }

  void entry() {
    const std::string_view key = quoted();
    skip_spaces();
    expect(':');
    skip_spaces();
    if (key == "descr" && !has_descr_) {
      has_descr_ = true;
      descr();
    } else if (key == "fortran_order" && !has_order_) {
      has_order_ = true;
      fortran_order();
    } else if (key == "shape" && !has_shape_) {
      has_shape_ = true;
      shape();
    } else {
      fail("each of the keys descr, fortran_order and shape once");
    }
  }

  // '<f4': byte order, kind, bytes.
  void descr() {
    if (rest_.starts_with('[')) refuse("record", "a structure of several fields");
    const std::string_view text = quoted();
    if (text.find('O') != std::string_view::npos)
      refuse(text, "Python objects, which are never loaded");
    const std::string_view orders = "<>|=";
    if (text.size() != 3 || orders.find(text[0]) == std::string_view::npos)
      refuse(text, "which is not a supported number");
    const auto dtype = dtype_of(text.substr(1));
    if (!dtype) refuse(text, "which is not a supported number");
    if (text[0] == '|' && size_bytes(*dtype) != 1) refuse(text, "which lacks a byte order");
    header_.dtype = *dtype;
    header_.order = text[0] == '>' ? ByteOrder::kBig : ByteOrder::kLittle;
  }

  static std::optional<DType> dtype_of(std::string_view kind) {
    struct Row {
      std::string_view kind;
      DType dtype;
    };
    static constexpr std::array kRows = {
        Row{"b1", DType::kBool}, Row{"u1", DType::kU8},  Row{"i1", DType::kI8},
        Row{"u2", DType::kU16},  Row{"i2", DType::kI16}, Row{"u4", DType::kU32},
        Row{"i4", DType::kI32},  Row{"u8", DType::kU64}, Row{"i8", DType::kI64},
        Row{"f2", DType::kF16},  Row{"f4", DType::kF32}, Row{"f8", DType::kF64},
    };
    for (const Row& row : kRows)
      if (row.kind == kind) return row.dtype;
    return std::nullopt;
  }

  void fortran_order() {
    if (accept_word("True")) {
      header_.is_fortran = true;
    } else if (!accept_word("False")) {
      fail("True or False");
    }
  }

  // (), (3,), (3, 4), (3, 4,); Python 2 wrote 3L.
  void shape() {
    expect('(');
    skip_spaces();
    bool had_comma = true;
    while (!accept(')')) {
      if (!had_comma) fail("',' or ')'");
      if (header_.extents.size() == kMaxNpyRank) fail("a shape of at most 32 axes");
      header_.extents.push_back(number());
      accept('L');
      skip_spaces();
      had_comma = accept(',');
      skip_spaces();
    }
    if (header_.extents.size() == 1 && !had_comma) fail("a ',' after a single extent");
  }

  uint64_t number() {
    uint64_t value = 0;
    const auto result = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (result.ec != std::errc()) fail("an extent of 0 to 2^64-1");
    rest_.remove_prefix(static_cast<size_t>(result.ptr - rest_.data()));
    return value;
  }

  const std::string& name_;
  std::string_view rest_;
  NpyHeader header_;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

}  // namespace

NpyHeader parse_npy_header(const std::string& name, std::string_view text) {
  return HeaderParser(name, text).header();
}

}  // namespace diabolo
