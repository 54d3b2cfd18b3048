// One kernel's text to statements.
#pragma once

#include "lexer.h"
#include "module.h"

namespace ptx {

// ".align 16 .b8 name[64]", after the state space.
Variable parse_variable(Lexer& lexer);

class KernelParser {
 public:
  // `at`: where the kernel's name begins.
  KernelParser(std::string_view text, size_t at, uint32_t line, std::vector<Variable> shared);
  KernelText parse();

 private:
  void parse_limits();
  void parse_body();
  void parse_pragma();
  void parse_registers();
  void declare(std::string name, char type);
  void parse_statement();
  void parse_operands(Statement& statement);
  Operand parse_operand();
  Operand parse_address();
  const Register* find(std::string_view name) const;
  Register predicate(std::string_view name) const;

  std::string_view text_;
  Lexer lexer_;
  KernelText kernel_;
  uint32_t used_bytes_ = ~0U;  // of the statement that comes next
  // Names of registers by scope; inline assembly opens scopes of its own.
  std::vector<std::map<std::string, Register, std::less<>>> scopes_;
};

}  // namespace ptx
