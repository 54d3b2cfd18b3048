#include "kernel_parser.h"

#include <charconv>
#include <cstring>
#include <utility>

#include "fault.h"

namespace ptx {

namespace {

uint64_t number(std::string_view word, uint32_t line) {
  const bool is_hex = word.starts_with("0x") || word.starts_with("0X");
  std::string_view digits = is_hex ? word.substr(2) : word;
  if (digits.ends_with('U')) digits.remove_suffix(1);
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size())
    refuse("not a number:", word, line);
  return value;
}

// 1: .b8, .u8 …; 8: .b64.
uint64_t bytes_of_type(std::string_view type, uint32_t line) {
  const std::string_view digits = type.size() > 2 ? type.substr(2) : "";
  if (type.size() > 2 && std::strchr("busf", type[1]) != nullptr) {
    for (const uint64_t bits : {8, 16, 32, 64})
      if (digits == std::to_string(bits)) return bits / 8;
  }
  refuse("unknown type", type, line);
}

char register_type(std::string_view type, uint32_t line) {
  if (type == ".pred") return 'p';
  switch (bytes_of_type(type, line)) {
    case 2:
      return 'h';
    case 4:
      return 'r';
    case 8:
      return 'd';
    default:
      refuse("registers of an unknown type", type, line);
  }
}

}  // namespace

Variable parse_variable(Lexer& lexer) {
  Variable variable;
  if (lexer.accept(".align")) variable.align = number(lexer.next(), lexer.line());
  const uint64_t element = bytes_of_type(lexer.next(), lexer.line());
  variable.align = std::max(variable.align, element);
  variable.name = lexer.next();
  variable.bytes = element;
  if (lexer.accept("[")) {
    variable.bytes = lexer.peek() == "]" ? 0 : element * number(lexer.next(), lexer.line());
    lexer.expect("]");
  }
  return variable;
}

KernelParser::KernelParser(std::string_view text, size_t at, uint32_t line,
                           std::vector<Variable> shared)
    : text_(text), lexer_(text, at, line) {
  kernel_.shared = std::move(shared);
}

KernelText KernelParser::parse() {
  kernel_.name = lexer_.next();
  if (lexer_.accept("(")) {
    while (!lexer_.accept(")")) {
      lexer_.accept(",");
      lexer_.expect(".param");
      kernel_.parameters.push_back(parse_variable(lexer_));
    }
  }
  parse_limits();
  parse_body();
  return std::move(kernel_);
}

void KernelParser::parse_limits() {
  while (lexer_.peek() != "{") {
    const uint32_t line = lexer_.line();
    const std::string_view limit = lexer_.next();
    if (limit != ".maxntid" && limit != ".minnctapersm" && limit != ".maxnreg")
      refuse("unknown limit of a kernel", limit, line);
    for (int axis = 0; axis < 3; ++axis) {
      const auto value = static_cast<uint32_t>(number(lexer_.next(), line));
      if (limit == ".maxntid") kernel_.most_threads[axis] = value;
      if (!lexer_.accept(",")) break;
    }
  }
  for (uint32_t& most : kernel_.most_threads)
    if (kernel_.most_threads[0] != 0 && most == 0) most = 1;
}

void KernelParser::parse_body() {
  lexer_.expect("{");
  scopes_.emplace_back();
  while (!scopes_.empty()) {
    if (lexer_.accept("{")) {
      scopes_.emplace_back();
    } else if (lexer_.accept("}")) {
      scopes_.pop_back();
    } else if (lexer_.accept(".reg")) {
      parse_registers();
    } else if (lexer_.accept(".shared")) {
      kernel_.shared.push_back(parse_variable(lexer_));
      lexer_.expect(";");
    } else if (lexer_.accept(".pragma")) {
      parse_pragma();
    } else if (lexer_.accept(".loc")) {
      for (int i = 0; i < 3; ++i) lexer_.next();
    } else {
      parse_statement();
    }
  }
}

// A load may be wider than what it is for: then the rest of it may lie anywhere.
void KernelParser::parse_pragma() {
  constexpr std::string_view kUsedBytes = "\"used_bytes_mask ";
  const std::string_view text = lexer_.next();
  if (text.starts_with(kUsedBytes)) {
    const std::string_view mask = text.substr(kUsedBytes.size());
    used_bytes_ = static_cast<uint32_t>(number(mask.substr(0, mask.size() - 1), lexer_.line()));
  } else if (text != "\"nounroll\"") {
    refuse("unknown pragma", text, lexer_.line());
  }
  lexer_.expect(";");
}

// ".pred %p<14>;" or ".b32 a, b;", after ".reg".
void KernelParser::parse_registers() {
  const char type = register_type(lexer_.next(), lexer_.line());
  do {
    const std::string name(lexer_.next());
    if (!lexer_.accept("<")) {
      declare(name, type);
      continue;
    }
    const uint64_t count = number(lexer_.next(), lexer_.line());
    for (uint64_t i = 0; i < count; ++i) declare(name + std::to_string(i), type);
    lexer_.expect(">");
  } while (lexer_.accept(","));
  lexer_.expect(";");
}

void KernelParser::declare(std::string name, char type) {
  const Register made{type, static_cast<uint32_t>(kernel_.registers.size())};
  kernel_.registers.push_back(made);
  scopes_.back()[std::move(name)] = made;
}

const Register* KernelParser::find(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) return &found->second;
  }
  return nullptr;
}

Register KernelParser::predicate(std::string_view name) const {
  const Register* found = find(name);
  if (found == nullptr || found->type != 'p') refuse("not a predicate:", name, lexer_.line());
  return *found;
}

void KernelParser::parse_statement() {
  Statement statement;
  statement.line = lexer_.line();
  const size_t begin = lexer_.begin();
  if (lexer_.accept("@")) {
    statement.is_guarded = true;
    statement.guard_is_negated = lexer_.accept("!");
    statement.guard = predicate(lexer_.next());
  }
  const std::string_view word = lexer_.next();
  if (lexer_.accept(":")) {
    kernel_.labels[std::string(word)] = static_cast<uint32_t>(kernel_.statements.size());
    return;
  }
  statement.opcode = word;
  statement.used_bytes = std::exchange(used_bytes_, ~0U);
  if (word.starts_with('.')) refuse("unknown directive of a kernel", word, statement.line);
  parse_operands(statement);
  statement.text = text_.substr(begin, lexer_.begin() - begin);
  lexer_.expect(";");
  kernel_.statements.push_back(std::move(statement));
}

void KernelParser::parse_operands(Statement& statement) {
  while (lexer_.peek() != ";") {
    if (lexer_.accept("{") || lexer_.accept("}") || lexer_.accept(",") || lexer_.accept("|"))
      continue;
    statement.operands.push_back(lexer_.peek() == "[" ? parse_address() : parse_operand());
  }
}

Operand KernelParser::parse_operand() {
  Operand operand;
  const bool is_minus = lexer_.accept("-");
  operand.is_negated = lexer_.accept("!");
  const std::string_view word = lexer_.next();
  if (word == "_") {
    operand.kind = Operand::Kind::kSink;
  } else if (const Register* found = find(word)) {
    operand.kind = Operand::Kind::kRegister;
    operand.reg = *found;
  } else if (word.starts_with("0f") || word.starts_with("0d")) {
    operand.kind = Operand::Kind::kImmediate;
    operand.is_real = true;
    operand.bits = number("0x" + std::string(word.substr(2)), lexer_.line());
  } else if (word[0] >= '0' && word[0] <= '9') {
    operand.kind = Operand::Kind::kImmediate;
    operand.bits = number(word, lexer_.line());
    if (is_minus) operand.bits = 0 - operand.bits;
  } else {
    operand.name = word;
  }
  const bool may_be_minus = operand.kind == Operand::Kind::kImmediate && !operand.is_real;
  const bool may_be_not = operand.kind == Operand::Kind::kRegister && operand.reg.type == 'p';
  if ((is_minus && !may_be_minus) || (operand.is_negated && !may_be_not))
    refuse("a sign at an operand that has none:", word, lexer_.line());
  return operand;
}

Operand KernelParser::parse_address() {
  lexer_.expect("[");
  Operand operand = parse_operand();
  if (operand.kind != Operand::Kind::kRegister && operand.kind != Operand::Kind::kName)
    refuse("unknown form of an address in", kernel_.name, lexer_.line());
  operand.kind = Operand::Kind::kAddress;
  if (lexer_.accept("+")) {
    const bool is_minus = lexer_.accept("-");
    const auto offset = static_cast<int64_t>(number(lexer_.next(), lexer_.line()));
    operand.offset = is_minus ? -offset : offset;
  }
  lexer_.expect("]");
  return operand;
}

}  // namespace ptx
