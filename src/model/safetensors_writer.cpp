// Writing safetensors: the header with its hash, then the tensors, aligned.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "model/safetensors.h"
#include "model/safetensors_format.h"
#include "model/safetensors_header.h"

namespace diabolo {
namespace {

// A JSON text with its quotes. What is no UTF-8 (a path, say) is replaced, not refused.
std::string quoted(const std::string& text) {
  using Json = nlohmann::json;
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string length_field(size_t header_bytes) {
  std::string text;
  for (size_t i = 0; i < kLengthBytes; ++i)
    text += static_cast<char>(uint64_t{header_bytes} >> (8 * i) & 0xff);
  return text;
}

std::string header_hash(const std::string& header) {
  const size_t digits_end = kHashPrefix.size() + kHashDigits;
  if (header.size() < digits_end) return {};
  Hasher hasher;
  hasher.update(length_field(header.size()));
  hasher.update(kHashPrefix);
  hasher.update(std::string(kHashDigits, '0'));
  hasher.update(std::string_view(header).substr(digits_end));
  return hasher.digest().hex();
}

void SafetensorsWriter::set_metadata(const std::string& key, std::string value) {
  DIABOLO_CHECK(!key.starts_with(kHashKey) && key.size() <= kMaxSafetensorsNameBytes, key);
  metadata_[key] = std::move(value);
}

void SafetensorsWriter::add(const std::string& name, const TensorDesc& desc,
                            std::span<const std::byte> bytes) {
  DIABOLO_CHECK(desc.bytes() == bytes.size(), name, " ", desc.text(), " in ", bytes.size(),
                " bytes");
  add(name, desc, [bytes](const BlockTaker& take) { take(bytes); });
}

void SafetensorsWriter::add(const std::string& name, const TensorDesc& desc, BlockSource source) {
  // The key of its hash has to be a permitted name, too.
  DIABOLO_CHECK(!name.empty() && name != "__metadata__" &&
                    name.size() + kHashKey.size() < kMaxSafetensorsNameBytes,
                name);
  DIABOLO_CHECK(find(name) == nullptr, name, " twice");
  entries_.push_back({name, desc, std::move(source), std::string(kHashDigits, '0')});
}

const SafetensorsWriter::Entry* SafetensorsWriter::find(const std::string& name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  return found == entries_.end() ? nullptr : &*found;
}

// Largest elements first, so that each tensor is aligned to its type (the header ends at a multiple
// of 8), then by name: the order of the upstream writer.
std::vector<SafetensorsWriter::Entry> SafetensorsWriter::sorted() const {
  std::vector<Entry> entries = entries_;
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    const uint64_t a_bytes = size_bytes(a.desc.dtype());
    const uint64_t b_bytes = size_bytes(b.desc.dtype());
    return a_bytes != b_bytes ? a_bytes > b_bytes : a.name < b.name;
  });
  return entries;
}

std::string SafetensorsWriter::header(const std::vector<Entry>& entries) const {
  std::string text(kHashPrefix);
  text += std::string(kHashDigits, '0') + '"';
  for (const Entry& entry : entries)
    text += cat(",", quoted(kHashKey + "." + entry.name), ":\"", entry.hash, "\"");
  for (const auto& [key, value] : metadata_) text += cat(",", quoted(key), ":", quoted(value));
  text += '}';
  uint64_t at = 0;
  for (const Entry& entry : entries) {
    text += cat(",", quoted(entry.name), R"(:{"dtype":")", safetensors_dtype(entry.desc.dtype()),
                R"(","shape":[)");
    for (int axis = 0; axis < entry.desc.rank(); ++axis)
      text += cat(axis ? "," : "", entry.desc.extent(axis));
    text += cat(R"(],"data_offsets":[)", at, ",", at + entry.desc.bytes(), "]}");
    at += entry.desc.bytes();
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  DIABOLO_CHECK(text.size() <= kMaxSafetensorsHeaderBytes, "a header of ", text.size());
  text.replace(kHashPrefix.size(), kHashDigits, header_hash(text));
  return text;
}

namespace {

std::string hash_in(const std::string& header) {
  return header.substr(kHashPrefix.size(), kHashDigits);
}

}  // namespace

// Each block is hashed and written while it is in the cache. Without a sink it is hashed only.
void SafetensorsWriter::pass(Entry& entry, Sink* sink) {
  Hasher hasher;
  uint64_t bytes = 0;
  entry.source([&](std::span<const std::byte> given) {
    bytes += given.size();
    for (uint64_t at = 0; at < given.size(); at += SafetensorsFile::kBlockBytes) {
      const auto block =
          given.subspan(at, std::min<uint64_t>(SafetensorsFile::kBlockBytes, given.size() - at));
      hasher.update(block);
      if (sink) sink->write(block);
    }
  });
  DIABOLO_CHECK(bytes == entry.desc.bytes(), entry.name, " ", entry.desc.text(), " in ", bytes);
  entry.hash = hasher.digest().hex();
}

// The header stands first and has the hashes of what follows: it is written twice.
std::string SafetensorsWriter::write(Sink& sink) const {
  std::vector<Entry> entries = sorted();
  std::string text = header(entries);
  DIABOLO_CHECK(text.size() <= kMaxSafetensorsHeaderBytes, "a header of ", text.size());
  sink.write(length_field(text.size()));
  sink.write(text);
  for (Entry& entry : entries) pass(entry, &sink);
  text = header(entries);
  sink.write_at(kLengthBytes, std::as_bytes(std::span(text)));
  return hash_in(text);
}

std::string SafetensorsWriter::write(const std::string& path, FileSystem& fs) const {
  AtomicWriter writer(path, fs);
  std::string hash = write(writer);
  writer.commit();
  return hash;
}

uint64_t SafetensorsWriter::file_bytes() const {
  uint64_t bytes = kLengthBytes + header(sorted()).size();
  for (const Entry& entry : entries_) bytes += entry.desc.bytes();
  return bytes;
}

std::string SafetensorsWriter::content_hash() const {
  std::vector<Entry> entries = sorted();
  for (Entry& entry : entries) pass(entry, nullptr);
  return hash_in(header(entries));
}

}  // namespace diabolo
