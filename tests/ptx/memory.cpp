#include "memory.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "program.h"

namespace ptx {

bool GlobalMemory::find(uint64_t at, uint64_t bytes) {
  const auto is_before = [](uint64_t a, const Range& range) { return a < range.begin; };
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), at, is_before);
  if (after == ranges_.begin() || !std::prev(after)->holds(at, bytes)) return false;
  last_ = &*std::prev(after);
  return true;
}

SharedMemory::SharedMemory(uint64_t bytes, unsigned threads, unsigned cell_bytes)
    : data_(bytes),
      cell_shift_(static_cast<unsigned>(std::countr_zero(cell_bytes))),
      copies_(threads),
      lane_order_((threads + 31) / 32) {
  const uint64_t cells = (bytes + cell_bytes - 1) / cell_bytes;
  for (std::vector<Tag>* tags : {&written_, &read_, &read_elsewhere_}) tags->resize(cells);
}

void SharedMemory::start_block() {
  std::fill(data_.begin(), data_.end(), static_cast<unsigned char>(0xFF));
  for (std::vector<Tag>* tags : {&written_, &read_, &read_elsewhere_})
    std::fill(tags->begin(), tags->end(), 0);
  for (Copies& copies : copies_) copies = {};
  for (std::vector<Tag>& order : lane_order_) order.clear();
  now_ = 0;
  order_block();
}

void SharedMemory::tick() {
  if (++now_ >> (32 - kThreadBits) != 0)
    throw Fault(FaultKind::kUnknown, "a block with more barriers than the interpreter counts");
}

void SharedMemory::order_block() {
  tick();
  block_order_ = tag(0);  // later than all that lane_order_ holds
}

// Each lane now knows what every other of them knew, and what these did themselves.
void SharedMemory::order_lanes(unsigned warp, uint32_t lanes) {
  tick();
  std::vector<Tag>& order = lane_order_[warp];
  order.resize(32 * 32);
  Tag known[32] = {};
  for (unsigned other = 0; other < 32; ++other) {
    if ((lanes >> other & 1U) != 0) known[other] = tag(0);
    for (unsigned lane = 0; lane < 32; ++lane)
      if ((lanes >> lane & 1U) != 0)
        known[other] = std::max(known[other], order[lane * 32 + other]);
  }
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((lanes >> lane & 1U) != 0) std::copy_n(known, 32, &order[lane * 32]);
}

bool SharedMemory::is_legal(uint64_t at, uint64_t bytes) const {
  return at >= kSharedBegin && at - kSharedBegin <= data_.size() &&
         bytes <= data_.size() - (at - kSharedBegin) && at % bytes == 0;
}

Complaint SharedMemory::illegal(uint64_t at, uint64_t bytes) const {
  const std::string access =
      std::to_string(bytes) + " bytes at shared address " + std::to_string(at);
  if (at % bytes != 0) return {FaultKind::kMisaligned, access};
  return {FaultKind::kBounds, access + "; the block has " + std::to_string(kSharedBegin) + " to " +
                                  std::to_string(kSharedBegin + data_.size())};
}

// An access smaller than a cell would be checked nowhere.
uint64_t SharedMemory::cells_of(uint64_t bytes) const {
  if (bytes >> cell_shift_ == 0)
    throw Fault(FaultKind::kUnknown, "an access smaller than the decoder's cells of shared memory");
  return bytes >> cell_shift_;
}

std::string SharedMemory::address(uint64_t cell) const {
  return "shared address " + std::to_string(kSharedBegin + (cell << cell_shift_));
}

Complaint SharedMemory::conflict(const char* what, uint64_t cell, Tag before) const {
  return {FaultKind::kRace, address(cell) + " was " + what + " by thread " +
                                std::to_string(before & kThread) + " with no barrier between"};
}

bool SharedMemory::conflicts(Tag before, unsigned thread) const {
  if (before < block_order_ || ((before ^ thread) & kThread) == 0) return false;
  const bool is_same_warp = ((before ^ thread) & kWarp) == 0;
  const std::vector<Tag>& order = lane_order_[thread / 32];
  return !is_same_warp || order.empty() || before >= order[thread % 32 * 32 + (before & 31)];
}

std::optional<Complaint> SharedMemory::may_read(unsigned thread, uint64_t cell,
                                                uint64_t cells) const {
  Tag is_unsettled = 0;
  for (uint64_t k = cell; k < cell + cells; ++k)
    is_unsettled |= written_[k] - 1 >= block_order_ - 1 ? 1U : 0U;
  if (is_unsettled == 0) return std::nullopt;
  for (uint64_t k = cell; k < cell + cells; ++k) {
    if (written_[k] == kPending)
      return Complaint{FaultKind::kAsyncNotWaited, address(k) + " is read before its copy's wait"};
    if (written_[k] == 0)
      return Complaint{FaultKind::kUninitialised, address(k) + " was never written"};
    if (conflicts(written_[k], thread)) return conflict("written", k, written_[k]);
  }
  return std::nullopt;
}

void SharedMemory::note_read(unsigned thread, uint64_t cell, uint64_t cells) {
  const Tag mine = tag(thread);
  for (uint64_t k = cell; k < cell + cells; ++k) {
    const bool was_elsewhere = read_[k] >= block_order_ && ((read_[k] ^ mine) & kWarp) != 0;
    read_elsewhere_[k] = was_elsewhere ? read_[k] : read_elsewhere_[k];
    read_[k] = mine;
  }
}

std::optional<Complaint> SharedMemory::may_write(unsigned thread, uint64_t cell,
                                                 uint64_t cells) const {
  Tag is_unsettled = 0;
  for (uint64_t k = cell; k < cell + cells; ++k)
    is_unsettled |= std::max(written_[k], read_[k]) >= block_order_ ? 1U : 0U;
  if (is_unsettled == 0) return std::nullopt;
  for (uint64_t k = cell; k < cell + cells; ++k) {
    if (written_[k] == kPending)
      return Complaint{FaultKind::kAsyncNotWaited,
                       address(k) + " is written before its copy's wait"};
    if (conflicts(written_[k], thread)) return conflict("written", k, written_[k]);
    for (const Tag before : {read_[k], read_elsewhere_[k]})
      if (conflicts(before, thread)) return conflict("read", k, before);
  }
  return std::nullopt;
}

std::optional<Complaint> SharedMemory::read(unsigned thread, uint64_t at, void* to,
                                            uint64_t bytes) {
  if (!is_legal(at, bytes)) return illegal(at, bytes);
  const uint64_t index = at - kSharedBegin;
  const uint64_t cell = index >> cell_shift_, cells = cells_of(bytes);
  if (auto complaint = may_read(thread, cell, cells)) return complaint;
  note_read(thread, cell, cells);
  std::memcpy(to, &data_[index], bytes);
  return std::nullopt;
}

std::optional<Complaint> SharedMemory::write(unsigned thread, uint64_t at, const void* from,
                                             uint64_t bytes) {
  if (!is_legal(at, bytes)) return illegal(at, bytes);
  const uint64_t index = at - kSharedBegin;
  const uint64_t cell = index >> cell_shift_, cells = cells_of(bytes);
  if (auto complaint = may_write(thread, cell, cells)) return complaint;
  std::memcpy(&data_[index], from, bytes);
  std::fill_n(written_.begin() + static_cast<std::ptrdiff_t>(cell), cells, tag(thread));
  return std::nullopt;
}

std::optional<Complaint> SharedMemory::copy_async(unsigned thread, uint64_t at, const void* from,
                                                  uint64_t bytes) {
  if (!is_legal(at, bytes)) return illegal(at, bytes);
  Copy copy;
  copy.at = at - kSharedBegin;
  copy.bytes = static_cast<uint32_t>(bytes);
  std::memcpy(copy.data, from, bytes);
  const uint64_t cell = copy.at >> cell_shift_, cells = cells_of(bytes);
  if (auto complaint = may_write(thread, cell, cells)) return complaint;
  std::fill_n(written_.begin() + static_cast<std::ptrdiff_t>(cell), cells, kPending);
  copies_[thread].open.push_back(copy);
  return std::nullopt;
}

void SharedMemory::commit(unsigned thread) {
  Copies& copies = copies_[thread];
  copies.groups.push_back(std::move(copies.open));
  copies.open.clear();
}

void SharedMemory::wait(unsigned thread, size_t pending_groups) {
  std::deque<std::vector<Copy>>& groups = copies_[thread].groups;
  while (groups.size() > pending_groups) {
    for (const Copy& copy : groups.front()) {
      std::memcpy(&data_[copy.at], copy.data, copy.bytes);
      std::fill_n(written_.begin() + static_cast<std::ptrdiff_t>(copy.at >> cell_shift_),
                  copy.bytes >> cell_shift_, tag(thread));
    }
    groups.pop_front();
  }
}

bool SharedMemory::has_pending(unsigned thread) const {
  const Copies& copies = copies_[thread];
  const auto is_empty = [](const std::vector<Copy>& group) { return group.empty(); };
  return !copies.open.empty() || !std::all_of(copies.groups.begin(), copies.groups.end(), is_empty);
}

}  // namespace ptx
