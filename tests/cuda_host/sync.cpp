// Barriers, warp collectives and asynchronous copies of the scheduler.
#include <cstring>

#include "sanitizer.h"
#include "scheduler.h"

namespace cuda_host {

ThreadState& Scheduler::lane(unsigned lane_index) {
  const unsigned warp_begin = static_cast<unsigned>(current_) / 32U * 32U;
  return threads_[warp_begin + lane_index];
}

void Scheduler::barrier_block(const char* file, int line) {
  if (waiting_ == 0) {
    barrier_file_ = file;
    barrier_line_ = line;
  }
  if (barrier_line_ != line || std::strcmp(barrier_file_, file) != 0) {
    const auto site = [](const char* f, int l) { return std::string(f) + ":" + std::to_string(l); };
    fail(BugKind::kDivergentBarrier, "threads of one block wait at " +
                                         site(barrier_file_, barrier_line_) + " and at " +
                                         site(file, line));
  }
  me().status = ThreadState::Status::kAtBarrier;
  if (++waiting_ == thread_count_) release_barrier();
  suspend();
}

void Scheduler::release_barrier() {
  waiting_ = 0;
  ++epoch_;
  for (int i = 0; i < thread_count_; ++i) wake(i);
}

void Scheduler::check_collective(const char* what, unsigned mask) {
  const unsigned my_lane = current_lane();
  const auto warp_begin = static_cast<int>(static_cast<unsigned>(current_) - my_lane);
  if ((mask >> my_lane & 1U) == 0) {
    fail(BugKind::kWrongMask, std::string(what) + ": the mask does not name the calling lane");
  }
  for (unsigned i = 0; i < 32; ++i) {
    const bool exists = warp_begin + static_cast<int>(i) < thread_count_;
    if (!exists && (mask >> i & 1U) != 0) {
      fail(BugKind::kWrongMask, std::string(what) + ": the mask names a lane that does not exist");
    }
    if (!exists || lane(i).status != ThreadState::Status::kInCollective) continue;
    const ThreadState& other = lane(i);
    // Each waits for the other: they must wait for the same thing.
    const bool is_mutual = (other.mask >> my_lane & 1U) != 0 && (mask >> i & 1U) != 0;
    if (is_mutual && other.mask != mask) {
      fail(BugKind::kWrongMask, std::string(what) + ": lanes of one warp gave different masks");
    }
    if (is_mutual && std::strcmp(other.collective, what) != 0) {
      fail(BugKind::kDivergentBarrier,
           std::string("lanes of one warp wait at ") + other.collective + " and at " + what);
    }
  }
}

bool Scheduler::all_arrived(unsigned mask) {
  for (unsigned i = 0; i < 32; ++i) {
    if ((mask >> i & 1U) == 0) continue;
    const ThreadState& thread = lane(i);
    if (thread.status != ThreadState::Status::kInCollective || thread.mask != mask) return false;
  }
  return true;
}

void Scheduler::finish_collective(unsigned mask, Finish finish) {
  const void* in[32] = {};
  void* out[32] = {};
  const int warp_begin = current_ / 32 * 32;
  for (unsigned i = 0; i < 32; ++i) {
    if ((mask >> i & 1U) == 0) continue;
    in[i] = lane(i).in;
    out[i] = lane(i).out;
    wake(warp_begin + static_cast<int>(i));
  }
  if (finish != nullptr) finish(mask, in, out);
}

void Scheduler::collective(const char* what, unsigned mask, const void* in, void* out,
                           Finish finish) {
  check_collective(what, mask);
  ThreadState& self = me();
  self.collective = what;
  self.mask = mask;
  self.in = in;
  self.out = out;
  self.status = ThreadState::Status::kInCollective;
  if (all_arrived(mask)) finish_collective(mask, finish);
  suspend();
}

void Scheduler::barrier_warp(unsigned mask) {
  // The last lane to come moves the epoch of the whole warp. Lanes outside the mask are then taken
  // to be ordered too, which can hide a race but never invents one.
  collective("__syncwarp", mask, nullptr, nullptr, [](unsigned, const void* const*, void* const*) {
    Scheduler& scheduler = instance();
    ++scheduler.warp_epochs_[static_cast<std::size_t>(scheduler.current_) / 32];
  });
}

void Scheduler::copy_async(const AsyncCopy& copy) {
  const auto bytes = static_cast<std::size_t>(copy.bytes);
  require_aligned(copy.dst, bytes, "cp_async destination");
  require_aligned(copy.src, bytes, "cp_async source");
  if (!shared_.allocated(copy.dst, bytes)) {
    fail(BugKind::kSharedOverrun, "cp_async writes outside the block's shared memory");
  }
  race_write(copy.dst, bytes);
  std::memset(copy.dst, 0xFF, bytes);
  race_set_in_flight(copy.dst, bytes, true);
  if (bytes >= 8) poison(copy.dst, bytes);  // ASan's granule is 8 bytes; below that the value tells
  me().copies.push_back(copy);
}

void Scheduler::copy_async_commit() {
  me().group_ends.push_back(me().copies.size());
}

void Scheduler::copy_async_wait(int pending_groups) {
  wake(current_);
  suspend();
  auto& ends = me().group_ends;
  auto& copies = me().copies;
  const auto pending = static_cast<std::size_t>(pending_groups);
  if (ends.size() <= pending) return;
  const std::size_t done_groups = ends.size() - pending;
  const std::size_t done = ends[done_groups - 1];
  for (std::size_t i = 0; i < done; ++i) complete(copies[i]);
  copies.erase(copies.begin(), copies.begin() + static_cast<std::ptrdiff_t>(done));
  ends.erase(ends.begin(), ends.begin() + static_cast<std::ptrdiff_t>(done_groups));
  for (std::size_t& end : ends) end -= done;
}

void Scheduler::complete(const AsyncCopy& copy) {
  const auto bytes = static_cast<std::size_t>(copy.bytes);
  const auto valid = static_cast<std::size_t>(copy.valid_bytes);
  if (bytes >= 8) unpoison(copy.dst, bytes);
  race_set_in_flight(copy.dst, bytes, false);
  race_write(copy.dst, bytes);
  race_read(copy.src, valid);
  std::memcpy(copy.dst, copy.src, valid);
  std::memset(copy.dst + valid, 0, bytes - valid);
}

}  // namespace cuda_host
