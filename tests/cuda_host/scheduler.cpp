// A thread runs until it reaches a barrier, a warp collective or an asynchronous wait; then the
// schedule picks the next runnable one. When none is left and not all have exited, somebody waits
// for a thread that will not come: the block is reported with what its threads wait for.
#include "scheduler.h"

#include <algorithm>
#include <cstring>

#include "sanitizer.h"

namespace cuda_host {

BuiltIns built_ins;

namespace {

std::string text(Dim3 d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

}  // namespace

Scheduler& Scheduler::instance() {
  static Scheduler scheduler;
  return scheduler;
}

Scheduler::Scheduler() : fibers_(static_cast<int>(kMaxThreads), thread_body) {}

void Scheduler::set_schedule(const Schedule& schedule) {
  schedule_ = schedule;
}

Moment Scheduler::now() const {
  const auto thread = static_cast<std::uint32_t>(current_);
  return {block_serial_, epoch_, warp_epochs_[thread / 32], thread};
}

std::string Scheduler::where() const {
  if (!running()) return "";
  return " [block " + text(built_ins.block) + ", thread " + text(built_ins.thread) + " of grid " +
         text(built_ins.grid_dim) + " x block " + text(built_ins.block_dim) + ", schedule " +
         describe(schedule_) + "]";
}

std::uint64_t Scheduler::next_random() {  // xorshift64
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_;
}

std::vector<Dim3> Scheduler::block_order(Dim3 grid) {
  std::vector<Dim3> blocks;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) blocks.push_back({x, y, z});
    }
  }
  if (schedule_.order == Schedule::Order::kLifo) std::reverse(blocks.begin(), blocks.end());
  if (schedule_.order == Schedule::Order::kRandom) {
    for (std::size_t i = blocks.size(); i > 1; --i) {
      std::swap(blocks[i - 1], blocks[next_random() % i]);
    }
  }
  return blocks;
}

void Scheduler::run_launch(const LaunchSpec& spec, std::size_t shared_limit_bytes) {
  spec_ = &spec;
  random_state_ = schedule_.seed * 0x9E3779B97F4A7C15ULL + 1;
  built_ins.grid_dim = spec.grid;
  built_ins.block_dim = spec.block;
  thread_count_ = static_cast<int>(spec.block.x * spec.block.y * spec.block.z);
  race_begin_launch(block_serial_ + 1);
  try {
    for (const Dim3 block : block_order(spec.grid)) {
      ++block_serial_;
      shared_.begin_block(spec.dynamic_shared_bytes, shared_limit_bytes);
      run_block(block);
      shared_.end_block();
    }
  } catch (...) {
    fibers_.reset();
    reported_.reset();
    thrown_ = nullptr;
    current_ = -1;
    throw;
  }
}

void Scheduler::start_threads() {
  threads_.resize(static_cast<std::size_t>(thread_count_));
  runnable_.clear();
  const Dim3 shape = spec_->block;
  for (int i = 0; i < thread_count_; ++i) {
    ThreadState& thread = threads_[static_cast<std::size_t>(i)];
    const auto linear = static_cast<unsigned>(i);
    thread.status = ThreadState::Status::kRunnable;
    thread.index = {linear % shape.x, linear / shape.x % shape.y, linear / shape.x / shape.y};
    thread.copies.clear();
    thread.group_ends.clear();
    runnable_.push_back(i);
  }
  warp_epochs_.assign(static_cast<std::size_t>(thread_count_ + 31) / 32, 0);
  waiting_ = 0;
  epoch_ = 0;
}

void Scheduler::run_block(Dim3 block) {
  built_ins.block = block;
  start_threads();
  while (!runnable_.empty()) {
    resume(pick());
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    throw_reported();
  }
  const bool all_exited = std::all_of(threads_.begin(), threads_.end(), [](const ThreadState& t) {
    return t.status == ThreadState::Status::kExited;
  });
  if (!all_exited) report_deadlock();
}

int Scheduler::pick() {
  std::size_t at = 0;
  if (schedule_.order == Schedule::Order::kLifo) at = runnable_.size() - 1;
  if (schedule_.order == Schedule::Order::kRandom) at = next_random() % runnable_.size();
  std::swap(runnable_[at], at == 0 ? runnable_.front() : runnable_.back());
  const int thread = at == 0 ? runnable_.front() : runnable_.back();
  if (at == 0) {
    runnable_.pop_front();
  } else {
    runnable_.pop_back();
  }
  return thread;
}

void Scheduler::resume(int thread) {
  current_ = thread;
  built_ins.thread = me().index;
  fibers_.enter(thread);
  current_ = -1;
}

void Scheduler::suspend() {
  fibers_.leave(current_);
}

void Scheduler::wake(int thread) {
  threads_[static_cast<std::size_t>(thread)].status = ThreadState::Status::kRunnable;
  runnable_.push_back(thread);
}

void Scheduler::thread_body(int) {
  Scheduler& self = instance();
  try {
    self.spec_->body();
    if (!self.me().copies.empty()) {
      fail(BugKind::kAsyncNotWaited,
           "a thread exits with cp.async copies that it never waited for");
    }
  } catch (...) {
    self.thrown_ = std::current_exception();
  }
  self.me().status = ThreadState::Status::kExited;
}

void Scheduler::report_later(BugKind kind, const std::string& what) {
  if (!reported_) reported_.emplace(kind, std::string(to_string(kind)) + ": " + what + where());
}

void Scheduler::throw_reported() {
  if (!reported_) return;
  const Bug bug = *reported_;
  reported_.reset();
  throw bug;
}

void Scheduler::report_deadlock() {
  for (const ThreadState& thread : threads_) {
    if (thread.status != ThreadState::Status::kInCollective) continue;
    fail(BugKind::kWrongMask,
         std::string(thread.collective) + ": lanes that its mask names never came");
  }
  fail(BugKind::kDivergentBarrier, std::to_string(waiting_) + " threads wait at " + barrier_file_ +
                                       ":" + std::to_string(barrier_line_) +
                                       " for threads that exited without passing it");
}

}  // namespace cuda_host
