#include "train/run_directory.h"

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/file_lock.h"

namespace diabolo {
namespace {

namespace stdfs = std::filesystem;

// What a training writes, and what is made from it later.
constexpr const char* kOwnFiles[] = {"model.safetensors", "checkpoint.safetensors", "config.toml",
                                     "metrics.jsonl"};

[[noreturn]] void fail(const std::string& path, const std::error_code& error, const char* action) {
  throw Error(ErrorCode::kResource, cat(path, ": cannot ", action, ": ", error.message()));
}

void remove_file(const std::string& path) {
  std::error_code error;
  stdfs::remove(path, error);
  if (error) fail(path, error, "remove");
}

void require_folder(const std::string& path) {
  std::error_code error;
  if (stdfs::exists(path, error) && !stdfs::is_directory(path, error))
    throw Error(ErrorCode::kUsage, path + " is not a folder; name another one with -o");
}

// The lock, and the temporary files of a training that was killed while it wrote them.
bool is_passing(const std::string& name) {
  return name == FolderLock::kFileName || std::ranges::any_of(kOwnFiles, [&](const char* own) {
           return name == cat(".", own, ".diabolo-tmp");
         });
}

// Whether nothing is in the folder that anybody could miss. A training that failed before its first
// checkpoint may have left metrics without a line, and beside these (not by itself, where somebody
// may have put it) its configuration.
bool is_unused(const RunDirectory& directory) {
  std::error_code error;
  const bool has_failed = stdfs::file_size(directory.metrics(), error) == 0 && !error;
  error.clear();
  stdfs::directory_iterator entries(directory.path, error);
  for (; !error && entries != stdfs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    const bool is_left = has_failed && (name == "metrics.jsonl" || name == "config.toml");
    if (!is_passing(name) && !is_left) return false;
  }
  if (error) fail(directory.path, error, "read the folder");
  return true;
}

// A safetensors file whose metadata, which come first, are diabolo's. Damage elsewhere does not
// matter: such a file may be replaced.
bool is_of_diabolo(const std::string& path) {
  constexpr uint64_t kHeadBytes = 64 << 10;
  if (!path_exists(path)) return false;
  try {
    const File file = File::open(path);
    if (!file.is_regular()) return false;
    std::string head(std::min(kHeadBytes, file.size_bytes()), '\0');
    file.pread(0, std::as_writable_bytes(std::span(head)));
    return head.find("\"diabolo.") != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

// A training's files may be replaced; somebody's own of the same names may not.
void require_a_run(const RunDirectory& directory) {
  if (is_of_diabolo(directory.model()) || is_of_diabolo(directory.checkpoint())) return;
  if (is_unused(directory)) return;
  for (const char* own : kOwnFiles) {
    const std::string path = directory.path + "/" + own;
    if (path_exists(path))
      throw Error(
          ErrorCode::kUsage,
          cat(path, ": would be replaced, but no training wrote this folder (it has no ",
              "model and no checkpoint of diabolo); move the file, or name another folder"));
  }
}

void check_use(const RunDirectory& directory, RunUse use) {
  std::error_code error;
  if (use == RunUse::kOverwrite) require_a_run(directory);
  if (use == RunUse::kNew && !is_unused(directory))
    throw Error(
        ErrorCode::kUsage,
        directory.path + " is not empty; use --resume to continue it or --overwrite to replace it");
  if (use == RunUse::kResume && !stdfs::exists(directory.checkpoint(), error))
    throw Error(ErrorCode::kModel,
                directory.path +
                    ": there is no checkpoint.safetensors to resume from; use --overwrite to "
                    "start anew");
}

}  // namespace

// Destroyed before a start is complete it removes what that made, unless something else was there.
class RunClaim {
 public:
  enum class Stage { kClaimed, kBegun, kKept };

  RunClaim(const std::string& path, RunUse use_in, FileSystem& fs)
      : folder(path), use(use_in), lock(path, fs) {}
  ~RunClaim() {
    if (stage != Stage::kBegun || use != RunUse::kNew || !lock.is_ours() || !lock.is_in_place())
      return;
    std::error_code ignored;
    for (const char* file : kOwnFiles) stdfs::remove(folder + "/" + file, ignored);
  }

  const std::string folder;
  const RunUse use;
  Stage stage = Stage::kClaimed;
  FolderLock lock;
};

void RunDirectory::begin() const {
  claim->stage = RunClaim::Stage::kBegun;
}

void RunDirectory::replace_earlier() const {
  remove_file(metrics());
}

void RunDirectory::keep() const {
  claim->stage = RunClaim::Stage::kKept;
}

void RunDirectory::require_ours() const {
  if (!claim->lock.is_ours())
    throw Error(ErrorCode::kBusy,
                path + ": belongs to the process that this one was forked from; train in another");
  if (!claim->lock.is_in_place())
    throw Error(ErrorCode::kResource,
                path + ": the folder (or " + FolderLock::kFileName +
                    " in it) was removed or replaced while this training used it; it is left as "
                    "it is now, train in another");
}

bool is_file_of_run(const RunDirectory& directory, const std::string& path, FileSystem& fs) {
  const auto is_it = [&](const std::string& name) {
    return is_same_file(cat(directory.path, "/", name), path, fs);
  };
  return std::ranges::any_of(kOwnFiles, is_it) || is_it(FolderLock::kFileName);
}

void require_not_written(const RunDirectory& directory, const std::string& path, FileSystem& fs) {
  if (!path.empty() && is_file_of_run(directory, path, fs))
    throw Error(ErrorCode::kUsage,
                cat(path, ": is the input itself, which the training in ", directory.path,
                    " would replace; train in another folder, or move the file"));
}

RunDirectory open_run_directory(const std::string& path, RunUse use, FileSystem& fs) {
  require_folder(path);
  RunDirectory directory{path};
  std::error_code error;
  if (use == RunUse::kResume && !stdfs::exists(path, error)) check_use(directory, use);
  directory.claim = std::make_shared<RunClaim>(path, use, fs);
  check_use(directory, use);
  return directory;
}

}  // namespace diabolo
