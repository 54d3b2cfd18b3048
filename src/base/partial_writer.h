// A long output that survives being killed: the bytes go to "TARGET.partial"; a small journal
// beside it, "TARGET.partial.journal", says how much of it is certainly on disk, what it was made
// from, and the hash of the bytes, so that another process can continue it or see that it must not.
#pragma once

#include <string>
#include <vector>

#include "base/file_writer.h"
#include "base/part_file.h"

namespace diabolo {

// How far an output got. Rows written are fewer than rows read where bad rows are skipped.
struct Progress {
  uint64_t rows_read = 0;
  uint64_t rows_written = 0;
  uint64_t rows_counted = 0;  // of those written, the ones that the caller counts

  bool operator==(const Progress&) const = default;
};

struct PartialOptions {
  // Everything that decides the output's bytes: input's File::identity, model hash, options. One
  // line. A journal with another one is not continued.
  std::string identity = {};
  bool resume = false;  // continue a partial output; without one, start
  // The first bytes of the output, which write_at may replace (a header that holds the number of
  // rows). They are not part of the journal's hash.
  uint64_t header_bytes = 0;
  // A second file that grows with the output: it is continued with it, and gets its name just
  // before the output does. Empty: none.
  std::string companion = {};
  uint64_t companion_header_bytes = 0;
  // Of an output without one: the companion that an earlier output of the name may have. It goes,
  // with what is unfinished of it, just before the output gets its name.
  std::string old_companion = {};
};

struct Journal;

// Sink for one thread. Destroyed without commit it leaves the partial file and the journal if there
// was a checkpoint, so that the work can be continued, and nothing otherwise.
class PartialWriter final : public Sink {
 public:
  // With resume: throws Error{kStale} if the identity differs, or journal or a partial file are
  // damaged or missing; both say what to do. Without: replaces a partial output that is there.
  // Error{kBusy} if another process writes the same target.
  PartialWriter(std::string target, PartialOptions options, FileSystem& fs = real_file_system());
  ~PartialWriter() override;
  PartialWriter(PartialWriter&&) = delete;

  // Where to go on: what the checkpoint that is being continued had reached. Zero at a fresh start,
  // and then the caller writes the header; at a resumption the header is there already.
  const Progress& resumed() const { return resumed_; }
  // Bytes of the output so far.
  uint64_t size_bytes() const { return files_.front().size_bytes(); }

  using Sink::write;
  void write(std::span<const std::byte> bytes) override { files_.front().write(bytes); }
  bool can_rewrite() const override { return true; }
  void write_at(uint64_t offset, std::span<const std::byte> bytes) override {
    files_.front().write_at(offset, bytes);
  }
  // The second file, of which there must be one.
  PartFile& companion() { return files_.at(1); }
  // Everything written so far is on disk when this returns, and is what a resumption starts from.
  void checkpoint(const Progress& progress);
  // Flushes, renames to the target, removes the journal.
  void commit() override;

 private:
  bool can_continue() const;
  Journal read_journal() const;
  void take_companion_back(const Journal& journal);
  void continue_at(const Journal& journal);
  void start_anew();
  void remove_old_companion();

  FileSystem& fs_;
  std::string journal_, companion_;  // links resolved
  PartialOptions options_;
  std::vector<PartFile> files_;  // the output, its companion
  Progress resumed_;
  bool has_checkpoint_ = false;  // then partial files and journal stay
};

}  // namespace diabolo
