// Threads that work for the host backend: which CPUs they may use, and how they are started so that
// the program around us does not notice. (kernels/cpu/thread_setup.h does the rest.)
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/thread_team.h"

namespace diabolo {

// The CPUs that this process may run on, ascending; never empty. Those of its first thread and of
// the calling one; where OpenMP has bound its first thread (OMP_PROC_BIND), those of OpenMP's
// places too, which its runtime made of the process's CPUs before it bound that thread.
std::vector<int> allowed_cpus();

struct ThreadChoice {
  int threads = 1;
  std::string note;  // one line that the user should see; empty: nothing is unusual
};

// So many threads as asked for, at most one per CPU of the process and OMP_THREAD_LIMIT. 0: as many
// as there are CPUs, within the process's CPU quota. The note says where fewer are used than were
// asked for, and where one is used though the machine has more CPUs. Throws Error{kUsage} for a
// negative number.
ThreadChoice choose_threads(int asked);
// The same from what was found; `quota` in CPUs.
struct ThreadLimits {
  int process_cpus = 1, machine_cpus = 1;
  int openmp_limit = 1;
  std::optional<double> quota;
};
ThreadChoice choose_threads(int asked, const ThreadLimits& limits);

// Starts a thread. Throws Error{kResource} where it cannot be, saying which limit is in the way.
std::thread start_thread(std::function<void()> work);
Error thread_error(const std::system_error& error);

// `threads` for a call's rows, the caller's own thread among them, on any CPU of the process.
// Throws Error{kResource}.
std::unique_ptr<kernels::cpu::ThreadTeam> create_call_team(int threads);

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
