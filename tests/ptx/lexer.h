// Tokens of PTX text.
#pragma once

#include <cstdint>
#include <string_view>

namespace ptx {

// Words are names, directives, opcodes with their modifiers, registers and numbers; anything else
// is a token of one character. Strings keep their quotes. Comments are space.
class Lexer {
 public:
  explicit Lexer(std::string_view text, size_t at = 0, uint32_t line = 1);

  std::string_view peek() const { return token_; }  // empty: the end
  std::string_view next();
  bool accept(std::string_view token);
  // Throws Fault(kUnknown) unless it comes next.
  void expect(std::string_view token);
  void skip_past(std::string_view token);
  void skip_block();  // from "{" to its "}"

  size_t begin() const { return begin_; }  // of the token that comes next
  uint32_t line() const { return line_; }

 private:
  void skip_space();
  void advance();

  std::string_view text_;
  size_t at_;
  uint32_t line_;
  size_t begin_ = 0;
  std::string_view token_;
};

[[noreturn]] void refuse(std::string_view what, std::string_view text, uint32_t line);

}  // namespace ptx
