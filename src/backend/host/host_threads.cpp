#include "backend/host/host_threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace diabolo {

namespace {

constexpr int kMaxCpus = CPU_SETSIZE;
// FTZ (bit 15): results that are denormal become zero; DAZ (bit 6): operands too.
constexpr uint32_t kFlushDenormals = 0x8040;

struct CpuUse {
  std::mutex mutex;
  std::array<int, kMaxCpus> teams{};
};

CpuUse& cpu_use() {
  static CpuUse use;
  return use;
}

void add_cpus_of(pid_t thread, cpu_set_t& all) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(thread, sizeof set, &set) == 0) CPU_OR(&all, &all, &set);
}

// A CPU that went away since (hotplug, a smaller cpuset) leaves the thread where it may run.
void pin_this_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

void flush_denormals() {
  _mm_setcsr(_mm_getcsr() | kFlushDenormals);
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

void set_up_own_team(const std::vector<int>& cpus) {
#ifdef _OPENMP
  const int threads = static_cast<int>(cpus.size());
  omp_set_dynamic(0);
  omp_set_num_threads(threads);
#pragma omp parallel num_threads(threads)
  {
    pin_this_thread(cpus[static_cast<size_t>(omp_get_thread_num())]);
    flush_denormals();
  }
#else
  pin_this_thread(cpus[0]);
  flush_denormals();
#endif
}

BorrowedThread::BorrowedThread() : control_(_mm_getcsr()), omp_threads_(1) {
  flush_denormals();
#ifdef _OPENMP
  omp_threads_ = omp_get_max_threads();
  omp_set_num_threads(1);
#endif
}

BorrowedThread::~BorrowedThread() {
#ifdef _OPENMP
  omp_set_num_threads(omp_threads_);
#endif
  _mm_setcsr(control_);
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
