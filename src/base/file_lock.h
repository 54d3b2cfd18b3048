// Locks: who holds one is the only writer of what it stands for. A lock ends with its process,
// however that ends. They exclude threads of one process as well as processes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace diabolo {

// Opens path for writing (created where needed, not truncated) and locks it; Error{kBusy} if
// another process has, named where the system tells. The descriptor surely is the file that has the
// name. File systems without locks are used without.
Descriptor open_locked(FileSystem& fs, const std::string& path);

// A folder that one writer at a time has to itself: a locked file ".diabolo-lock" in it. It goes
// with its holder; one that a killed process leaves behind is nobody's, and is taken. A child made
// by fork() holds nothing.
class FolderLock {
 public:
  static constexpr const char* kFileName = ".diabolo-lock";

  // Makes the folder and those above it where they are missing. Throws Error{kBusy} where another
  // writer is at work, Error{kResource} where the folder cannot be made or locked: two writers would
  // destroy each other's files, so here a file system without locks is refused.
  explicit FolderLock(std::string folder, FileSystem& fs = real_file_system());
  // Removes the lock's file, and the folders that were made if nothing is in them.
  ~FolderLock();
  FolderLock(FolderLock&&) = delete;

  // Whether this process took it: not after fork() in the child.
  bool is_ours() const;

 private:
  void take(FileSystem& fs);
  void make_folder();
  void remove_made() const;

  std::string folder_, file_;
  std::vector<std::string> made_;  // the deepest first
  std::unique_ptr<Descriptor> descriptor_;
  int process_ = 0;
};

}  // namespace diabolo
