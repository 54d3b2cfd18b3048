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
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/file_writer.h"
#include "base/tensor.h"

namespace diabolo {

// Bytes that come, or are wanted, in order and in blocks: what is large is nowhere held twice.
using BlockTaker = std::function<void(std::span<const std::byte> block)>;
using BlockSource = std::function<void(const BlockTaker& take)>;

// Where the blocks of a tensor go, called in turns: room for the bytes from `offset` on, and that
// they are there now.
struct BlockTarget {
  std::function<std::span<std::byte>(uint64_t offset, uint64_t bytes)> room;
  std::function<void(uint64_t offset, std::span<const std::byte> block)> filled = {};
};

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
  // The same in blocks of kBlockBytes, of which the last is shorter. Damage is known at the end:
  // what was read until then must not be used if this throws.
  void read(const Tensor& tensor, const BlockTarget& target) const;
  static constexpr uint64_t kBlockBytes = 1 << 20;  // stays in a core's cache while it is hashed
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
// until write returns, and read once by it and by content_hash.
class SafetensorsWriter {
 public:
  void set_metadata(const std::string& key, std::string value);
  // A second tensor of one name is a bug, as is a size that does not fit desc.
  void add(const std::string& name, const TensorDesc& desc, std::span<const std::byte> bytes);
  // From a source that gives desc.bytes() when write asks it.
  void add(const std::string& name, const TensorDesc& desc, BlockSource source);

  // Atomically: the file is on disk, or the old one is untouched. Error{kResource}. Returns
  // what content_hash of the file will say.
  std::string write(const std::string& path, FileSystem& fs = real_file_system()) const;

  // The same bytes, into a sink that can rewrite and that the caller commits.
  std::string write(Sink& sink) const;
  uint64_t file_bytes() const;
  std::string content_hash() const;

 private:
  struct Entry {
    std::string name;
    TensorDesc desc;
    BlockSource source;
    std::string hash;  // zeros until it is known
  };
  const Entry* find(const std::string& name) const;
  std::vector<Entry> sorted() const;
  std::string header(const std::vector<Entry>& entries) const;
  static void pass(Entry& entry, Sink* sink);

  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace diabolo
