// Statements to ops: operands get their rows, names their addresses.
#include <cstring>
#include <map>

#include "fault.h"
#include "lexer.h"
#include "opcodes.h"
#include "program.h"

namespace ptx {

namespace {

struct SpecialName {
  const char* name;
  Special special;
};
constexpr SpecialName kSpecials[] = {
    {"%tid.x", Special::kTidX},       {"%tid.y", Special::kTidY},
    {"%tid.z", Special::kTidZ},       {"%ctaid.x", Special::kCtaidX},
    {"%ctaid.y", Special::kCtaidY},   {"%ctaid.z", Special::kCtaidZ},
    {"%ntid.x", Special::kNtidX},     {"%ntid.y", Special::kNtidY},
    {"%ntid.z", Special::kNtidZ},     {"%nctaid.x", Special::kNctaidX},
    {"%nctaid.y", Special::kNctaidY}, {"%nctaid.z", Special::kNctaidZ},
    {"%laneid", Special::kLaneid},    {"%lanemask_lt", Special::kLaneMaskLt},
};

uint64_t aligned(uint64_t at, uint64_t align) {
  return (at + align - 1) / align * align;
}

class Decoder {
 public:
  explicit Decoder(const KernelText& text) : text_(text) {
    program_.name = text.name;
    for (const Register& reg : text.registers) {
      rows_.push_back(program_.rows);
      program_.rows += reg.type == 'd' ? 2 : 1;
    }
    for (uint32_t& row : program_.special_rows) row = program_.rows++;
    std::memcpy(program_.most_threads, text.most_threads, sizeof text.most_threads);
    place_parameters();
    place_shared();
  }

  Program decode() {
    for (const Statement& statement : text_.statements) {
      program_.ops.push_back(decode(statement));
      program_.texts.push_back(statement.text);
    }
    Op end;  // a kernel may end without ret
    end.flow = Flow::kExit;
    program_.ops.push_back(end);
    program_.texts.push_back("the end");
    return std::move(program_);
  }

 private:
  void place_parameters() {
    uint64_t at = 0;
    for (const Variable& parameter : text_.parameters) {
      at = aligned(at, parameter.align);
      addresses_[parameter.name] = kParameterBegin + at;
      program_.parameters.push_back({at, parameter.bytes});
      at += parameter.bytes;
    }
    program_.parameter_bytes = at;
  }

  void place_shared() {
    uint64_t at = kSharedBegin;
    for (const Variable& variable : text_.shared) {
      if (variable.bytes == 0) continue;
      at = aligned(at, variable.align);
      addresses_[variable.name] = at;
      at += variable.bytes;
    }
    for (const Variable& variable : text_.shared) {
      if (variable.bytes != 0) continue;
      at = aligned(at, variable.align);
      addresses_[variable.name] = at;
    }
    program_.static_shared_bytes = at - kSharedBegin;
  }

  Op decode(const Statement& statement) {
    const Opcode* opcode = Opcodes::all().find(name_of(statement));
    if (opcode == nullptr) refuse("unknown opcode", statement.opcode, statement.line);
    Op op;
    note_shared_access(statement.opcode);
    op.run = opcode->run;
    op.flow = opcode->flow;
    op.line = statement.line;
    op.used_bytes = statement.used_bytes;
    op.has_guard = statement.is_guarded;
    op.guard_is_negated = statement.guard_is_negated;
    if (op.has_guard) op.guard = rows_[statement.guard.number];
    const std::string form = form_of(*opcode, statement);
    op.destinations = static_cast<uint8_t>(form.find(':'));
    op.operands = static_cast<uint8_t>(form.size() - 1);
    size_t k = 0;
    int addresses = 0;
    for (const char letter : form) {
      if (letter == ':') continue;
      place(op, k, letter, statement.operands[k], addresses, statement);
      ++k;
    }
    return op;
  }

  // A generic access may be one too.
  void note_shared_access(std::string_view opcode) {
    const auto has = [&](const char* space) {
      return opcode.find(space) != std::string_view::npos;
    };
    const bool is_access = opcode.starts_with("ld.") || opcode.starts_with("st.");
    if (!has(".shared") && (!is_access || has(".global") || has(".param"))) return;
    const unsigned bytes = opcode.ends_with("8") ? 1 : opcode.ends_with("16") ? 2 : 4;
    program_.shared_cell_bytes = std::min(program_.shared_cell_bytes, bytes);
  }

  // mov of a vector takes a register apart or puts one together.
  static std::string name_of(const Statement& statement) {
    if (!statement.opcode.starts_with("mov.b") || statement.operands.size() != 3)
      return statement.opcode;
    const char first = statement.operands[0].reg.type, second = statement.operands[1].reg.type;
    return statement.opcode + (first == second ? ".split" : ".join");
  }

  // The form with as many operands as the statement has.
  std::string form_of(const Opcode& opcode, const Statement& statement) {
    for (size_t begin = 0; begin < opcode.forms.size();) {
      const size_t end = std::min(opcode.forms.find(' ', begin), opcode.forms.size());
      if (end - begin == statement.operands.size() + 1 && end - begin <= kMostOperands)
        return opcode.forms.substr(begin, end - begin);
      begin = end + 1;
    }
    refuse("unknown operands of", statement.text, statement.line);
  }

  void place(Op& op, size_t k, char letter, const Operand& operand, int& addresses,
             const Statement& statement) {
    const auto wrong = [&] { refuse("unknown operand of", statement.text, statement.line); };
    const bool is_destination = k < op.destinations;
    switch (letter) {
      case 'n': {
        const auto label = text_.labels.find(operand.name);
        if (label == text_.labels.end()) wrong();
        op.target = label->second;
        return;
      }
      case 'i':
        if (operand.kind != Operand::Kind::kImmediate) wrong();
        op.immediate = static_cast<uint32_t>(operand.bits);
        return;
      case 'm':
        if (operand.kind != Operand::Kind::kAddress || addresses == 2) wrong();
        op.touches_memory = true;
        op.offset[addresses] = operand.offset;
        op.has_wide_address[addresses] = !operand.name.empty() || operand.reg.type == 'd';
        ++addresses;
        if (operand.name.empty() && operand.reg.type != 'd' && operand.reg.type != 'r') wrong();
        op.row[k] = operand.name.empty() ? rows_[operand.reg.number]
                                         : constant('d', address(operand, statement));
        break;
      default:
        op.row[k] = row(letter, operand, is_destination, statement);
        op.has_wide_registers |= letter != 'd' && operand.reg.type == 'd';
    }
    if (operand.is_negated) op.negated |= static_cast<uint16_t>(1U << k);
    const bool is_register = operand.kind == Operand::Kind::kRegister ||
                             (operand.kind == Operand::Kind::kAddress && operand.name.empty());
    if (is_register && !is_destination) op.checked |= static_cast<uint16_t>(1U << k);
  }

  static bool is_taken(char letter, char type) {
    const std::string_view types = letter == 'w'   ? "hr"
                                   : letter == 'v' ? "rd"
                                   : letter == 'x' ? "hrd"
                                                   : std::string_view(&letter, 1);
    return types.find(type) != std::string_view::npos;
  }

  uint32_t row(char letter, const Operand& operand, bool is_destination,
               const Statement& statement) {
    const char type = operand.reg.type;
    switch (operand.kind) {
      case Operand::Kind::kRegister:
        if (is_taken(letter, type)) return rows_[operand.reg.number];
        break;
      case Operand::Kind::kSink:
        if (is_destination) {
          program_.rows += 2;
          return program_.rows - 2;
        }
        break;
      case Operand::Kind::kImmediate:
        if (!is_destination && (!operand.is_real || letter == 'r' || letter == 'd'))
          return constant(letter, letter == 'p' ? (operand.bits != 0 ? ~0U : 0U) : operand.bits);
        break;
      case Operand::Kind::kName:
        for (const SpecialName& special : kSpecials)
          if (operand.name == special.name && letter == 'r' && !is_destination)
            return program_.special_rows[static_cast<size_t>(special.special)];
        if (operand.name == "WARP_SZ") return constant(letter, 32);
        if (!is_destination && (letter == 'r' || letter == 'd'))
          return constant(letter, address(operand, statement));
        break;
      case Operand::Kind::kAddress:
        break;
    }
    refuse("unknown operand of", statement.text, statement.line);
  }

  uint64_t address(const Operand& operand, const Statement& statement) const {
    const auto found = addresses_.find(operand.name);
    if (found == addresses_.end()) refuse("unknown name", operand.name, statement.line);
    return found->second;
  }

  uint32_t constant(char letter, uint64_t bits) {
    if (letter == 'h') bits &= 0xFFFF;
    if (letter != 'd') bits &= 0xFFFFFFFF;
    const auto [found, is_new] = constants_.try_emplace({letter == 'd', bits}, program_.rows);
    if (is_new) {
      program_.constants.push_back({program_.rows, letter == 'd', bits});
      program_.rows += 2;
    }
    return found->second;
  }

  const KernelText& text_;
  Program program_;
  std::vector<uint32_t> rows_;  // of registers by number
  std::map<std::string, uint64_t, std::less<>> addresses_;
  std::map<std::pair<bool, uint64_t>, uint32_t> constants_;
};

}  // namespace

Program decode(const KernelText& text) {
  return Decoder(text).decode();
}

}  // namespace ptx
