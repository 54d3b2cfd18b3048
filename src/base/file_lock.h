// Locks: who holds one is the only writer of what it stands for. A lock ends with its process,
// however that ends. They exclude threads of one process as well as processes.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"

namespace diabolo {

// An open file on its way to a lock, or locked. A lock belongs to the open file, which a child of
// fork() shares: there it is closed at once, or it would outlive a parent that was killed, and the
// child's copy of this object is as after close().
class LockedFile {
 public:
  LockedFile() = default;
  // Opens, created where needed, not truncated; where that fails nothing is open and errno is set.
  LockedFile(FileSystem& fs, const std::string& path);
  LockedFile(LockedFile&& other) noexcept = default;
  LockedFile& operator=(LockedFile&& other) noexcept;
  ~LockedFile();

  bool is_open() const;  // not in a child made by fork()
  int get() const { return is_open() ? descriptor_.get() : -1; }
  FileSystem& fs() const { return descriptor_.fs(); }
  // Whether this call made the file.
  bool is_new() const { return is_new_; }
  // Closes and returns 0, or errno where close reports a late write error.
  int close();

 private:
  Descriptor descriptor_;
  int process_ = 0;
  bool is_new_ = false;
};

// Opens path for writing (created where needed, not truncated) and locks it; Error{kBusy} if
// another process has, named where the system tells. The descriptor surely is the file that has the
// name. File systems without locks are used without. A failure takes nothing away that was there.
LockedFile open_locked(FileSystem& fs, const std::string& path);

// Removes the file, if there is one and nobody has it locked. Throws Error{kResource}.
void remove_unlocked(FileSystem& fs, const std::string& path);

// A folder that one writer at a time has to itself: a locked file ".diabolo-lock" in it. It goes
// with its holder; one that a killed process leaves behind is nobody's, and is taken. A child made
// by fork() holds nothing.
class FolderLock {
 public:
  static constexpr const char* kFileName = ".diabolo-lock";

  // Makes the folder and those above it where they are missing. Throws Error{kBusy} where another
  // writer is at work, Error{kResource} where the folder cannot be made or locked: two writers
  // would destroy each other's files, so here a file system without locks is refused.
  explicit FolderLock(std::string folder, FileSystem& fs = real_file_system());
  // Removes the lock's file, and the folders that were made if nothing is in them; nothing at all
  // where somebody has replaced the folder.
  ~FolderLock();
  FolderLock(FolderLock&&) = delete;

  // Whether this process took it: not after fork() in the child.
  bool is_ours() const;
  // Whether the folder still is the one that was locked: not once it was removed, be there another
  // one under its name or not.
  bool is_in_place() const;

 private:
  void take(FileSystem& fs);
  void make_folder();
  void remove_made() const;

  std::string folder_, file_;
  std::vector<std::string> made_;  // the deepest first
  LockedFile lock_;
};

}  // namespace diabolo
