// Threads that work for the host backend: which CPUs they may use, how a thread of our own is set
// up, and how a caller's thread is borrowed and given back as it was.
#pragma once

#include <cstdint>
#include <vector>

namespace diabolo {

// The CPUs that this process may run on, ascending; never empty.
std::vector<int> allowed_cpus();

// CPUs for one team of threads: those of `cpus` that the fewest teams of this process use. Given
// back when this dies.
class CpuShare {
 public:
  CpuShare(const std::vector<int>& cpus, int count);
  ~CpuShare();
  CpuShare(const CpuShare&) = delete;
  CpuShare& operator=(const CpuShare&) = delete;

  const std::vector<int>& cpus() const { return cpus_; }

 private:
  std::vector<int> cpus_;
};

// Makes the calling thread, which must be our own, the master of an OpenMP team of cpus.size()
// threads: each pinned to its CPU, each flushing denormals.
void set_up_own_team(const std::vector<int>& cpus);

// While it lives, the calling thread flushes denormals and its OpenMP team is itself alone.
// Afterwards it is as it was.
class BorrowedThread {
 public:
  BorrowedThread();
  ~BorrowedThread();
  BorrowedThread(const BorrowedThread&) = delete;
  BorrowedThread& operator=(const BorrowedThread&) = delete;

 private:
  uint32_t control_;
  int omp_threads_;
};

// While it lives, threads started by the calling one take no signals: those belong to the program
// that we are a guest of.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  std::vector<unsigned char> saved_;  // a sigset_t
};

}  // namespace diabolo
