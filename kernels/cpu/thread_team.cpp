#include "kernels/cpu/thread_team.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>

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

// glibc gives a thread a heap of its own, 64 MiB of address space, at its first allocation. It takes
// it here, and not between the moment when a kernel finds enough for itself and the one when it
// takes that (product_onednn.cpp).
void make_heap() {
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
  std::atomic<int> without_heap{std::max(0, threads - 1)};
  try {
    for (int index = 1; index < threads; ++index) {
      helpers_.emplace_back([this, index, &without_heap] {
        make_heap();
        without_heap.fetch_sub(1, std::memory_order_release);
        enter_(index);
        help(index);
      });
    }
    while (without_heap.load(std::memory_order_acquire) > 0) std::this_thread::yield();
  } catch (...) {
    stops_ = true;
    round_.fetch_add(1);
    wake(round_, INT_MAX);
    for (std::thread& helper : helpers_) helper.join();
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
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
