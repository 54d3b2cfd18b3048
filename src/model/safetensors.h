// Safetensors files: a JSON header and the bytes of named tensors. Reading trusts nothing: every
// length, offset and shape is checked against the file's real size before anything is allocated.
//
// Integrity: files that we write carry `diabolo.hash.NAME` (XXH3-128 of each tensor's bytes) and
// first of all `diabolo.hash` (XXH3-128 of the header, length field included, with its own digits
// as zeros) in `__metadata__`. So every flipped bit and every missing byte is found: those of the
// header by open, those of a tensor by read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/file_writer.h"
#include "base/tensor.h"

namespace diabolo {

struct SafetensorsOptions {
  bool allow_unverified = false;       // take a file without the hash (as other tools rewrite it)
  ErrorCode code = ErrorCode::kModel;  // of every Error about this file
  FileSystem* fs = nullptr;            // null: the real one
};

// An open file. Immutable; read is thread-safe.
class SafetensorsFile {
 public:
  struct Tensor {
    std::string name;
    TensorDesc desc;
    uint64_t offset = 0;  // in the file
    std::string hash;     // empty in an unverified file
  };

  // Throws Error{code}, one line.
  static SafetensorsFile open(const std::string& path, const SafetensorsOptions& options = {});

  const std::string& name() const { return file_.name(); }
  bool is_verified() const { return is_verified_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of the file
  // `__metadata__` without our hashes.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const Tensor* find(const std::string& name) const;  // or null
  // The tensor of that name and description; throws Error{code} naming expected and found.
  const Tensor& require(const std::string& name, const TensorDesc& desc) const;
  // Value of a metadata key; throws Error{code} if it is not there.
  const std::string& require_metadata(const std::string& key) const;

  // Reads a whole tensor (destination has desc.bytes()) and checks its hash.
  void read(const Tensor& tensor, std::span<std::byte> destination) const;
  // Reads everything once, in bounded memory; throws at the first damage.
  void verify() const;
  // Tells this content from another: the header's hash, which covers the tensors' hashes. For an
  // unverified file all of it is read.
  std::string content_hash() const;

 private:
  explicit SafetensorsFile(File file) : file_(std::move(file)) {}
  std::string hash_range(uint64_t begin, uint64_t end) const;

  File file_;
  bool is_verified_ = false;
  std::string hash_;
  std::vector<Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Collects tensors, then writes them all at once, in the order of the upstream writer. Names are
// UTF-8 of at most 4000 bytes, metadata of some MiB altogether; more is a bug. Bytes are borrowed
// until write returns.
class SafetensorsWriter {
 public:
  void set_metadata(const std::string& key, std::string value);
  // A second tensor of one name is a bug, as is a size that does not fit desc.
  void add(const std::string& name, const TensorDesc& desc, std::span<const std::byte> bytes);

  // Atomically: the file is on disk, or the old one is untouched. Error{kResource}. Returns
  // what content_hash of the file will say.
  std::string write(const std::string& path, FileSystem& fs = real_file_system()) const;

  // The same bytes, into a sink that the caller commits.
  std::string write(Sink& sink) const;
  uint64_t file_bytes() const;
  std::string content_hash() const;

 private:
  struct Entry {
    std::string name;
    TensorDesc desc;
    std::span<const std::byte> bytes;
  };
  const Entry* find(const std::string& name) const;
  std::vector<Entry> sorted() const;
  std::string header(const std::vector<Entry>& entries) const;

  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace diabolo
