#include "lexer.h"

#include <string>

#include "fault.h"

namespace ptx {

namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || c == '.' || c == '%';
}

}  // namespace

[[noreturn]] void refuse(std::string_view what, std::string_view text, uint32_t line) {
  throw Fault(FaultKind::kUnknown, "ptx line " + std::to_string(line) + ": " + std::string(what) +
                                       " '" + std::string(text) + "'");
}

Lexer::Lexer(std::string_view text, size_t at, uint32_t line) : text_(text), at_(at), line_(line) {
  advance();
}

void Lexer::skip_space() {
  while (at_ < text_.size()) {
    if (text_[at_] == '\n') ++line_;
    if (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r') {
      ++at_;
    } else if (text_.compare(at_, 2, "//") == 0) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (text_.compare(at_, 2, "/*") == 0) {
      const size_t end = text_.find("*/", at_);
      if (end == std::string_view::npos) refuse("a comment without end", "/*", line_);
      for (; at_ < end + 2; ++at_) line_ += text_[at_] == '\n' ? 1 : 0;
    } else {
      return;
    }
  }
}

void Lexer::advance() {
  skip_space();
  begin_ = at_;
  if (at_ >= text_.size() || text_[at_] == '\0') {
    token_ = {};
    return;
  }
  size_t end = at_ + 1;
  if (text_[at_] == '"') {
    end = std::min(text_.find('"', end), text_.size() - 1) + 1;
  } else if (is_word(text_[at_])) {
    while (end < text_.size() && is_word(text_[end])) ++end;
  }
  token_ = text_.substr(at_, end - at_);
  at_ = end;
}

std::string_view Lexer::next() {
  const std::string_view token = token_;
  if (token.empty()) refuse("the text ends too early", "", line_);
  advance();
  return token;
}

bool Lexer::accept(std::string_view token) {
  if (token_ != token) return false;
  advance();
  return true;
}

void Lexer::expect(std::string_view token) {
  if (!accept(token)) refuse("expected '" + std::string(token) + "', found", token_, line_);
}

void Lexer::skip_past(std::string_view token) {
  while (next() != token) {
  }
}

void Lexer::skip_block() {
  expect("{");
  for (int depth = 1; depth > 0;) {
    const std::string_view token = next();
    depth += token == "{" ? 1 : token == "}" ? -1 : 0;
  }
}

}  // namespace ptx
