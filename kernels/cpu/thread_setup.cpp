#include "kernels/cpu/thread_setup.h"

#include <sched.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu/thread_team.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace diabolo::kernels::cpu {
namespace {

#if defined(__x86_64__)
constexpr unsigned kFlushToZero = 1u << 15;
constexpr unsigned kDenormalsAreZero = 1u << 6;

unsigned float_mode() {
  return _mm_getcsr();
}
void set_float_mode(unsigned mode) {
  _mm_setcsr(mode);
}
unsigned flushing(unsigned mode) {
  return mode | kFlushToZero | kDenormalsAreZero;
}
#else
unsigned float_mode() {
  return 0;
}
void set_float_mode(unsigned) {}
unsigned flushing(unsigned mode) {
  return mode;
}
#endif

// What oneDNN reads when it is asked for a product: with one thread it begins no OpenMP region.
#ifdef _OPENMP
int openmp_threads() {
  return omp_get_max_threads();
}
void set_openmp_threads(int threads) {
  omp_set_num_threads(threads);
}
#else
int openmp_threads() {
  return 1;
}
void set_openmp_threads(int) {}
#endif

}  // namespace

void confine_this_thread(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int cpu : cpus) CPU_SET(cpu, &mask);
  // If they went away since (hotplug, a smaller cpuset), the thread stays where it may run.
  (void)sched_setaffinity(0, sizeof(mask), &mask);
}

#ifdef _OPENMP
int largest_team() {
  return omp_get_thread_limit();
}

std::vector<int> openmp_cpus() {
  std::vector<int> cpus;
  if (omp_get_proc_bind() == omp_proc_bind_false) return cpus;
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> of_place(static_cast<size_t>(std::max(0, omp_get_place_num_procs(place))));
    omp_get_place_proc_ids(place, of_place.data());
    cpus.insert(cpus.end(), of_place.begin(), of_place.end());
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}
#else
int largest_team() {
  return std::numeric_limits<int>::max();
}

std::vector<int> openmp_cpus() {
  return {};
}
#endif

std::unique_ptr<ThreadTeam> make_call_team(int threads, const std::vector<int>& cpus) {
  return std::make_unique<ThreadTeam>(threads, [cpus](int index) {
    if (index == 0) return;  // the caller's thread is not ours
    confine_this_thread(cpus);
    set_float_mode(flushing(float_mode()));
    set_openmp_threads(1);
  });
}

struct WorkerSetup::State {
  unsigned mode_before = float_mode();
  int threads_before = openmp_threads();
  cpu_set_t cpus_before{};
  std::unique_ptr<ThreadTeam> team;
  std::unique_ptr<TeamScope> scope;
};

WorkerSetup::WorkerSetup(int threads, const std::vector<int>& cpus)
    : state_(std::make_unique<State>()) {
  if (threads > 1) {
    const bool has_all = cpus.size() == static_cast<size_t>(threads);
    state_->team = std::make_unique<ThreadTeam>(threads, [cpus, has_all](int index) {
      if (has_all) confine_this_thread({cpus[static_cast<size_t>(index)]});
      set_float_mode(flushing(float_mode()));
      set_openmp_threads(1);
    });
    state_->scope = std::make_unique<TeamScope>(state_->team.get());
  }
  (void)sched_getaffinity(0, sizeof(cpu_set_t), &state_->cpus_before);
  set_float_mode(flushing(state_->mode_before));
  set_openmp_threads(1);
}

WorkerSetup::~WorkerSetup() {
  if (CPU_COUNT(&state_->cpus_before) > 0)
    (void)sched_setaffinity(0, sizeof(cpu_set_t), &state_->cpus_before);
  set_openmp_threads(state_->threads_before);
  set_float_mode(state_->mode_before);
}

CallerSetup::CallerSetup() : mode_before_(float_mode()), threads_before_(openmp_threads()) {
  set_float_mode(flushing(mode_before_));
  set_openmp_threads(1);
}

CallerSetup::~CallerSetup() {
  set_openmp_threads(threads_before_);
  set_float_mode(mode_before_);
}

}  // namespace diabolo::kernels::cpu
