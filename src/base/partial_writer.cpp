#include "base/partial_writer.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "base/file_calls.h"

namespace diabolo {
namespace {

constexpr uint64_t kMaxJournalBytes = 64 << 10;
constexpr size_t kMostParts = 2;
constexpr std::string_view kJournalTitle = "diabolo partial output 1";

// How much of a file is certainly on disk.
struct Part {
  uint64_t bytes = 0;
  std::string content_hash;
};

// What the journal's lines say.
struct Journal {
  std::string identity;
  Progress progress;
  std::vector<Part> parts;  // the output and, where there is one, its companion
};

std::string journal_text(const Journal& journal) {
  std::string text =
      cat(kJournalTitle, "\nidentity ", journal.identity, "\nrows_read ",
          journal.progress.rows_read, "\nrows_written ", journal.progress.rows_written,
          "\nrows_counted ", journal.progress.rows_counted, "\n");
  for (const Part& part : journal.parts)
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
  const std::string companion = options_.companion.empty() ? "" : resolve_link(options_.companion);
  if (!companion.empty()) require_replaceable(fs, companion);
  bool was_there = options_.resume && path_exists(name + ".partial", {.fs = &fs});
  files_.emplace_back(name, options_.header_bytes, fs);
  if (!companion.empty()) {
    was_there = was_there && path_exists(companion + ".partial", {.fs = &fs});
    files_.emplace_back(companion, options_.companion_header_bytes, fs);
  }
  // Another writer may have finished meanwhile; an empty file is one that the lock has just made.
  const bool has_content = std::ranges::all_of(files_, &PartFile::has_content);
  if (was_there && has_content && path_exists(journal_, {.fs = &fs})) {
    has_checkpoint_ = true;
    continue_from_journal();
  } else {
    start_anew();
  }
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

void PartialWriter::continue_from_journal() {
  const auto journal = parse_journal(read_file(journal_, kMaxJournalBytes, {.fs = &fs_}));
  if (!journal)
    throw Error(ErrorCode::kStale, cat(journal_, ": is damaged; run again without --resume"));
  if (journal->identity != options_.identity || journal->parts.size() != files_.size())
    throw Error(ErrorCode::kStale,
                cat(files_.front().path(), ": was made from another input, model or options (",
                    journal->identity, ", now ", options_.identity,
                    "); run again without --resume, or choose another output"));
  for (size_t i = 0; i < files_.size(); ++i)
    files_[i].continue_at(journal->parts[i].bytes, journal->parts[i].content_hash);
  resumed_ = journal->progress;
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
  for (size_t i = files_.size(); i-- > 0;) files_[i].rename();
  has_checkpoint_ = true;  // nothing of the names is left to remove
  flush_folder(fs_, files_.front().target());
  if (uninterrupted([&] { return fs_.unlink(journal_.c_str()); }) != 0 && errno != ENOENT)
    fail_write(journal_, "remove", errno);
  for (PartFile& file : files_) file.close();
}

}  // namespace diabolo
