// Threads that work for the host backend: which CPUs they may use, and how they are started so that
// the program around us does not notice. (kernels/cpu/thread_setup.h does the rest.)
#pragma once

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

// Restricts the calling thread, which must be our own, to these CPUs.
void confine_this_thread(const std::vector<int>& cpus);

// Throws Error{kResource} unless so many threads can be started: OpenMP ends the process where it
// cannot start its own.
void require_threads(int count);

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
