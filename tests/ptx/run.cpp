#include "run.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <random>

#include "warp.h"

namespace ptx {

namespace {

[[noreturn]] void refuse_launch(const Launch& launch, const std::string& what) {
  throw Fault(FaultKind::kLaunch, std::string(to_string(FaultKind::kLaunch)) + " of " +
                                      launch.program->name + ": " + what);
}

void check(const Launch& launch) {
  const Program& program = *launch.program;
  const uint32_t block[3] = {launch.block.x, launch.block.y, launch.block.z};
  for (int axis = 0; axis < 3; ++axis) {
    if (program.most_threads[axis] != 0 && block[axis] > program.most_threads[axis])
      refuse_launch(launch, std::to_string(block[axis]) + " threads along an axis; .maxntid says " +
                                std::to_string(program.most_threads[axis]));
  }
  if (launch.block.count() == 0 || launch.block.count() > 1024 || launch.grid.count() == 0)
    refuse_launch(launch, "an empty grid, an empty block or one of more than 1024 threads");
  if (launch.parameters.size() != program.parameter_bytes)
    refuse_launch(launch, std::to_string(launch.parameters.size()) +
                              " bytes of parameters; it has " +
                              std::to_string(program.parameter_bytes));
}

// The warps of one block at a time.
class Grid {
 public:
  Grid(const Launch& launch, GlobalMemory& global)
      : launch_(launch),
        threads_(static_cast<uint32_t>(launch.block.count())),
        shared_(launch.program->static_shared_bytes + launch.dynamic_shared_bytes, threads_,
                launch.program->shared_cell_bytes),
        state_{*launch.program, global, shared_, launch.parameters},
        random_(launch.seed) {
    for (uint32_t first = 0; first < threads_; first += 32) {
      const uint32_t lanes = threads_ - first < 32 ? (1U << (threads_ - first)) - 1 : ~0U;
      warps_.push_back(std::make_unique<Warp>(state_, first / 32, lanes));
      set_thread_specials(*warps_.back(), first);
    }
    order_.resize(warps_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    if (launch.order == Order::kReverse) std::reverse(order_.begin(), order_.end());
  }

  void run() {
    const uint64_t blocks = launch_.grid.count();
    if (launch_.order == Order::kForward) {
      for (uint64_t block = 0; block < blocks; ++block) run_block(block);
    } else if (launch_.order == Order::kReverse) {
      for (uint64_t block = blocks; block-- > 0;) run_block(block);
    } else {
      std::vector<uint64_t> numbers(blocks);
      std::iota(numbers.begin(), numbers.end(), uint64_t{0});
      std::shuffle(numbers.begin(), numbers.end(), random_);
      for (const uint64_t block : numbers) run_block(block);
    }
  }

 private:
  void set_thread_specials(Warp& warp, uint32_t first) {
    for (uint32_t lane = 0; lane < 32; ++lane) {
      const uint32_t thread = first + lane, x = launch_.block.x, y = launch_.block.y;
      warp.set_special(Special::kTidX, lane, thread % x);
      warp.set_special(Special::kTidY, lane, thread / x % y);
      warp.set_special(Special::kTidZ, lane, thread / x / y);
      warp.set_special(Special::kNtidX, lane, launch_.block.x);
      warp.set_special(Special::kNtidY, lane, launch_.block.y);
      warp.set_special(Special::kNtidZ, lane, launch_.block.z);
      warp.set_special(Special::kNctaidX, lane, launch_.grid.x);
      warp.set_special(Special::kNctaidY, lane, launch_.grid.y);
      warp.set_special(Special::kNctaidZ, lane, launch_.grid.z);
      warp.set_special(Special::kLaneid, lane, lane);
      warp.set_special(Special::kLaneMaskLt, lane, (1U << lane) - 1);
    }
  }

  void start_block(uint64_t number) {
    state_.number = number;
    shared_.start_block();
    const uint64_t x = launch_.grid.x, y = launch_.grid.y;
    for (const auto& warp : warps_) {
      warp->start();
      for (uint32_t lane = 0; lane < 32; ++lane) {
        warp->set_special(Special::kCtaidX, lane, static_cast<uint32_t>(number % x));
        warp->set_special(Special::kCtaidY, lane, static_cast<uint32_t>(number / x % y));
        warp->set_special(Special::kCtaidZ, lane, static_cast<uint32_t>(number / x / y));
      }
    }
  }

  void run_block(uint64_t number) {
    start_block(number);
    while (true) {
      run_to_barrier();
      if (!pass_barrier()) return;
    }
  }

  void run_to_barrier() {
    if (launch_.order != Order::kRandom) {
      for (const size_t k : order_) warps_[k]->run(std::numeric_limits<uint64_t>::max());
      return;
    }
    std::vector<size_t> ready = order_;
    while (!ready.empty()) {
      const size_t at = random_() % ready.size();
      if (warps_[ready[at]]->run(1 + random_() % 32) == Warp::State::kReady) continue;
      ready[at] = ready.back();
      ready.pop_back();
    }
  }

  // False: all warps have ended.
  bool pass_barrier() {
    const auto ended = [](const auto& warp) { return warp->state() == Warp::State::kDone; };
    const auto is_done = std::find_if(warps_.begin(), warps_.end(), ended);
    const auto waits = std::find_if_not(warps_.begin(), warps_.end(), ended);
    if (waits == warps_.end()) return false;
    if (is_done != warps_.end())
      (*waits)->fail(FaultKind::kDivergent,
                     "before this place a warp waits at a barrier, and warp " +
                         std::to_string((*is_done)->number()) + " has exited");
    for (const auto& warp : warps_) {
      if (warp->barrier() != warps_.front()->barrier())
        warp->fail(FaultKind::kDivergent, "before this place warps wait at different barriers");
    }
    for (const auto& warp : warps_) warp->pass_barrier();
    shared_.order_block();
    return true;
  }

  const Launch& launch_;
  uint32_t threads_;
  SharedMemory shared_;
  BlockState state_;
  std::vector<std::unique_ptr<Warp>> warps_;
  std::vector<size_t> order_;
  std::mt19937_64 random_;
};

}  // namespace

void run(const Launch& launch, GlobalMemory& global) {
  check(launch);
  Grid(launch, global).run();
}

}  // namespace ptx
