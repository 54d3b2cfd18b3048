// Lanes part at branches and meet again because those at the lowest place run first: where they
// come to a place at which others are, they go on together. What all lanes of a warp or of a mask
// do together (barriers, shuffles, mma) is done when all of them are there; until then those that
// came wait. If all wait and none can go on, they wait for lanes that will not come.
#include "warp.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace ptx {

namespace {

constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();

}  // namespace

Warp::Warp(BlockState& block, unsigned number, uint32_t lanes)
    : block_(block),
      number_(number),
      lanes_(lanes),
      registers_(new (std::align_val_t{64}) uint32_t[size_t{block.program.rows} * 32 + 1]),
      written_(block.program.rows) {
  for (const Constant& constant : block.program.constants) {
    if (constant.is_wide) {
      std::fill_n(row64(constant.row), 32, constant.bits);
    } else {
      std::fill_n(row32(constant.row), 32, static_cast<uint32_t>(constant.bits));
    }
  }
}

void Warp::start() {
  std::fill(written_.begin(), written_.end(), 0);
  state_ = State::kReady;
  elsewhere_.clear();
  now_ = {lanes_, 0, false};
  next_stop_ = kNowhere;
}

void Warp::set_special(Special special, unsigned lane, uint32_t value) {
  row32(block_.program.special_rows[static_cast<size_t>(special)])[lane] = value;
}

Warp::State Warp::run(uint64_t memory_accesses) {
  const Op* ops = block_.program.ops.data();
  while (state_ == State::kReady) {
    if (now_.at >= next_stop_ || now_.mask == 0) reconverge();
    const Op& op = ops[now_.at];
    uint32_t exec = now_.mask;
    if (op.has_guard) exec &= guard(op);
    if (exec == 0) {
      ++now_.at;
      continue;
    }
    check_written(op, exec);
    if (op.flow != Flow::kPlain && !is_done_by_warp(op, exec)) continue;
    op.run(*this, op, exec);
    for (size_t k = 0; k < op.destinations; ++k) written_[op.row[k]] |= exec;
    ++now_.at;
    if (op.touches_memory && --memory_accesses == 0) break;
  }
  return state_;
}

uint32_t Warp::guard(const Op& op) {
  if ((written_[op.guard] & now_.mask) != now_.mask)
    fail(FaultKind::kUndefinedRegister, "its guard was not written");
  const uint32_t value = *row32(op.guard);
  return op.guard_is_negated ? ~value : value;
}

void Warp::check_written(const Op& op, uint32_t exec) {
  for (unsigned left = op.checked; left != 0; left &= left - 1) {
    const int k = std::countr_zero(left);
    const uint32_t missing = exec & ~written_[op.row[static_cast<size_t>(k)]];
    if (missing == 0) continue;
    fail(FaultKind::kUndefinedRegister, "operand " + std::to_string(k) + " was not written",
         std::countr_zero(missing));
  }
}

// True: the lanes of now_ take part, and the op's handler is to run.
bool Warp::is_done_by_warp(const Op& op, uint32_t exec) {
  switch (op.flow) {
    case Flow::kPlain:
      return true;
    case Flow::kBranch:
      part(exec, op.target);
      return false;
    case Flow::kExit:
      part(exec, kNowhere);
      return false;
    case Flow::kBlockBarrier:
    case Flow::kWholeWarp:
    case Flow::kMaskedWarp:
      break;
  }
  if (exec != now_.mask) {  // the others pass by
    go_elsewhere({now_.mask & ~exec, now_.at + 1, false});
    now_.mask = exec;
  }
  if (!is_complete(op, exec)) {
    elsewhere_.push_back({exec, now_.at, true});
    now_ = {};
    return false;
  }
  if (op.flow != Flow::kBlockBarrier) return true;
  state_ = State::kAtBarrier;
  barrier_ = op.immediate;
  ++now_.at;
  return false;
}

void Warp::part(uint32_t exec, uint32_t target) {
  const uint32_t rest = now_.mask & ~exec;
  if (target == kNowhere) {
    check_copies(exec);
  } else if (rest == 0) {
    now_.at = target;
    return;
  } else {
    go_elsewhere({exec, target, false});
  }
  now_.mask = rest;
  ++now_.at;
  if (rest == 0 && elsewhere_.empty()) state_ = State::kDone;
}

void Warp::go_elsewhere(const Lanes& lanes) {
  elsewhere_.push_back(lanes);
  next_stop_ = std::min(next_stop_, lanes.at);
}

void Warp::check_copies(uint32_t exec) {
  for (uint32_t left = exec; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (block_.shared.has_pending(thread(lane)))
      fail(FaultKind::kAsyncNotWaited, "a copy was never waited for", lane);
  }
}

bool Warp::is_complete(const Op& op, uint32_t exec) {
  if (op.flow == Flow::kBlockBarrier) return exec == lanes_;
  if (op.flow == Flow::kWholeWarp) return exec == ~0U;
  const uint32_t* masks = row32(op.row[op.operands - 1U]);
  for (uint32_t left = exec; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const uint32_t mask = masks[lane];
    if ((mask >> lane & 1U) == 0) fail(FaultKind::kWrongMask, "the mask lacks the lane", lane);
    if ((mask & ~exec) != 0) return false;
    for (uint32_t others = mask; others != 0; others &= others - 1) {
      if (masks[std::countr_zero(others)] != mask)
        fail(FaultKind::kWrongMask, "a lane of the mask has another mask", lane);
    }
  }
  return true;
}

void Warp::reconverge() {
  if (now_.mask != 0) elsewhere_.push_back(now_);
  std::sort(elsewhere_.begin(), elsewhere_.end(),
            [](const Lanes& a, const Lanes& b) { return a.at < b.at; });
  std::vector<Lanes> merged;
  for (const Lanes& lanes : elsewhere_) {
    if (merged.empty() || merged.back().at != lanes.at) {
      merged.push_back(lanes);
    } else {
      merged.back().mask |= lanes.mask;
      merged.back().is_waiting = false;  // perhaps all are there now
    }
  }
  elsewhere_ = std::move(merged);
  const auto can_run = [](const Lanes& lanes) { return !lanes.is_waiting; };
  const auto first = std::find_if(elsewhere_.begin(), elsewhere_.end(), can_run);
  if (first == elsewhere_.end()) fail_divergent();
  now_ = *first;
  const auto next = std::find_if(elsewhere_.erase(first), elsewhere_.end(), can_run);
  next_stop_ = next == elsewhere_.end() ? kNowhere : next->at;
}

void Warp::fail_divergent() {
  std::string places;
  uint32_t present = 0;
  for (const Lanes& lanes : elsewhere_) {
    places += "; at '" + block_.program.texts[lanes.at] + "' wait " +
              std::to_string(std::popcount(lanes.mask)) + " lanes";
    present |= lanes.mask;
  }
  now_ = elsewhere_.front();
  fail(FaultKind::kDivergent,
       "lanes wait for others that do not come" + places + "; " +
           std::to_string(32 - std::popcount(present)) + " have exited or are none",
       std::countr_zero(now_.mask));
}

void Warp::fail(FaultKind kind, const std::string& what, int lane) {
  const Program& program = block_.program;
  const size_t at = std::min<size_t>(now_.at, program.ops.size() - 1);
  std::string where = "; line " + std::to_string(program.ops[at].line) + " '" + program.texts[at] +
                      "' of " + program.name + ", block " + std::to_string(block_.number) +
                      ", warp " + std::to_string(number_);
  if (lane >= 0) where += ", lane " + std::to_string(lane);
  throw Fault(kind, std::string(to_string(kind)) + ": " + what + where);
}

const char* to_string(FaultKind kind) {
  switch (kind) {
    case FaultKind::kUnknown:
      return "unknown to the interpreter";
    case FaultKind::kLaunch:
      return "launch";
    case FaultKind::kBounds:
      return "out of bounds";
    case FaultKind::kMisaligned:
      return "misaligned address";
    case FaultKind::kUninitialised:
      return "uninitialised shared memory";
    case FaultKind::kAsyncNotWaited:
      return "asynchronous copy not waited for";
    case FaultKind::kRace:
      return "race";
    case FaultKind::kDivergent:
      return "divergence";
    case FaultKind::kWrongMask:
      return "wrong mask";
    case FaultKind::kUndefinedRegister:
      return "undefined register";
    case FaultKind::kArithmetic:
      return "arithmetic";
  }
  return "fault";
}

}  // namespace ptx
