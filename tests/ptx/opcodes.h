// The table of opcodes: whole names, modifiers included; what is not in it is refused.
#pragma once

#include <string>
#include <unordered_map>

#include "program.h"

namespace ptx {

// Operands of an opcode: destinations, ':', sources, one letter each; forms are separated by
// spaces.
//   p predicate   h 16 bits   r 32 bits   d 64 bits   m address   i immediate   n label
// and what may be wider than the data: w 16 or 32 bits, v 32 or 64, x 16, 32 or 64
struct Opcode {
  Handler run = nullptr;
  std::string forms;
  Flow flow = Flow::kPlain;
};

class Opcodes {
 public:
  static const Opcodes& all();

  void add(const std::string& name, const char* forms, Handler run, Flow flow = Flow::kPlain) {
    table_[name] = {run, forms, flow};
  }
  const Opcode* find(const std::string& name) const {
    const auto found = table_.find(name);
    return found == table_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<std::string, Opcode> table_;
};

// One group of opcodes each, in the file of that name.
void add_integer_opcodes(Opcodes& opcodes);
void add_bit_opcodes(Opcodes& opcodes);
void add_real_opcodes(Opcodes& opcodes);
void add_directed_opcodes(Opcodes& opcodes);
void add_convert_opcodes(Opcodes& opcodes);
void add_select_opcodes(Opcodes& opcodes);
void add_memory_opcodes(Opcodes& opcodes);
void add_atomic_opcodes(Opcodes& opcodes);
void add_async_opcodes(Opcodes& opcodes);
void add_warp_opcodes(Opcodes& opcodes);
void add_matrix_opcodes(Opcodes& opcodes);

}  // namespace ptx
