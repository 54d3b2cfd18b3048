#include "registers.h"

#include <elf.h>
#include <link.h>
#include <regex.h>

#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

namespace cuda_host {
namespace {

std::vector<char> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<char> content(static_cast<size_t>(file.tellg()));
  file.seekg(0);
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  return content;
}

// Where the program was put; its symbols count from there.
uintptr_t program_base() {
  uintptr_t base = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        *static_cast<uintptr_t*>(out) = info->dlpi_addr;
        return 1;  // the program comes first
      },
      &base);
  return base;
}

template <class T>
T at(const std::vector<char>& image, uint64_t offset) {
  T value{};
  if (offset + sizeof value <= image.size())
    std::memcpy(&value, image.data() + offset, sizeof value);
  return value;
}

// Functions of the running program by address.
std::map<uintptr_t, std::string> read_symbols() {
  std::map<uintptr_t, std::string> symbols;
  const std::vector<char> image = read_file("/proc/self/exe");
  const auto header = at<Elf64_Ehdr>(image, 0);
  const auto section = [&](uint64_t index) {
    return at<Elf64_Shdr>(image, header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (uint64_t k = 0; k < header.e_shnum; ++k) {
    const Elf64_Shdr table = section(k);
    if (table.sh_type != SHT_SYMTAB) continue;
    const Elf64_Shdr names = section(table.sh_link);
    for (uint64_t offset = 0; offset < table.sh_size; offset += sizeof(Elf64_Sym)) {
      const auto symbol = at<Elf64_Sym>(image, table.sh_offset + offset);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_value == 0) continue;
      const uint64_t name = names.sh_offset + symbol.st_name;
      if (name < image.size()) symbols[program_base() + symbol.st_value] = &image[name];
    }
  }
  return symbols;
}

// POSIX: gcc 12 warns inside its own <regex> under the sanitizers.
bool is_found(const std::string& pattern, const std::string& name) {
  regex_t compiled;
  if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) return false;
  const bool found = regexec(&compiled, name.c_str(), 0, nullptr, 0) == 0;
  regfree(&compiled);
  return found;
}

struct BudgetLine {
  std::string pattern;
  int registers;
};

std::vector<BudgetLine> read_budget() {
  std::vector<BudgetLine> budget;
  std::ifstream file(CUDA_HOST_BUDGET);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string pattern;
    int registers = 0;
    if (words >> pattern >> registers) budget.push_back({pattern, registers});
  }
  return budget;
}

}  // namespace

std::string symbol_of(const void* function) {
  static const std::map<uintptr_t, std::string> symbols = read_symbols();
  const auto found = symbols.find(reinterpret_cast<uintptr_t>(function));
  return found == symbols.end() ? "" : found->second;
}

int registers_of(const void* kernel) {
  static const std::vector<BudgetLine> budget = read_budget();
  static std::mutex mutex;
  static std::map<const void*, int> known;
  const std::lock_guard lock(mutex);
  const auto [entry, is_new] = known.try_emplace(kernel, 0);
  if (!is_new) return entry->second;
  const std::string name = symbol_of(kernel);
  for (const BudgetLine& line : budget) {
    if (!is_found(line.pattern, name)) continue;
    entry->second = line.registers;
    break;
  }
  return entry->second;
}

unsigned long long block_registers(int registers, unsigned long long threads) {
  const auto of_warp = (static_cast<unsigned long long>(registers) * 32 + 255) / 256 * 256;
  return (threads + 31) / 32 * of_warp;
}

}  // namespace cuda_host
