// The race detector. The .cu files are compiled with -fsanitize=thread, which puts a call in front
// of every load and store; instead of the TSan runtime these hooks answer. For each byte they keep
// who wrote it, who read it last and which other thread and other block did before, and when in the
// order that barriers make. Two touches of one byte by different threads, one of them a write, are
// a race
//   - inside a block: in one __syncthreads epoch, unless both are of one warp and of different
//     __syncwarp epochs;
//   - between blocks of one launch, unless the one handed its touch on: it arrived at a word after
//     it (in the same thread, or behind a barrier), and the other arrived there later and then
//     touches (again in that thread, or behind a barrier). What a block knows of others it hands on
//     too.
// Linked only into the race build (DIABOLO_HARNESS_RACE).
#include "race.h"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "scheduler.h"

namespace cuda_host {
namespace {

constexpr std::uintptr_t kPageBytes = 4096;

struct ByteShadow {
  Moment write;
  Moment read;        // the last
  Moment other_read;  // the last by a thread other than that of `read`
  Moment block_read;  // the last by a block other than that of `read`
};
struct Page {
  ByteShadow bytes[kPageBytes];
  std::uint32_t in_flight[kPageBytes];  // serial number of the block that copies there, else 0
};

std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;
std::uintptr_t last_number = 0;
Page* last_page = nullptr;
std::uint32_t first_block_of_launch = 1;

Page& page_of(std::uintptr_t address) {
  const std::uintptr_t number = address / kPageBytes;
  if (last_page != nullptr && number == last_number) return *last_page;
  auto& page = pages[number];
  if (!page) page = std::make_unique<Page>();
  last_number = number;
  last_page = page.get();
  return *last_page;
}

// What a block hands on at a word: touches of block `block` before `until`, a moment of its own.
// Whoever has it, has it since `since`: in that thread at once, in others behind a barrier.
struct HandedOn {
  Moment until;
  Moment since;
};
using Known = std::map<std::uint32_t, HandedOn>;  // by block
std::map<const void*, Known> known_at_word;
Known known_here;  // to the running block
std::uint32_t running_block = 0;

// In the order of one block: same thread, or a barrier between.
bool comes_before(const Moment& a, const Moment& b) {
  return a.epoch < b.epoch || (a.epoch == b.epoch && a.thread == b.thread);
}

Known& known_to(std::uint32_t block) {
  if (block != running_block) known_here.clear();
  running_block = block;
  return known_here;
}

bool is_handed_on(const Moment& before, const Moment& now) {
  const Known& known = known_to(now.block);
  const auto found = known.find(before.block);
  return found != known.end() && comes_before(before, found->second.until) &&
         comes_before(found->second.since, now);
}

bool conflict(const Moment& before, const Moment& now, bool shared) {
  if (before.block < first_block_of_launch) return false;
  if (before.block != now.block) return !shared && !is_handed_on(before, now);
  if (before.thread == now.thread || before.epoch != now.epoch) return false;
  return before.thread / 32 != now.thread / 32 || before.warp_epoch == now.warp_epoch;
}

std::string describe_race(const char* what, const Moment& before, const Moment& now) {
  std::string other = "thread " + std::to_string(before.thread);
  if (before.block != now.block) {
    other += " of block number " + std::to_string(before.block - first_block_of_launch);
  }
  return std::string(what) + " with " + other + "; this is thread " + std::to_string(now.thread);
}

void check(const char* what, const Moment& before, const Moment& now, bool shared) {
  if (!conflict(before, now, shared)) return;
  Scheduler::instance().report_later(BugKind::kRace, describe_race(what, before, now));
}

void note_read(ByteShadow& byte, const Moment& now, bool shared) {
  check("a read races with a write", byte.write, now, shared);
  if (byte.read.thread != now.thread || byte.read.block != now.block) byte.other_read = byte.read;
  if (byte.read.block != now.block) byte.block_read = byte.read;
  byte.read = now;
}

void note_write(ByteShadow& byte, const Moment& now, bool shared) {
  check("two writes race", byte.write, now, shared);
  check("a write races with a read", byte.read, now, shared);
  check("a write races with a read", byte.other_read, now, shared);
  check("a write races with a read", byte.block_read, now, shared);
  byte.write = now;
}

bool check_shared(const void* address, std::size_t bytes) {
  Scheduler& scheduler = Scheduler::instance();
  if (!scheduler.shared().contains(address)) return false;
  if (!scheduler.shared().allocated(address, bytes)) {
    scheduler.report_later(BugKind::kSharedOverrun, "an access outside the block's shared arrays");
  }
  return true;
}

void touch(const void* address, std::size_t bytes, bool write) {
  Scheduler& scheduler = Scheduler::instance();
  if (!scheduler.running() || scheduler.on_a_stack(address)) return;
  const bool shared = check_shared(address, bytes);
  const Moment now = scheduler.now();
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  for (std::uintptr_t at = begin; at < begin + bytes; ++at) {
    Page& page = page_of(at);
    ByteShadow& byte = page.bytes[at % kPageBytes];
    if (shared && page.in_flight[at % kPageBytes] == now.block) {
      scheduler.report_later(BugKind::kAsyncNotWaited, "a cp.async destination before its wait");
    }
    if (shared && !write && byte.write.block != now.block) {
      scheduler.report_later(BugKind::kUninitialised, "a read of bytes that no thread wrote");
    }
    if (write) {
      note_write(byte, now, shared);
    } else {
      note_read(byte, now, shared);
    }
  }
}

}  // namespace

void race_begin_launch(std::uint32_t first_block) {
  first_block_of_launch = first_block;
  known_at_word.clear();
}

void race_arrive(const void* word) {
  const Moment now = Scheduler::instance().now();
  Known& here = known_to(now.block);
  Known& there = known_at_word[word];
  for (const auto& [block, handed_on] : there) {
    const auto [known, is_new] = here.try_emplace(block, handed_on.until, now);
    if (!is_new && known->second.until.epoch < handed_on.until.epoch)
      known->second = {handed_on.until, now};
  }
  there[now.block] = {now, now};
  for (const auto& [block, known] : here) {
    if (block != now.block && comes_before(known.since, now)) there[block] = known;
  }
}

void race_read(const void* address, std::size_t bytes) {
  touch(address, bytes, false);
}

void race_write(const void* address, std::size_t bytes) {
  touch(address, bytes, true);
}

void race_set_in_flight(const void* address, std::size_t bytes, bool in_flight) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const std::uint32_t block = Scheduler::instance().now().block;
  for (std::uintptr_t at = begin; at < begin + bytes; ++at) {
    page_of(at).in_flight[at % kPageBytes] = in_flight ? block : 0;
  }
}

}  // namespace cuda_host

// What the compiler calls. The names are the compiler's.
#define DIABOLO_TSAN_HOOKS(size)               \
  void __tsan_read##size(void* p) {            \
    cuda_host::race_read(p, size);             \
  }                                            \
  void __tsan_write##size(void* p) {           \
    cuda_host::race_write(p, size);            \
  }                                            \
  void __tsan_unaligned_read##size(void* p) {  \
    cuda_host::race_read(p, size);             \
  }                                            \
  void __tsan_unaligned_write##size(void* p) { \
    cuda_host::race_write(p, size);            \
  }                                            \
  void __tsan_volatile_read##size(void* p) {   \
    cuda_host::race_read(p, size);             \
  }                                            \
  void __tsan_volatile_write##size(void* p) {  \
    cuda_host::race_write(p, size);            \
  }

extern "C" {
DIABOLO_TSAN_HOOKS(1)
DIABOLO_TSAN_HOOKS(2)
DIABOLO_TSAN_HOOKS(4)
DIABOLO_TSAN_HOOKS(8)
DIABOLO_TSAN_HOOKS(16)
void __tsan_read_range(void* p, unsigned long bytes) {
  cuda_host::race_read(p, bytes);
}
void __tsan_write_range(void* p, unsigned long bytes) {
  cuda_host::race_write(p, bytes);
}
void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
