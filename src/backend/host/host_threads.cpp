#include "backend/host/host_threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "base/error.h"

namespace diabolo {

namespace {

constexpr int kMaxCpus = CPU_SETSIZE;

struct CpuUse {
  std::mutex mutex;
  std::array<int, kMaxCpus> teams{};
};

// A child of fork() has no teams, and nobody who would open the lock if it was held.
CpuUse& cpu_use() {
  static CpuUse use;
  [[maybe_unused]] static const int at_fork =
      pthread_atfork(nullptr, nullptr, [] { std::construct_at(&use); });
  return use;
}

void add_cpus_of(pid_t thread, cpu_set_t& all) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(thread, sizeof set, &set) == 0) CPU_OR(&all, &all, &set);
}

// A thread that was joined counts against the limit until the kernel has forgotten its number.
void wait_until_gone(pid_t thread) {
  constexpr int kMostTries = 10000;
  for (int i = 0; i < kMostTries && thread > 0 && tgkill(getpid(), thread, 0) == 0; ++i)
    sched_yield();
}

}  // namespace

std::vector<int> allowed_cpus() {
  // The first thread and the calling one: a guest's host may have pinned either of them to one CPU.
  cpu_set_t all;
  CPU_ZERO(&all);
  add_cpus_of(getpid(), all);
  add_cpus_of(0, all);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET(cpu, &all)) cpus.push_back(cpu);
  }
  if (cpus.empty()) cpus.push_back(0);  // more CPUs than the set holds; one thread still works
  return cpus;
}

CpuShare::CpuShare(const std::vector<int>& cpus, int count) : cpus_(cpus) {
  CpuUse& use = cpu_use();
  const std::lock_guard lock(use.mutex);
  std::stable_sort(cpus_.begin(), cpus_.end(),
                   [&](int a, int b) { return use.teams[a] < use.teams[b]; });
  if (count < static_cast<int>(cpus_.size())) cpus_.resize(count);
  std::sort(cpus_.begin(), cpus_.end());
  for (int cpu : cpus_) ++use.teams[cpu];
}

CpuShare::~CpuShare() {
  CpuUse& use = cpu_use();
  const std::lock_guard lock(use.mutex);
  for (int cpu : cpus_) --use.teams[cpu];
}

void confine_this_thread(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) CPU_SET(cpu, &set);
  // If they went away since (hotplug, a smaller cpuset), the thread stays where it may run.
  (void)sched_setaffinity(0, sizeof set, &set);
}

void require_threads(int count) {
  std::promise<void> all_started;
  const std::shared_future<void> wait = all_started.get_future().share();
  std::vector<std::thread> threads;
  std::vector<pid_t> ids(static_cast<size_t>(count), 0);
  std::string failure;
  try {
    const SignalsBlocked blocked;
    for (pid_t& id : ids)
      threads.emplace_back([wait, &id] {
        id = gettid();
        wait.wait();
      });
  } catch (const std::system_error& error) {
    failure = error.what();
  }
  all_started.set_value();
  for (std::thread& thread : threads) thread.join();
  for (const pid_t id : ids) wait_until_gone(id);
  if (!failure.empty())
    throw Error(ErrorCode::kResource,
                cat("cannot start ", count, " worker threads: ", failure,
                    "; raise the limits on threads and memory (ulimit -u, -v) or use fewer"));
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
