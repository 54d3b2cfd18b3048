// One warp: its registers, where its lanes are, and the loop that runs them.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "memory.h"
#include "program.h"

namespace ptx {

// What the warps of a block share.
struct BlockState {
  const Program& program;
  GlobalMemory& global;
  SharedMemory& shared;
  const std::vector<unsigned char>& parameters;
  uint64_t number = 0;  // of the block, for messages
};

// Lanes that are at one place; those that wait for others there have arrived at what they wait for.
struct Lanes {
  uint32_t mask = 0;
  uint32_t at = 0;
  bool is_waiting = false;
};

class Warp {
 public:
  enum class State { kReady, kAtBarrier, kDone };

  Warp(BlockState& block, unsigned number, uint32_t lanes);

  // At the kernel's begin again, nothing in the registers; special registers are the caller's to
  // set.
  void start();
  void set_special(Special special, unsigned lane, uint32_t value);

  // Runs until a barrier of the block, the end, or `memory_accesses` instructions that touch
  // memory.
  State run(uint64_t memory_accesses);
  State state() const { return state_; }
  uint32_t barrier() const { return barrier_; }
  void pass_barrier() { state_ = State::kReady; }

  uint32_t* row32(uint32_t row) { return registers_.get() + size_t{row} * 32; }
  uint64_t* row64(uint32_t row) { return reinterpret_cast<uint64_t*>(row32(row)); }
  // A predicate operand, negated if the operand is.
  uint32_t predicate(const Op& op, int operand) {
    const uint32_t value = *row32(op.row[static_cast<size_t>(operand)]);
    return (op.negated >> operand & 1U) != 0 ? ~value : value;
  }
  // `k`: which of the op's addresses; it is operand `operand`.
  uint64_t address(const Op& op, int operand, int k, int lane) {
    const uint32_t row = op.row[static_cast<size_t>(operand)];
    const uint64_t base = op.has_wide_address[k] ? row64(row)[lane] : row32(row)[lane];
    return base + static_cast<uint64_t>(op.offset[k]);
  }

  BlockState& block() { return block_; }
  unsigned thread(int lane) const { return number_ * 32 + static_cast<unsigned>(lane); }
  unsigned number() const { return number_; }
  [[noreturn]] void fail(FaultKind kind, const std::string& what, int lane = -1);

 private:
  uint32_t guard(const Op& op);
  void check_written(const Op& op, uint32_t exec);
  bool is_done_by_warp(const Op& op, uint32_t exec);
  void part(uint32_t exec, uint32_t target);  // some lanes go to another place
  void go_elsewhere(const Lanes& lanes);
  void check_copies(uint32_t exec);
  bool is_complete(const Op& op, uint32_t exec);
  void reconverge();
  [[noreturn]] void fail_divergent();

  BlockState& block_;
  unsigned number_;
  uint32_t lanes_;  // that the warp has
  struct Free {
    void operator()(uint32_t* words) const { ::operator delete[](words, std::align_val_t{64}); }
  };
  std::unique_ptr<uint32_t[], Free> registers_;
  std::vector<uint32_t> written_;  // by row: the lanes that did
  State state_ = State::kReady;
  uint32_t barrier_ = 0;
  Lanes now_;  // the ones that run
  std::vector<Lanes> elsewhere_;
  uint32_t next_stop_ = 0;  // the lowest place of lanes that could run
};

}  // namespace ptx
