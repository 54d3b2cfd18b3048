#include "kernels/cpu/thread_team.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <future>
#include <new>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace diabolo::kernels::cpu {
namespace {

// How long a thread looks before it sleeps: as long as a sleep and a wake-up cost. Longer would
// take the core from whoever else wants it.
constexpr std::chrono::microseconds kSpin{20};
constexpr int kPausesPerLook = 16;

// The bits of a door.
constexpr uint32_t kInside = (1u << 15) - 1;
constexpr uint32_t kOpen = 1u << 15;
constexpr int kSeatsShift = 16;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

template <class Condition>
bool spin_for(const Condition& condition) {
  if (condition()) return true;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int k = 0; k < kPausesPerLook; ++k) pause();
    if (condition()) return true;
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

void sleep_while(const std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake(const std::atomic<uint32_t>& word, int sleepers) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
}

// Gives this thread a heap of its own, or throws std::bad_alloc. glibc makes one at a thread's
// first allocation, 64 MiB of address space out of 128. Where there is less, every allocation of
// the thread is a mapping of whole pages, and the small ones of oneDNN's code generator use up what
// was found to be enough for it (product_onednn.cpp). The first thread has the process's heap.
void take_heap() {
  constexpr size_t kHeapBytes = size_t{128} << 20;
  if (gettid() != getpid()) {
    void* const probe = mmap(nullptr, kHeapBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) throw std::bad_alloc();
    munmap(probe, kHeapBytes);
  }
  void* volatile first = std::malloc(1);
  std::free(first);
}

}  // namespace

ThreadTeam*& ThreadTeam::current() {
  thread_local ThreadTeam* team = nullptr;
  return team;
}

ThreadTeam::ThreadTeam(int threads, const std::function<void(int)>& enter)
    : enter_(enter), next_(new std::atomic<int64_t>[static_cast<size_t>(std::max(1, threads))]) {
  take_heap();
  try {
    for (int index = 1; index < threads; ++index) start_helper(index);
  } catch (...) {
    stop();
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
  stop();
}

// One after the other, so that each finds the address space for its heap that it looked for.
void ThreadTeam::start_helper(int index) {
  std::promise<void> promise;
  std::future<void> has_heap = promise.get_future();
  helpers_.emplace_back([this, index, taken = std::move(promise)]() mutable {
    try {
      take_heap();
    } catch (...) {
      return taken.set_exception(std::current_exception());
    }
    taken.set_value();
    enter_(index);
    help(index);
  });
  has_heap.get();
}

void ThreadTeam::stop() {
  stops_ = true;
  round_.fetch_add(1);
  wake(round_, INT_MAX);
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadTeam::run(int threads, int64_t count, void (*call)(const void*, int64_t),
                     const void* body) {
  const TeamScope alone(nullptr);  // a loop within a loop is done by whoever comes to it
  shares_ = static_cast<int>(std::min<int64_t>({threads, this->threads(), count}));
  call_ = call;
  body_ = body;
  count_ = count;
  for (int share = 0; share < shares_; ++share)
    next_[static_cast<size_t>(share)].store(count * share / shares_, std::memory_order_relaxed);
  const int wanted = shares_ - 1;
  if (wanted > 0 && !owner_has_entered_) {
    owner_has_entered_ = true;
    enter_(0);
  }
  door_.store(static_cast<uint32_t>(wanted) << kSeatsShift | kOpen, std::memory_order_release);
  // Either this sees a sleeper, or the sleeper, which counts itself first, sees the round.
  round_.fetch_add(1, std::memory_order_seq_cst);
  if (wanted > 0 && sleepers_.load(std::memory_order_seq_cst) > 0) wake(round_, wanted);
  take_tasks(0);
  close_loop();
}

// Its own share first, so that a thread finds in its cache what it left there in the loop before.
void ThreadTeam::take_tasks(int index) {
  for (int k = 0; k < shares_; ++k) {
    const int share = (index + k) % shares_;
    std::atomic<int64_t>& next = next_[static_cast<size_t>(share)];
    const int64_t end = count_ * (share + 1) / shares_;
    while (next.load(std::memory_order_relaxed) < end) {
      const int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task < end) call_(body_, task);
    }
  }
}

void ThreadTeam::close_loop() {
  uint32_t door = door_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  if ((door & kInside) == 0) return;
  const auto is_empty = [&] { return (door_.load(std::memory_order_acquire) & kInside) == 0; };
  if (spin_for(is_empty)) return;
  owner_sleeps_.store(true, std::memory_order_seq_cst);
  while (((door = door_.load(std::memory_order_seq_cst)) & kInside) != 0) sleep_while(door_, door);
  owner_sleeps_.store(false, std::memory_order_relaxed);
}

bool ThreadTeam::enter_loop() {
  uint32_t door = door_.load(std::memory_order_relaxed);
  do {
    const bool has_seat = (door & kInside) < door >> kSeatsShift;
    if ((door & kOpen) == 0 || !has_seat) return false;
  } while (!door_.compare_exchange_weak(door, door + 1, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  return true;
}

void ThreadTeam::leave_loop() {
  const uint32_t before = door_.fetch_sub(1, std::memory_order_seq_cst);
  const bool is_last = (before & kInside) == 1 && (before & kOpen) == 0;
  if (is_last && owner_sleeps_.load(std::memory_order_seq_cst)) wake(door_, 1);
}

void ThreadTeam::await_round(uint32_t seen) {
  if (spin_for([&] { return round_.load(std::memory_order_acquire) != seen; })) return;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (round_.load(std::memory_order_seq_cst) == seen) sleep_while(round_, seen);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

void ThreadTeam::help(int index) {
  uint32_t seen = 0;
  while (!stops_.load(std::memory_order_acquire)) {
    await_round(seen);
    seen = round_.load(std::memory_order_acquire);
    if (!enter_loop()) continue;
    take_tasks(index);
    leave_loop();
  }
}

}  // namespace diabolo::kernels::cpu
