// The text of a PTX module, taken apart: kernels with their variables and instructions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

// A parameter of a kernel or an array in shared memory.
struct Variable {
  std::string name;
  uint64_t bytes = 0;  // 0: its size is the launch's (.extern .shared)
  uint64_t align = 1;
};

struct Register {
  char type = 'r';  // p: predicate, h: 16 bits, r: 32 bits, d: 64 bits
  uint32_t number = 0;
};

// One operand as it is written; vectors and pairs (%r1|%p1) are flattened into their elements.
struct Operand {
  enum class Kind { kRegister, kImmediate, kName, kAddress, kSink } kind = Kind::kName;
  Register reg;             // of kRegister, and of kAddress if name is empty
  std::string name;         // variable, special register or label
  uint64_t bits = 0;        // of kImmediate
  bool is_real = false;     // the immediate is 0f… (32 bits) or 0d…
  bool is_negated = false;  // !%p
  int64_t offset = 0;       // of kAddress
};

struct Statement {
  std::string opcode;  // with its modifiers
  std::vector<Operand> operands;
  bool is_guarded = false, guard_is_negated = false;
  Register guard;
  uint32_t used_bytes = ~0U;  // of what a load reads: .pragma "used_bytes_mask N"
  uint32_t line = 0;
  std::string text;
};

struct KernelText {
  std::string name;
  std::vector<Variable> parameters;
  std::vector<Variable> shared;
  std::vector<Statement> statements;
  std::map<std::string, uint32_t, std::less<>> labels;  // statement that follows
  std::vector<Register> registers;                      // by number
  uint32_t most_threads[3] = {0, 0, 0};                 // .maxntid; 0: not said
};

// Where kernels lie in a module's text; a body is only looked at when parse_kernel asks for it.
class Module {
 public:
  // Throws Fault(kUnknown) for what it does not know.
  explicit Module(std::string text);
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  bool has(std::string_view kernel) const { return begins_.find(kernel) != begins_.end(); }
  std::vector<std::string> kernel_names() const;
  KernelText parse_kernel(std::string_view name) const;

 private:
  std::string text_;
  std::map<std::string, size_t, std::less<>> begins_;  // of .entry
  std::vector<Variable> shared_;                       // of the whole module
};

}  // namespace ptx
