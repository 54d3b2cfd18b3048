// The memories that a kernel can touch.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "fault.h"

namespace ptx {

// What is wrong with an access.
struct Complaint {
  FaultKind kind;
  std::string what;
};

// One live allocation that kernels may touch.
struct Range {
  uintptr_t begin = 0, end = 0;
  bool holds(uint64_t at, uint64_t bytes) const {
    return at >= begin && at < end && bytes <= end - at;
  }
};

// Global memory: what the runtime has given out.
class GlobalMemory {
 public:
  explicit GlobalMemory(std::vector<Range> sorted) : ranges_(std::move(sorted)) {}

  bool holds(uint64_t at, uint64_t bytes) {
    return (last_ != nullptr && last_->holds(at, bytes)) || find(at, bytes);
  }

 private:
  bool find(uint64_t at, uint64_t bytes);

  std::vector<Range> ranges_;
  const Range* last_ = nullptr;
};

// The shared memory of one block. Of every cell it knows who wrote and who read it last, and when:
// a thread's access conflicts with another's if no barrier of the block, or of the warp that both
// belong to, came between. (Of readers the last one is known, and the last one of another warp.)
class SharedMemory {
 public:
  // `cell_bytes`: 1, 2 or 4, the smallest access that the kernel makes.
  SharedMemory(uint64_t bytes, unsigned threads, unsigned cell_bytes);

  void start_block();
  void order_block();                               // a barrier of the block
  void order_lanes(unsigned warp, uint32_t lanes);  // a barrier of lanes of a warp

  // `at` is an address of the shared space. Nothing: nothing is wrong.
  std::optional<Complaint> read(unsigned thread, uint64_t at, void* to, uint64_t bytes);
  std::optional<Complaint> write(unsigned thread, uint64_t at, const void* from, uint64_t bytes);

  // cp.async: the bytes arrive when the thread has waited for their group.
  std::optional<Complaint> copy_async(unsigned thread, uint64_t at, const void* from,
                                      uint64_t bytes);
  void commit(unsigned thread);
  void wait(unsigned thread, size_t pending_groups);
  bool has_pending(unsigned thread) const;

 private:
  // When (high bits) and who (low bits); 0: never.
  using Tag = uint32_t;
  static constexpr unsigned kThreadBits = 10;
  static constexpr Tag kThread = (1U << kThreadBits) - 1, kWarp = kThread & ~31U;
  static constexpr Tag kPending = ~0U;  // in written_: a copy is on its way
  struct Copy {
    uint64_t at = 0;
    uint32_t bytes = 0;
    unsigned char data[16] = {};
  };
  struct Copies {
    std::deque<std::vector<Copy>> groups;
    std::vector<Copy> open;
  };

  bool is_legal(uint64_t at, uint64_t bytes) const;
  Complaint illegal(uint64_t at, uint64_t bytes) const;
  Tag tag(unsigned thread) const { return now_ << kThreadBits | thread; }
  bool conflicts(Tag before, unsigned thread) const;
  void tick();
  void note_read(unsigned thread, uint64_t cell, uint64_t cells);
  std::optional<Complaint> may_read(unsigned thread, uint64_t cell, uint64_t cells) const;
  std::optional<Complaint> may_write(unsigned thread, uint64_t cell, uint64_t cells) const;
  uint64_t cells_of(uint64_t bytes) const;
  std::string address(uint64_t cell) const;
  Complaint conflict(const char* what, uint64_t cell, Tag before) const;

  std::vector<unsigned char> data_;
  unsigned cell_shift_;
  std::vector<Tag> written_, read_, read_elsewhere_;  // by cell
  std::vector<Copies> copies_;                        // by thread
  // By warp, lane and other lane: since when what the other did is in order with the lane. None for
  // a warp whose barriers were all of the block.
  std::vector<std::vector<Tag>> lane_order_;
  Tag block_order_ = 0;  // the tags before it are settled
  Tag now_ = 0;
};

}  // namespace ptx
