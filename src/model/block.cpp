#include "model/block.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/checked.h"
#include "model/config.h"

namespace diabolo {
namespace {

// The name that was meant, or all that there are.
std::string choice_of(const std::string& word, std::span<const std::string> names) {
  std::string all;
  for (const std::string& name : names) all += cat(all.empty() ? "" : ", ", name);
  return did_you_mean(word, names, cat("expected one of ", all));
}

constexpr int64_t kMaxRowElems = int64_t{1} << 40;
constexpr const char* kLinear = "linear";

std::string activation_word(kernels::Activation activation) {
  return activation == kernels::Activation::kIdentity ? kLinear : kernels::name(activation);
}

std::optional<kernels::Activation> activation_of(std::string_view word) {
  for (size_t i = 0; i < kernels::kActivationCount; ++i) {
    const auto activation = static_cast<kernels::Activation>(i);
    if (word == activation_word(activation)) return activation;
  }
  return std::nullopt;
}

// "3x5"; nothing if it is no list of numbers.
std::optional<std::vector<int64_t>> numbers_of(std::string_view word) {
  std::vector<int64_t> numbers;
  const char* at = word.data();
  const char* const end = at + word.size();
  while (true) {
    int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return std::nullopt;
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != 'x') return std::nullopt;
    at = next + 1;
  }
}

// Reads one line from left to right.
class LineParser {
 public:
  LineParser(const std::string& text, const std::string& place) : text_(text), place_(place) {
    std::istringstream in(text);
    for (std::string word; in >> word;) words_.push_back(word);
  }

  LayerLine parse() {
    if (words_.empty()) fail("expected a layer, such as \"dense 128\"");
    line_.block = block(words_[0]);
    line_.options.resize(line_.block->options.size());
    at_ = 1;
    const auto options = line_.block->options;
    const bool has_first = !options.empty() && options.front().words.empty();
    if (has_first && at_ < words_.size() && numbers_of(words_[at_])) take_numbers(0);
    while (at_ < words_.size()) take_word();
    for (size_t i = 0; i < line_.options.size(); ++i) complete(i);
    return std::move(line_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kUsage, cat(place_, ": ", value_text(text_), ": ", what));
  }

  const BlockDef* block(const std::string& word) const {
    std::vector<std::string> names;
    for (const BlockDef* def : block_defs()) {
      if (word == def->name) return def;
      names.emplace_back(def->name);
    }
    fail(cat("unknown layer \"", word, "\"; ", choice_of(word, names)));
  }

  void take(size_t index, std::vector<int64_t> value) {
    if (!line_.options[index].empty())
      fail(cat(line_.block->options[index].name, " is said twice"));
    line_.options[index] = std::move(value);
  }

  void take_numbers(size_t index) {
    const BlockOption& option = line_.block->options[index];
    const auto numbers = at_ < words_.size() ? numbers_of(words_[at_]) : std::nullopt;
    const bool fits = numbers && numbers->size() <= option.most &&
                      std::ranges::all_of(*numbers, [&](int64_t number) {
                        return number >= option.low && number <= option.high;
                      });
    if (!fits)
      fail(cat(option.name, ": expected ", option.most > 1 ? "numbers such as 3x5" : "a number",
               " from ", option.low, " to ", option.high, ", found ",
               at_ < words_.size() ? cat("\"", words_[at_], "\"") : "nothing"));
    take(index, *numbers);
    ++at_;
  }

  void take_word() {
    const std::string& word = words_[at_++];
    const auto options = line_.block->options;
    for (size_t i = 0; i < options.size(); ++i) {
      const auto& words = options[i].words;
      const auto found = std::ranges::find(words, word);
      if (found != words.end()) return take(i, {found - words.begin()});
      if (words.empty() && word == options[i].name) return take_numbers(i);
    }
    const auto activation = activation_of(word);
    if (!activation || !line_.block->has_weights) fail_unknown(word);
    if (line_.activation) fail("it has one activation");
    line_.activation = activation;
  }

  [[noreturn]] void fail_unknown(const std::string& word) const {
    std::vector<std::string> names;
    for (const BlockOption& option : line_.block->options) {
      if (option.words.empty()) names.emplace_back(option.name);
      names.insert(names.end(), option.words.begin(), option.words.end());
    }
    for (size_t i = 0; line_.block->has_weights && i < kernels::kActivationCount; ++i)
      names.push_back(activation_word(static_cast<kernels::Activation>(i)));
    if (names.empty()) fail(cat("expected nothing behind it, found \"", word, "\""));
    fail(cat("\"", word, "\" means nothing here; ", choice_of(word, names)));
  }

  void complete(size_t index) {
    const BlockOption& option = line_.block->options[index];
    if (!line_.options[index].empty()) return;
    if (!option.standard) fail(cat("expected its ", option.name, " (", option.meaning, ")"));
    line_.options[index] = {*option.standard};
  }

  const std::string& text_;
  const std::string& place_;
  std::vector<std::string> words_;
  LayerLine line_;
  size_t at_ = 0;
};

#define DIABOLO_BLOCK(name) &k##name##Block,
constexpr BlockDef const* kBlockDefs[] = {DIABOLO_BLOCKS(DIABOLO_BLOCK)};
#undef DIABOLO_BLOCK

}  // namespace

int64_t elems_of(const Extents& shape) {
  int64_t elems = 1;
  for (const int64_t extent : shape) {
    const auto product = checked_mul(elems, extent);
    if (!product || *product > kMaxRowElems)
      throw Error(ErrorCode::kUsage,
                  cat("rows of ", shape_text(shape), " numbers: expected at most ", kMaxRowElems));
    elems = *product;
  }
  return elems;
}

std::string shape_text(const Extents& shape) {
  std::string text;
  for (const int64_t extent : shape) text += cat(text.empty() ? "" : "x", extent);
  return text;
}

TensorDesc parameter_desc(const Layer& layer, std::initializer_list<int64_t> extents) {
  std::optional<uint64_t> elems = 1;
  for (const int64_t extent : extents)
    elems = elems ? checked_mul(*elems, static_cast<uint64_t>(extent)) : elems;
  if (!elems || *elems > kMaxParameters) {
    std::string text;
    for (const int64_t extent : extents) text += cat(text.empty() ? "" : " x ", extent);
    throw Error(ErrorCode::kUsage,
                cat(layer.name, ": ", text, " weights are more than this version can hold"));
  }
  return TensorDesc(DType::kF32, extents);
}

std::string BlockOption::text(const std::vector<int64_t>& value, bool is_first) const {
  if (!words.empty()) return words[static_cast<size_t>(value.front())];
  return cat(is_first ? "" : name, is_first ? "" : " ", shape_text(value));
}

LayerLine LayerLine::parse(const std::string& text, const std::string& place) {
  return LineParser(text, place).parse();
}

std::string LayerLine::text() const {
  std::string text = block->name;
  for (size_t i = 0; i < options.size(); ++i) {
    const BlockOption& option = block->options[i];
    if (option.standard && options[i] == std::vector{*option.standard}) continue;
    text += cat(" ", option.text(options[i], i == 0));
  }
  return activation ? cat(text, " ", activation_word(*activation)) : text;
}

std::vector<const BlockDef*>& changeable_block_defs() {
  static std::vector<const BlockDef*> defs(std::begin(kBlockDefs), std::end(kBlockDefs));
  return defs;
}

std::span<const BlockDef* const> block_defs() {
  return changeable_block_defs();
}

}  // namespace diabolo
