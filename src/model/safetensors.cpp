#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "model/safetensors_format.h"
#include "model/safetensors_header.h"

namespace diabolo {
namespace {

constexpr uint64_t kStepBytes = 4 << 20;

std::string read_header(const File& file) {
  if (!file.is_regular()) file.fail("is not a regular file; a model cannot be read from a stream");
  if (file.size_bytes() < kLengthBytes)
    file.fail(cat("has ", file.size_bytes(), " bytes; it is cut off or no model file"));
  std::array<std::byte, kLengthBytes> length;
  file.pread(0, length);
  uint64_t bytes = 0;
  for (size_t i = kLengthBytes; i-- > 0;) bytes = bytes << 8 | std::to_integer<uint64_t>(length[i]);
  if (bytes > kMaxSafetensorsHeaderBytes || bytes > file.size_bytes() - kLengthBytes) {
    file.fail(cat("says that its header has ", bytes, " bytes, the file has ", file.size_bytes(),
                  "; it is cut off, damaged or no model file"));
  }
  std::string header(bytes, '\0');
  file.pread(kLengthBytes, std::as_writable_bytes(std::span(header)));
  return header;
}

// The digits of the header's hash; empty if the header does not begin as we write it.
std::string stored_hash(const std::string& header) {
  if (!header.starts_with(kHashPrefix)) return {};
  return header.substr(kHashPrefix.size(), kHashDigits);
}

[[noreturn]] void fail_damaged(const File& file, const std::string& where) {
  file.fail(cat("is damaged: ", where, " does not have its hash; take another copy"));
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path, const SafetensorsOptions& options) {
  SafetensorsFile self(File::open(path, {.code = options.code, .fs = options.fs}));
  const File& file = self.file_;
  const std::string header = read_header(file);
  self.hash_ = stored_hash(header);
  self.is_verified_ = !self.hash_.empty();
  if (self.is_verified_ && self.hash_ != header_hash(header)) fail_damaged(file, "its header");
  SafetensorsHeader parsed = parse_safetensors_header(file.name(), options.code, header);
  const uint64_t data_start = kLengthBytes + header.size();
  auto placed = place_tensors(file.name(), options.code, parsed, file.size_bytes() - data_start);
  for (PlacedTensor& tensor : placed) {
    const auto hash = parsed.metadata.find(kHashKey + "." + tensor.name);
    self.is_verified_ = self.is_verified_ && hash != parsed.metadata.end();
    self.tensors_.push_back({std::move(tensor.name), tensor.desc, data_start + tensor.begin,
                             hash == parsed.metadata.end() ? "" : hash->second});
  }
  if (!self.is_verified_ && !options.allow_unverified) {
    file.fail(
        "has no hash, so damage would go unnoticed: written or changed by another program; "
        "use --allow-unverified to take it as it is");
  }
  std::erase_if(parsed.metadata, [](const auto& item) { return item.first.starts_with(kHashKey); });
  self.metadata_ = std::move(parsed.metadata);
  return self;
}

const SafetensorsFile::Tensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::ranges::find(tensors_, name, &Tensor::name);
  return found == tensors_.end() ? nullptr : &*found;
}

const SafetensorsFile::Tensor& SafetensorsFile::require(const std::string& name,
                                                        const TensorDesc& desc) const {
  const Tensor* tensor = find(name);
  if (!tensor) file_.fail(cat("lacks the tensor ", name, " ", desc.text()));
  if (tensor->desc != desc)
    file_.fail(cat("tensor ", name, ": expected ", desc.text(), ", found ", tensor->desc.text()));
  return *tensor;
}

const std::string& SafetensorsFile::require_metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    file_.fail(cat("lacks the entry ", key, " in its metadata; it was not written by diabolo"));
  return found->second;
}

void SafetensorsFile::read(const Tensor& tensor, std::span<std::byte> destination) const {
  DIABOLO_CHECK(destination.size() == tensor.desc.bytes(), tensor.name, " ", tensor.desc.text());
  read(tensor, {[destination](uint64_t offset, uint64_t bytes) {
         return destination.subspan(offset, bytes);
       }});
}

void SafetensorsFile::read(const Tensor& tensor, const BlockTarget& target) const {
  const uint64_t size = tensor.desc.bytes();
  Hasher hasher;
  for (uint64_t at = 0; at < size; at += kBlockBytes) {
    const std::span<std::byte> block = target.room(at, std::min(kBlockBytes, size - at));
    file_.pread(tensor.offset + at, block);
    if (is_verified_) hasher.update(block);
    if (target.filled) target.filled(at, block);
  }
  if (is_verified_ && hasher.digest().hex() != tensor.hash)
    fail_damaged(file_, cat("tensor ", tensor.name));
}

void SafetensorsFile::verify() const {
  for (const Tensor& tensor : tensors_) {
    const uint64_t end = tensor.offset + tensor.desc.bytes();
    if (hash_range(tensor.offset, end) != tensor.hash && is_verified_)
      fail_damaged(file_, cat("tensor ", tensor.name));
  }
}

std::string SafetensorsFile::content_hash() const {
  return is_verified_ ? hash_ : hash_range(0, file_.size_bytes());
}

std::string SafetensorsFile::hash_range(uint64_t begin, uint64_t end) const {
  std::vector<std::byte> step(std::min(kStepBytes, end - begin));
  Hasher hasher;
  for (uint64_t at = begin; at < end; at += step.size()) {
    const auto part = std::span(step).first(std::min<uint64_t>(step.size(), end - at));
    file_.pread(at, part);
    hasher.update(part);
  }
  return hasher.digest().hex();
}

}  // namespace diabolo
