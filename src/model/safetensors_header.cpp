#include "model/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/checked.h"

namespace diabolo {
namespace {

struct DTypeRow {
  DType dtype;
  const char* text;
};
constexpr std::array kDTypes = {
    DTypeRow{DType::kF32, "F32"},   DTypeRow{DType::kBf16, "BF16"}, DTypeRow{DType::kF64, "F64"},
    DTypeRow{DType::kF16, "F16"},   DTypeRow{DType::kU8, "U8"},     DTypeRow{DType::kI8, "I8"},
    DTypeRow{DType::kU16, "U16"},   DTypeRow{DType::kI16, "I16"},   DTypeRow{DType::kU32, "U32"},
    DTypeRow{DType::kI32, "I32"},   DTypeRow{DType::kU64, "U64"},   DTypeRow{DType::kI64, "I64"},
    DTypeRow{DType::kBool, "BOOL"},
};

std::optional<DType> dtype_of(std::string_view text) {
  for (const DTypeRow& row : kDTypes)
    if (text == row.text) return row.dtype;
  return std::nullopt;
}

// Text from a file as it may appear in a message: short and printable.
std::string shown(std::string_view text) {
  constexpr size_t kShownBytes = 80;
  std::string out;
  for (const char c : text.substr(0, kShownBytes)) out += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > kShownBytes ? out + "..." : out;
}

class Refusal {
 public:
  Refusal(const std::string& name, ErrorCode code) : name_(name), code_(code) {}
  template <class... Parts>
  [[noreturn]] void operator()(const Parts&... parts) const {
    throw Error(code_, cat(name_, ": ", parts...));
  }

 private:
  const std::string& name_;
  ErrorCode code_;
};

// Nesting and number of tokens, counted before a parser that might recurse or allocate sees the
// text. Wrong JSON may pass; deep or endless JSON does not.
void check_limits(const Refusal& refuse, std::string_view text) {
  int depth = 0;
  uint64_t tokens = 0;
  bool is_in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_in_string) {
      if (c == '\\') ++i;
      is_in_string = c != '"';
      continue;
    }
    is_in_string = c == '"';
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    tokens += c == ',' || c == ':' || c == '{' || c == '[';
    if (depth > kMaxSafetensorsDepth)
      refuse("its header is nested deeper than ", kMaxSafetensorsDepth, " levels");
    if (tokens > kMaxSafetensorsTokens)
      refuse("its header has more than ", kMaxSafetensorsTokens, " tokens");
  }
}

// Receives the parser's events and builds the header; the first thing that is not of the format is
// an Error. (nlohmann's event parser keeps a stack of its own and does not recurse.)
class HeaderBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderBuilder(const Refusal& refuse) : refuse_(refuse) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) return enter(Place::kFile);
    if (place_ != Place::kFile) unexpected("an object");
    tensor_ = {};
    seen_.clear();
    if (key_ == "__metadata__") return enter(Place::kMetadata);
    return enter(Place::kTensor);
  }
  bool end_object() override {
    if (place_ == Place::kFile) return enter(Place::kEnd);
    if (place_ == Place::kTensor) {
      if (seen_.size() != 3)
        refuse_("tensor ", shown(tensor_name_), " lacks dtype, shape or offsets");
      tensor_.name = tensor_name_;
      header_.tensors.push_back(std::move(tensor_));
    }
    return enter(Place::kFile);
  }
  bool key(std::string& text) override {
    if (text.size() > kMaxSafetensorsNameBytes)
      refuse_("its header has a name of ", text.size(), " bytes; at most ",
              kMaxSafetensorsNameBytes, " are accepted");
    auto& seen = place_ == Place::kFile ? names_ : seen_;
    if (!seen.insert(text).second) refuse_("its header has the key ", shown(text), " twice");
    if (place_ == Place::kFile) tensor_name_ = text;
    if (place_ == Place::kTensor && text != "dtype" && text != "shape" && text != "data_offsets")
      refuse_("tensor ", shown(tensor_name_), " has the unknown key ", shown(text));
    key_ = std::move(text);
    return true;
  }
  bool string(std::string& text) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace(key_, std::move(text));
      return true;
    }
    if (place_ != Place::kTensor || key_ != "dtype") unexpected("a text");
    tensor_.dtype = std::move(text);
    return true;
  }
  bool start_array(size_t) override {
    numbers_.clear();
    if (place_ == Place::kTensor && key_ == "shape") return enter(Place::kShape);
    if (place_ == Place::kTensor && key_ == "data_offsets") return enter(Place::kOffsets);
    unexpected("a list");
  }
  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) unexpected("a number");
    if (numbers_.size() == kMaxRank)
      refuse_("tensor ", shown(tensor_name_), " has more than ", kMaxRank, " axes");
    numbers_.push_back(value);
    return true;
  }
  bool end_array() override {
    if (place_ == Place::kShape) {
      tensor_.extents = numbers_;
    } else {
      if (numbers_.size() != 2) refuse_("tensor ", shown(tensor_name_), " needs two data_offsets");
      tensor_.begin = numbers_[0];
      tensor_.end = numbers_[1];
    }
    return enter(Place::kTensor);
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(int64_t) override { unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { unexpected("no whole number"); }
  bool binary(nlohmann::json::binary_t&) override { unexpected("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    refuse_("its header is not JSON at byte ", position, "; it is damaged or no model file");
  }

 private:
  enum class Place { kStart, kFile, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  [[noreturn]] void unexpected(const char* what) const {
    refuse_("its header has ", what, " at ", shown(key_), ", which the format does not");
  }

  const Refusal& refuse_;
  SafetensorsHeader header_;
  Place place_ = Place::kStart;
  std::string key_, tensor_name_;
  DeclaredTensor tensor_;
  std::vector<uint64_t> numbers_;
  std::set<std::string, std::less<>> names_, seen_;
};

TensorDesc checked_desc(const Refusal& refuse, const DeclaredTensor& tensor) {
  const std::string name = shown(tensor.name);
  const auto dtype = dtype_of(tensor.dtype);
  if (!dtype) refuse("tensor ", name, " has the type ", shown(tensor.dtype), ", which is unknown");
  std::optional<uint64_t> bytes = size_bytes(*dtype);
  bool has_zero = false;
  std::array<int64_t, kMaxRank> extents{};
  for (size_t i = 0; i < tensor.extents.size(); ++i) {
    const auto extent = checked_cast<int64_t>(tensor.extents[i]);
    if (!extent) refuse("tensor ", name, " has the extent ", tensor.extents[i]);
    extents[i] = *extent;
    has_zero |= *extent == 0;
    if (bytes) bytes = checked_mul(*bytes, tensor.extents[i]);
  }
  if (has_zero) bytes = 0;
  if (!bytes || !checked_cast<int64_t>(*bytes)) refuse("tensor ", name, " is larger than any file");
  if (tensor.end < tensor.begin || tensor.end - tensor.begin != *bytes) {
    refuse("tensor ", name, " needs ", *bytes, " bytes, its offsets are ", tensor.begin, " and ",
           tensor.end);
  }
  return TensorDesc(*dtype, std::span(extents).first(tensor.extents.size()));
}

}  // namespace

const char* safetensors_dtype(DType dtype) {
  for (const DTypeRow& row : kDTypes)
    if (dtype == row.dtype) return row.text;
  DIABOLO_CHECK(false, static_cast<int>(dtype));
  return nullptr;
}

SafetensorsHeader parse_safetensors_header(const std::string& name, ErrorCode code,
                                           std::string_view text) {
  const Refusal refuse(name, code);
  // The format wants the brace first: nothing before it, not even a byte-order mark. A zero byte
  // would be the end to the general parser, which would not see what follows.
  if (!text.starts_with('{') || text.find('\0') != std::string_view::npos)
    refuse("its header is not JSON; it is damaged or no model file");
  check_limits(refuse, text);
  HeaderBuilder builder(refuse);
  const bool is_whole = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  if (!is_whole) refuse("its header is not JSON; it is damaged or no model file");
  return builder.take();
}

std::vector<PlacedTensor> place_tensors(const std::string& name, ErrorCode code,
                                        const SafetensorsHeader& header, uint64_t data_bytes) {
  const Refusal refuse(name, code);
  std::vector<PlacedTensor> placed;
  for (const DeclaredTensor& tensor : header.tensors)
    placed.push_back({tensor.name, checked_desc(refuse, tensor), tensor.begin});
  // Empty tensors stand before what begins at the same byte.
  std::ranges::stable_sort(placed, {}, [](const PlacedTensor& tensor) {
    return std::pair(tensor.begin, tensor.desc.bytes() > 0);
  });
  uint64_t at = 0;
  for (const PlacedTensor& tensor : placed) {
    if (tensor.begin != at) {
      refuse("tensor ", shown(tensor.name), " begins at ", tensor.begin, ", expected ", at,
             "; tensors overlap or leave a gap");
    }
    const auto end = checked_add(at, tensor.desc.bytes());
    if (!end || *end > data_bytes)
      refuse("its tensors need more than the ", data_bytes, " bytes that it has; it is cut off");
    at = *end;
  }
  if (at != data_bytes)
    refuse("has ", data_bytes, " bytes of tensors, its header tells of ", at, "; it is damaged");
  return placed;
}

}  // namespace diabolo
