#include "base/partial_writer.h"

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

// What the journal's lines say.
struct Journal {
  // How much of a file is certainly on disk.
  struct Part {
    uint64_t bytes = 0;
    std::string content_hash;
  };
  std::string identity;
  Progress progress;
  std::vector<Part> parts;  // the output and, where there is one, its companion
};

namespace {

constexpr uint64_t kMaxJournalBytes = 64 << 10;
constexpr size_t kMostParts = 2;
constexpr std::string_view kJournalTitle = "diabolo partial output 1";

std::string journal_text(const Journal& journal) {
  std::string text =
      cat(kJournalTitle, "\nidentity ", journal.identity, "\nrows_read ",
          journal.progress.rows_read, "\nrows_written ", journal.progress.rows_written,
          "\nrows_counted ", journal.progress.rows_counted, "\n");
  for (const Journal::Part& part : journal.parts)
    text += cat("bytes ", part.bytes, "\ncontent ", part.content_hash, "\n");
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
  if (!identity || !rows_read || !rows_written || !rows_counted) return std::nullopt;
  Journal journal{*identity, {*rows_read, *rows_written, *rows_counted}, {}};
  while (const auto bytes = number_of(lines, "bytes")) {
    const auto content = value_of(lines, "content");
    if (!content || journal.parts.size() == kMostParts) return std::nullopt;
    journal.parts.push_back({*bytes, *content});
  }
  if (journal_text(journal) != text) return std::nullopt;
  return journal;
}

}  // namespace

PartialWriter::PartialWriter(std::string target, PartialOptions options, FileSystem& fs)
    : fs_(fs), options_(std::move(options)) {
  DIABOLO_CHECK(options_.identity.find('\n') == std::string::npos, options_.identity);
  const std::string name = resolve_link(target);
  journal_ = name + ".partial.journal";
  require_replaceable(fs, name);
  if (!options_.companion.empty()) companion_ = resolve_link(options_.companion);
  if (!companion_.empty()) require_replaceable(fs, companion_);
  files_.emplace_back(name, options_.header_bytes, fs);
  std::optional<Journal> journal;
  if (can_continue()) {
    has_checkpoint_ = true;
    journal = read_journal();
    if (!companion_.empty()) take_companion_back(*journal);
  }
  if (!companion_.empty()) files_.emplace_back(companion_, options_.companion_header_bytes, fs);
  journal ? continue_at(*journal) : start_anew();
}

PartialWriter::~PartialWriter() {
  if (has_checkpoint_) return;
  for (PartFile& file : files_)
    if (file.is_open()) file.remove();
}

// The journal goes first: a journal without its bytes would be worse than none.
void PartialWriter::start_anew() {
  if (uninterrupted([&] { return fs_.unlink(journal_.c_str()); }) != 0 && errno != ENOENT)
    fail_write(journal_, "remove", errno);
  for (PartFile& file : files_) file.clear();
}

// The output and its journal decide. An empty output is one that the lock has just made, here or in
// a process that came no further: then the journal is what a finished output left.
bool PartialWriter::can_continue() const {
  return options_.resume && files_.front().has_content() && path_exists(journal_, {.fs = &fs_});
}

Journal PartialWriter::read_journal() const {
  const auto journal = parse_journal(read_file(journal_, kMaxJournalBytes, {.fs = &fs_}));
  if (!journal)
    throw Error(ErrorCode::kStale, cat(journal_, ": is damaged; run again without --resume"));
  const size_t parts = companion_.empty() ? 1 : 2;
  if (journal->identity != options_.identity || journal->parts.size() != parts)
    throw Error(ErrorCode::kStale,
                cat(files_.front().path(), ": was made from another input, model or options (",
                    journal->identity, ", now ", options_.identity,
                    "); run again without --resume, or choose another output"));
  return *journal;
}

// Killed between the two renames of commit() the companion has its name already, and the output
// not. Where it is that one and not an earlier output's, it becomes a partial file again.
void PartialWriter::take_companion_back(const Journal& journal) {
  const std::string partial = companion_ + ".partial";
  if (path_exists(partial, {.fs = &fs_}) || !path_exists(companion_, {.fs = &fs_})) return;
  const uint64_t bytes = journal.parts[1].bytes, header_bytes = options_.companion_header_bytes;
  const File file = File::open(companion_, {.fs = &fs_});
  if (bytes < header_bytes || bytes > file.size_bytes()) return;
  const Hasher hasher = content_hash_of(file, header_bytes, bytes);
  if (hasher.digest().hex() != journal.parts[1].content_hash) return;
  if (uninterrupted([&] { return fs_.rename(companion_.c_str(), partial.c_str()); }) != 0)
    fail_write(companion_, "rename", errno);
}

void PartialWriter::continue_at(const Journal& journal) {
  try {
    for (size_t i = 0; i < files_.size(); ++i)
      files_[i].continue_at(journal.parts[i].bytes, journal.parts[i].content_hash);
  } catch (...) {  // what is refused stays as it was
    for (PartFile& file : files_)
      if (file.is_new()) file.remove();
    throw;
  }
  resumed_ = journal.progress;
}

void PartialWriter::checkpoint(const Progress& progress) {
  Journal journal{options_.identity, progress, {}};
  for (PartFile& file : files_) {
    file.flush();
    journal.parts.push_back({file.size_bytes(), file.hash()});
  }
  write_file(journal_, journal_text(journal), fs_);
  has_checkpoint_ = true;
}

// The output itself gets its name last: where it is, all of it is.
void PartialWriter::commit() {
  for (PartFile& file : files_) file.flush();
  if (!options_.old_companion.empty()) remove_old_companion();
  for (size_t i = files_.size(); i-- > 0;) {
    files_[i].rename();
    has_checkpoint_ |= i == 0;  // nothing of the names is left to remove
    flush_folder(fs_, files_[i].target());
  }
  if (uninterrupted([&] { return fs_.unlink(journal_.c_str()); }) != 0 && errno != ENOENT)
    fail_write(journal_, "remove", errno);
  for (PartFile& file : files_) file.close();
}

void PartialWriter::remove_old_companion() {
  const std::string& old = options_.old_companion;
  if (uninterrupted([&] { return fs_.unlink(old.c_str()); }) != 0 && errno != ENOENT)
    fail_write(old, "remove", errno);
  remove_unlocked(fs_, old + ".partial");
}

}  // namespace diabolo
