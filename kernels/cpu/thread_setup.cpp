#include "kernels/cpu/thread_setup.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

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

#ifdef _OPENMP
int team_size() {
  return omp_get_max_threads();
}
void set_team_size(int threads) {
  omp_set_num_threads(threads);
}
int index_in_team() {
  return omp_get_thread_num();
}
int threads_in_team() {
  return omp_get_num_threads();
}
int team_limit() {
  return omp_get_thread_limit();
}

// Rules for the size of teams that begin in this thread.
struct TeamRules {
  int is_dynamic = omp_get_dynamic();
  int levels = omp_get_max_active_levels();

  void set() const {
    omp_set_dynamic(is_dynamic);
    omp_set_max_active_levels(levels);
  }
};
TeamRules exact_teams(const TeamRules& found) {
  return {0, std::max(found.levels, 1)};
}
#else
int team_size() {
  return 1;
}
void set_team_size(int) {}
int index_in_team() {
  return 0;
}
int threads_in_team() {
  return 1;
}
int team_limit() {
  return std::numeric_limits<int>::max();
}

struct TeamRules {
  void set() const {}
};
TeamRules exact_teams(const TeamRules& found) {
  return found;
}
#endif

// The cores of a mask, in order.
std::vector<int> cores_of(const cpu_set_t& mask) {
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  }
  return cores;
}

void pin_to(int core) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(core, &mask);
  sched_setaffinity(0, sizeof(mask), &mask);
}

// Workers take cores in turn, so that several small ones do not share the first.
size_t take_cores(size_t count) {
  static std::atomic<size_t> next{0};
  return next.fetch_add(count);
}

}  // namespace

int largest_team() {
  return team_limit();
}

struct WorkerSetup::State {
  TeamRules rules_before;
  int team_before = 1;
  int threads = 1;
  int team = 1;
  bool is_pinned = false;
  cpu_set_t mask_before{};
  std::vector<unsigned> modes_before;
};

WorkerSetup::WorkerSetup(int threads, Pinning pinning) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.team_before = team_size();
#ifdef _OPENMP
  state.threads = threads;
#else
  static_cast<void>(threads);
#endif
  set_team_size(state.threads);
  exact_teams(state.rules_before).set();
  // The calling thread's mode is set outside of the region: LLVM's runtime puts it back at the end
  // of a region, and copies it to the others at the start of one.
  state.modes_before.assign(static_cast<size_t>(state.threads), float_mode());
  set_float_mode(flushing(float_mode()));
  const bool knows_mask = sched_getaffinity(0, sizeof(state.mask_before), &state.mask_before) == 0;
  const std::vector<int> cores = knows_mask ? cores_of(state.mask_before) : std::vector<int>();
  state.is_pinned = pinning == Pinning::kOn && cores.size() >= static_cast<size_t>(state.threads);
  const size_t first = state.is_pinned ? take_cores(static_cast<size_t>(state.threads)) : 0;
#ifdef _OPENMP
#pragma omp parallel num_threads(state.threads)
#endif
  {
    const auto index = static_cast<size_t>(index_in_team());
    if (index == 0) state.team = threads_in_team();
    if (state.is_pinned) pin_to(cores[(first + index) % cores.size()]);
    if (index > 0) {
      state.modes_before[index] = float_mode();
      set_float_mode(flushing(float_mode()));
    }
  }
}

WorkerSetup::~WorkerSetup() {
  State& state = *state_;
#ifdef _OPENMP
#pragma omp parallel num_threads(state.threads)
#endif
  {
    set_float_mode(state.modes_before[static_cast<size_t>(index_in_team())]);
    if (state.is_pinned) sched_setaffinity(0, sizeof(state.mask_before), &state.mask_before);
  }
  set_float_mode(state.modes_before[0]);
  set_team_size(state.team_before);
  state.rules_before.set();
}

bool WorkerSetup::is_whole() const {
  return state_->team == state_->threads;
}

CallerSetup::CallerSetup() : mode_before_(float_mode()), threads_before_(team_size()) {
  set_float_mode(flushing(mode_before_));
  set_team_size(1);
}

CallerSetup::~CallerSetup() {
  set_team_size(threads_before_);
  set_float_mode(mode_before_);
}

}  // namespace diabolo::kernels::cpu
