#include "base/partial_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "base/file_calls.h"
#include "base/file_lock.h"

namespace diabolo {
namespace {

constexpr uint64_t kMaxJournalBytes = 64 << 10;
constexpr std::string_view kJournalTitle = "diabolo partial output 1";

// What the journal's lines say.
struct Journal {
  std::string identity;
  Progress progress;
  uint64_t bytes = 0;
  std::string content_hash;
};

std::string journal_text(const Journal& journal) {
  std::string text =
      cat(kJournalTitle, "\nidentity ", journal.identity, "\nrows_read ",
          journal.progress.rows_read, "\nrows_written ", journal.progress.rows_written,
          "\nrows_counted ", journal.progress.rows_counted, "\nbytes ", journal.bytes, "\ncontent ",
          journal.content_hash, "\n");
  return text + cat("journal ", hash_of(text).hex(), "\n");
}

// The rest of a line that starts with key and a space.
std::optional<std::string> value_of(std::istringstream& lines, std::string_view key) {
  std::string line;
  if (!std::getline(lines, line) || !line.starts_with(cat(key, " "))) return std::nullopt;
  return line.substr(key.size() + 1);
}

std::optional<uint64_t> number_of(std::istringstream& lines, std::string_view key) {
  const auto text = value_of(lines, key);
  uint64_t number = 0;
  if (!text) return std::nullopt;
  const char* const end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

// Nothing unless text is exactly what journal_text writes.
std::optional<Journal> parse_journal(const std::string& text) {
  std::istringstream lines(text);
  std::string title;
  if (!std::getline(lines, title) || title != kJournalTitle) return std::nullopt;
  const auto identity = value_of(lines, "identity");
  const auto rows_read = number_of(lines, "rows_read");
  const auto rows_written = number_of(lines, "rows_written");
  const auto rows_counted = number_of(lines, "rows_counted");
  const auto bytes = number_of(lines, "bytes");
  const auto content = value_of(lines, "content");
  if (!identity || !rows_read || !rows_written || !rows_counted || !bytes || !content)
    return std::nullopt;
  Journal journal{*identity, {*rows_read, *rows_written, *rows_counted}, *bytes, *content};
  if (journal_text(journal) != text) return std::nullopt;
  return journal;
}

}  // namespace

PartialWriter::PartialWriter(std::string target, PartialOptions options, FileSystem& fs)
    : target_(resolve_link(target)),
      partial_(target_ + ".partial"),
      journal_(target_ + ".partial.journal"),
      options_(std::move(options)) {
  DIABOLO_CHECK(options_.identity.find('\n') == std::string::npos, options_.identity);
  require_replaceable(fs, target_);
  const bool was_there = options_.resume && path_exists(partial_, {.fs = &fs});
  descriptor_ = open_locked(fs, partial_);
  // Another writer may have finished meanwhile; an empty file is one that the lock has just made.
  if (was_there && has_content() && path_exists(journal_, {.fs = &fs})) {
    has_checkpoint_ = true;
    continue_from_journal();
  } else {
    start_anew();
  }
}

PartialWriter::~PartialWriter() {
  if (descriptor_.is_open() && !has_checkpoint_) descriptor_.fs().unlink(partial_.c_str());
}

bool PartialWriter::has_content() const {
  struct stat info {};
  if (uninterrupted([&] { return descriptor_.fs().fstat(descriptor_.get(), &info); }) != 0)
    fail_write(partial_, "examine", errno);
  return info.st_size > 0;
}

// The journal goes first: a journal without its bytes would be worse than none.
void PartialWriter::start_anew() {
  FileSystem& fs = descriptor_.fs();
  if (uninterrupted([&] { return fs.unlink(journal_.c_str()); }) != 0 && errno != ENOENT)
    fail_write(journal_, "remove", errno);
  if (uninterrupted([&] { return fs.ftruncate(descriptor_.get(), 0); }) != 0) {
    const int error = errno;
    fs.unlink(partial_.c_str());
    fail_write(partial_, "write", error);
  }
}

void PartialWriter::continue_from_journal() {
  FileSystem& fs = descriptor_.fs();
  const auto journal = parse_journal(read_file(journal_, kMaxJournalBytes, {.fs = &fs}));
  if (!journal)
    throw Error(ErrorCode::kData, cat(journal_, ": is damaged; run again without --resume"));
  if (journal->identity != options_.identity) {
    throw Error(
        ErrorCode::kUsage,
        cat(partial_, ": was made from another input, model or options (", journal->identity,
            ", now ", options_.identity, "); run again without --resume"));
  }
  check_content(journal->bytes, journal->content_hash);
  // Bytes after the checkpoint may or may not have reached the disk.
  const auto kept = static_cast<int64_t>(journal->bytes);
  if (uninterrupted([&] { return fs.ftruncate(descriptor_.get(), kept); }) != 0)
    fail_write(partial_, "write", errno);
  size_bytes_ = journal->bytes;
  resumed_ = journal->progress;
}

// Leaves hasher_ in the state that it had at the checkpoint.
void PartialWriter::check_content(uint64_t bytes, const std::string& expected_hash) {
  constexpr uint64_t kStepBytes = 1 << 20;
  const File file = File::open(partial_, {.fs = &descriptor_.fs()});
  if (bytes < options_.header_bytes || bytes > file.size_bytes())
    file.fail(cat("has ", file.size_bytes(), " bytes, its journal says ", bytes,
                  "; run again without --resume"));
  std::vector<std::byte> step(std::min(bytes, kStepBytes));
  for (uint64_t at = options_.header_bytes; at < bytes; at += step.size()) {
    const auto part = std::span(step).first(std::min<uint64_t>(step.size(), bytes - at));
    file.pread(at, part);
    hasher_.update(part);
  }
  if (hasher_.digest().hex() != expected_hash)
    file.fail("does not have the content that its journal says; run again without --resume");
}

void PartialWriter::write(std::span<const std::byte> bytes) {
  const auto done = pwrite_fully(descriptor_.fs(), descriptor_.get(), bytes, size_bytes_);
  if (done.error != 0) fail_write(partial_, "write", done.error);
  const uint64_t unhashed = options_.header_bytes - std::min(options_.header_bytes, size_bytes_);
  hasher_.update(bytes.subspan(std::min<uint64_t>(unhashed, bytes.size())));
  size_bytes_ += bytes.size();
}

void PartialWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  DIABOLO_CHECK(offset <= options_.header_bytes && bytes.size() <= options_.header_bytes - offset &&
                    options_.header_bytes <= size_bytes_,
                offset, "+", bytes.size(), " of a header of ", options_.header_bytes);
  const auto done = pwrite_fully(descriptor_.fs(), descriptor_.get(), bytes, offset);
  if (done.error != 0) fail_write(partial_, "write", done.error);
}

void PartialWriter::checkpoint(const Progress& progress) {
  FileSystem& fs = descriptor_.fs();
  if (uninterrupted([&] { return fs.fsync(descriptor_.get()); }) != 0)
    fail_write(partial_, "flush to disk", errno);
  const Journal journal{options_.identity, progress, size_bytes_, hasher_.digest().hex()};
  write_file(journal_, journal_text(journal), fs);
  has_checkpoint_ = true;
}

void PartialWriter::commit() {
  FileSystem& fs = descriptor_.fs();
  if (uninterrupted([&] { return fs.fsync(descriptor_.get()); }) != 0)
    fail_write(partial_, "flush to disk", errno);
  if (uninterrupted([&] { return fs.rename(partial_.c_str(), target_.c_str()); }) != 0)
    fail_write(target_, "rename the partial file", errno);
  has_checkpoint_ = true;  // nothing of the name is left to remove
  flush_folder(fs, target_);
  if (uninterrupted([&] { return fs.unlink(journal_.c_str()); }) != 0 && errno != ENOENT)
    fail_write(journal_, "remove", errno);
  if (const int error = descriptor_.close(); error != 0) fail_write(target_, "close", error);
}

}  // namespace diabolo
