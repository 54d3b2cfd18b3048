// Writing files so that a reader sees the old file or the new one, whole, whenever the writer dies.
//   AtomicWriter   one file, all or nothing: models, checkpoints, reports, small results
//   PartialWriter  a long output that can be continued (base/partial_writer.h)
//   AppendWriter   a log that grows by lines
//   StreamWriter   standard output, a pipe or a device
// A failed call throws Error{kResource} "PATH: cannot write: No space left on device" (kClosedPipe,
// where the reader of a pipe went away; the process must ignore SIGPIPE, which the command does).
// After a failure the writer only takes destruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/file_lock.h"

namespace diabolo {

// Bytes on their way to a file.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  // Whether write_at works (not on a pipe).
  virtual bool can_rewrite() const = 0;
  // Replaces bytes that were written before: all of offset, offset + size must be.
  virtual void write_at(uint64_t offset, std::span<const std::byte> bytes) = 0;
  // Ends the output: it is on disk under its name when this returns. Call once, last.
  virtual void commit() = 0;

  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
};

// Writes a temporary file ".NAME.diabolo-tmp" beside the target; commit flushes it to disk, renames
// it over the target and flushes the directory. Destroyed without commit it removes the temporary
// file. What a killed process leaves behind is replaced by the next writer of the same target. Two
// writers of one target at once: the second throws Error{kBusy}. A target that is a symbolic link
// keeps being one; the file that it points to is replaced.
class AtomicWriter final : public Sink {
 public:
  explicit AtomicWriter(std::string target, FileSystem& fs = real_file_system());
  ~AtomicWriter() override;
  AtomicWriter(AtomicWriter&&) = delete;

  using Sink::write;
  void write(std::span<const std::byte> bytes) override;
  bool can_rewrite() const override { return true; }
  void write_at(uint64_t offset, std::span<const std::byte> bytes) override;
  void commit() override;

 private:
  std::string target_, temporary_;
  LockedFile descriptor_;
  uint64_t size_bytes_ = 0;
  bool is_renamed_ = false;
};

// Standard output (path "-") or something that is there and not a regular file.
class StreamWriter final : public Sink {
 public:
  explicit StreamWriter(const std::string& path, FileSystem& fs = real_file_system());

  using Sink::write;
  void write(std::span<const std::byte> bytes) override;
  bool can_rewrite() const override { return false; }
  void write_at(uint64_t offset, std::span<const std::byte> bytes) override;
  void commit() override;

 private:
  std::string name_;
  Descriptor descriptor_;
};

// Appends to a file, for example one line of JSON per epoch. What is there beyond keep_bytes is cut
// off first, so that a resumed run continues where its checkpoint was taken.
class AppendWriter {
 public:
  AppendWriter(std::string path, uint64_t keep_bytes, FileSystem& fs = real_file_system());

  void write(std::string_view text);
  void flush();  // to disk
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::string path_;
  Descriptor descriptor_;
  uint64_t size_bytes_ = 0;
};

// True for "-" and for a pipe or device: what takes bytes once and in order, StreamWriter's work.
bool is_stream_path(const std::string& path, FileSystem& fs = real_file_system());

// One small file, all or nothing.
void write_file(const std::string& path, std::string_view text,
                FileSystem& fs = real_file_system());

}  // namespace diabolo
