#include "run/run_directory.h"

#include <filesystem>

#include "base/error.h"

namespace diabolo {
namespace {

namespace stdfs = std::filesystem;

// What a training writes, and what is made from it later.
constexpr const char* kOwnFiles[] = {"model.safetensors", "checkpoint.safetensors", "config.toml",
                                     "metrics.jsonl"};

[[noreturn]] void fail(const std::string& path, const std::error_code& error, const char* action) {
  throw Error(ErrorCode::kResource, cat(path, ": cannot ", action, ": ", error.message()));
}

bool is_empty_or_absent(const std::string& path) {
  std::error_code error;
  if (!stdfs::exists(path, error)) return true;
  if (!stdfs::is_directory(path, error))
    throw Error(ErrorCode::kUsage, path + " is not a folder; name another one with -o");
  const bool is_empty = stdfs::is_empty(path, error);
  if (error) fail(path, error, "read the folder");
  return is_empty;
}

}  // namespace

void RunDirectory::start() const {
  if (!is_to_be_cleared) return;
  std::error_code error;
  for (const char* file : kOwnFiles) {
    stdfs::remove(path + "/" + file, error);
    if (error) fail(path + "/" + file, error, "remove");
  }
}

RunDirectory open_run_directory(const std::string& path, RunUse use) {
  const RunDirectory directory{path, use == RunUse::kOverwrite};
  std::error_code error;
  const bool is_empty = is_empty_or_absent(path);
  if (use == RunUse::kResume) {
    if (!stdfs::exists(directory.checkpoint(), error))
      throw Error(ErrorCode::kModel,
                  path +
                      ": there is no checkpoint.safetensors to resume from; use --overwrite to "
                      "start anew");
    return directory;
  }
  if (use == RunUse::kNew && !is_empty)
    throw Error(ErrorCode::kUsage,
                path + " is not empty; use --resume to continue it or --overwrite to replace it");
  stdfs::create_directories(path, error);
  if (error) fail(path, error, "create the folder");
  return directory;
}

}  // namespace diabolo
