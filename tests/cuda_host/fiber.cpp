// Boost.Context's jump_fcontext (10 ns a switch) with the annotations that AddressSanitizer needs
// to follow a program from stack to stack.
#include "fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <new>

#include "sanitizer.h"

namespace cuda_host {
namespace {

namespace ctx = boost::context::detail;

constexpr std::size_t kPageBytes = 4096;
// ASan widens frames several times; the largest tile kernel needs about 20 KiB plain.
constexpr std::size_t kStackBytes = 256 * 1024;
constexpr std::size_t kSlotBytes = kStackBytes + kPageBytes;

struct Start {
  FiberPool* pool;
  int index;
};
Start starting;

}  // namespace

struct FiberEntry {
  static void run(ctx::transfer_t from) {
    FiberPool& pool = *starting.pool;
    const int index = starting.index;
    pool.scheduler_context_ = from.fctx;
    finish_switch(nullptr, &pool.scheduler_stack_, &pool.scheduler_stack_bytes_);
    for (;;) {
      pool.body_(index);
      pool.leave(index);
    }
  }
};

FiberPool::FiberPool(int count, Body body) : fibers_(static_cast<std::size_t>(count)), body_(body) {
  stacks_bytes_ = kSlotBytes * fibers_.size();
  void* memory = mmap(nullptr, stacks_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stacks_ = static_cast<unsigned char*>(memory);
  for (int i = 0; i < count; ++i) mprotect(stack_bottom(i) - kPageBytes, kPageBytes, PROT_NONE);
}

FiberPool::~FiberPool() {
  unpoison(stacks_, stacks_bytes_);
  munmap(stacks_, stacks_bytes_);
}

unsigned char* FiberPool::stack_bottom(int index) const {
  return stacks_ + kSlotBytes * static_cast<std::size_t>(index) + kPageBytes;
}

void FiberPool::create(int index) {
  unsigned char* bottom = stack_bottom(index);
  unpoison(bottom, kStackBytes);
  fibers_[static_cast<std::size_t>(index)] = {
      ctx::make_fcontext(bottom + kStackBytes, kStackBytes, FiberEntry::run), nullptr};
}

void FiberPool::enter(int index) {
  Fiber& fiber = fibers_[static_cast<std::size_t>(index)];
  if (fiber.context == nullptr) create(index);
  starting = {this, index};
  start_switch(&scheduler_fake_stack_, stack_bottom(index), kStackBytes);
  const ctx::transfer_t back = ctx::jump_fcontext(fiber.context, nullptr);
  finish_switch(scheduler_fake_stack_, nullptr, nullptr);
  fiber.context = back.fctx;
}

void FiberPool::leave(int index) {
  Fiber& fiber = fibers_[static_cast<std::size_t>(index)];
  start_switch(&fiber.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
  const ctx::transfer_t back = ctx::jump_fcontext(scheduler_context_, nullptr);
  finish_switch(fiber.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
  scheduler_context_ = back.fctx;
}

void FiberPool::reset() {
  for (Fiber& fiber : fibers_) fiber = {};
}

bool FiberPool::on_a_stack(const void* address) const {
  const auto* p = static_cast<const unsigned char*>(address);
  return p >= stacks_ && p < stacks_ + stacks_bytes_;
}

}  // namespace cuda_host
