#include "module.h"

#include "fault.h"
#include "kernel_parser.h"
#include "lexer.h"

namespace ptx {

// Directives of a module: what a kernel cannot see is skipped, what it could see and the
// interpreter does not model is refused.
Module::Module(std::string text) : text_(std::move(text)) {
  Lexer lexer(text_);
  while (!lexer.peek().empty()) {
    const uint32_t line = lexer.line();
    const std::string_view word = lexer.next();
    if (word == ".version" || word == ".target" || word == ".address_size") {
      lexer.next();
      while (lexer.accept(",")) lexer.next();
    } else if (word == ".visible" || word == ".extern" || word == ".weak") {
      continue;
    } else if (word == ".entry") {
      const size_t begin = lexer.begin();
      begins_[std::string(lexer.next())] = begin;
      while (lexer.peek() != "{") lexer.next();
      lexer.skip_block();
    } else if (word == ".shared") {
      shared_.push_back(parse_variable(lexer));
      lexer.expect(";");
    } else if (word == ".file") {
      lexer.next();
      lexer.next();
      while (lexer.accept(",")) lexer.next();
    } else {
      refuse("unknown directive of a module", word, line);
    }
  }
}

std::vector<std::string> Module::kernel_names() const {
  std::vector<std::string> names;
  for (const auto& [name, begin] : begins_) names.push_back(name);
  return names;
}

KernelText Module::parse_kernel(std::string_view name) const {
  const auto found = begins_.find(name);
  if (found == begins_.end()) refuse("no kernel of this name:", name, 0);
  uint32_t line = 1;
  for (size_t at = 0; at < found->second; ++at) line += text_[at] == '\n' ? 1 : 0;
  return KernelParser(text_, found->second, line, shared_).parse();
}

}  // namespace ptx
