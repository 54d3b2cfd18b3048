#include "backend/host/host_threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "backend/host/cpu_quota.h"
#include "kernels/cpu/thread_setup.h"

namespace diabolo {

namespace {

constexpr int kMaxCpus = CPU_SETSIZE;

void add_cpus_of(pid_t thread, cpu_set_t& all) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(thread, sizeof set, &set) == 0) CPU_OR(&all, &all, &set);
}

size_t stack_bytes() {
  size_t bytes = 0;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) == 0) {
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
  }
  return bytes;
}

bool has_room_for_a_stack() {
  const size_t bytes = stack_bytes();
  void* const probe = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return false;
  munmap(probe, bytes);
  return true;
}

std::string limit_text() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "";
  return cat(" (ulimit -v is ", limit.rlim_cur >> 10, " KiB)");
}

}  // namespace

std::vector<int> allowed_cpus() {
  // The first thread and the calling one: a guest's host may have pinned either of them to one CPU.
  cpu_set_t all;
  CPU_ZERO(&all);
  add_cpus_of(getpid(), all);
  add_cpus_of(0, all);
  for (const int cpu : kernels::cpu::openmp_cpus()) {
    if (cpu >= 0 && cpu < kMaxCpus) CPU_SET(cpu, &all);
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET(cpu, &all)) cpus.push_back(cpu);
  }
  if (cpus.empty()) cpus.push_back(0);  // more CPUs than the set holds; one thread still works
  return cpus;
}

ThreadChoice choose_threads(int asked) {
  ThreadLimits limits;
  limits.process_cpus = static_cast<int>(allowed_cpus().size());
  limits.machine_cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  limits.openmp_limit = kernels::cpu::largest_team();
  limits.quota = cpu_quota();
  return choose_threads(asked, limits);
}

ThreadChoice choose_threads(int asked, const ThreadLimits& limits) {
  if (asked < 0)
    throw Error(ErrorCode::kUsage,
                cat("threads: expected a positive number, or 0 for all, found ", asked));
  const bool openmp_limits = limits.openmp_limit < limits.process_cpus;
  const int most = std::max(1, std::min(limits.process_cpus, limits.openmp_limit));
  const std::string why = openmp_limits ? cat("OMP_THREAD_LIMIT is ", limits.openmp_limit)
                                        : cat("this process may run on ", limits.process_cpus,
                                              limits.process_cpus == 1 ? " CPU" : " CPUs");
  if (asked > most) return {most, cat("threads: ", asked, " asked for, ", most, " used: ", why)};
  if (asked > 0) return {asked, ""};
  const double quota = limits.quota.value_or(most);
  const int threads = quota < most ? std::max(1, static_cast<int>(std::ceil(quota))) : most;
  if (threads > 1 || limits.machine_cpus <= 1) return {threads, ""};
  const std::string cause =
      threads < most ? cat("the CPU quota of its control group is ", quota) : why;
  return {1, cat("threads: one is used, though this machine has ", limits.machine_cpus,
                 " CPUs: ", cause)};
}

Error thread_error(const std::system_error& error) {
  // pthread_create says EAGAIN for both.
  const bool is_memory = !has_room_for_a_stack();
  return Error(ErrorCode::kResource,
               is_memory
                   ? cat("cannot start a worker thread: no address space is left for its stack of ",
                         stack_bytes() >> 20, " MiB", limit_text(),
                         "; raise the limit, or use fewer threads")
                   : cat("cannot start a worker thread: ", error.what(),
                         "; raise the limit on threads (ulimit -u, pids.max) or use fewer"));
}

std::thread start_thread(std::function<void()> work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& error) {
    throw thread_error(error);
  }
}

std::unique_ptr<kernels::cpu::ThreadTeam> create_call_team(int threads) {
  const SignalsBlocked blocked;
  try {
    return kernels::cpu::make_call_team(threads, allowed_cpus());
  } catch (const std::system_error& error) {
    throw thread_error(error);
  }
}

SignalsBlocked::SignalsBlocked() : saved_(sizeof(sigset_t)) {
  sigset_t all, saved;
  sigfillset(&all);
  // What the thread itself causes still reaches whoever handles it (sanitizers, crash reporters).
  for (int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&all, own);
  pthread_sigmask(SIG_SETMASK, &all, &saved);
  std::memcpy(saved_.data(), &saved, sizeof saved);
}

SignalsBlocked::~SignalsBlocked() {
  sigset_t saved;
  std::memcpy(&saved, saved_.data(), sizeof saved);
  pthread_sigmask(SIG_SETMASK, &saved, nullptr);
}

}  // namespace diabolo
