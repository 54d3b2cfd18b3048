// A stack with a guard page that runs one function at a time and can be switched to and from.
#pragma once

#include <cstddef>
#include <vector>

namespace cuda_host {

// All fibers' stacks lie in one mapping, so that "is this a stack address" is one comparison.
class FiberPool {
 public:
  using Body = void (*)(int fiber);

  FiberPool(int count, Body body);
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  // From the scheduler: runs fiber `index` until it calls `leave`. A fiber that ended its body
  // starts it again at the next call.
  void enter(int index);
  // From a fiber: back to the scheduler.
  void leave(int index);
  // Forgets the state of every fiber (a launch was given up in the middle).
  void reset();

  bool on_a_stack(const void* address) const;

 private:
  struct Fiber {
    void* context = nullptr;
    void* fake_stack = nullptr;
  };
  unsigned char* stack_bottom(int index) const;
  void create(int index);

  unsigned char* stacks_ = nullptr;
  std::size_t stacks_bytes_ = 0;
  std::vector<Fiber> fibers_;
  Body body_;
  void* scheduler_context_ = nullptr;
  void* scheduler_fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;

  friend struct FiberEntry;
};

}  // namespace cuda_host
