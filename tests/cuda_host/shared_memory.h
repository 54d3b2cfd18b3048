// The shared memory of the block that runs: one arena with guard zones, poisoned for every block.
#pragma once

#include <cstddef>
#include <vector>

namespace cuda_host {

class SharedMemory {
 public:
  SharedMemory();

  // Empties the arena, poisons it and lays out the dynamic part. `limit_bytes`: static + dynamic.
  void begin_block(std::size_t dynamic_bytes, std::size_t limit_bytes);
  // Checks the guard zones; reports an overrun.
  void end_block();

  void* dynamic() const { return dynamic_; }
  void* array_at(const void* site, std::size_t bytes, const char* name);

  // True where `address` lies in the arena, guard zones included.
  bool contains(const void* address) const;
  // True where all of [address, address + bytes) lies in one array of this block.
  bool allocated(const void* address, std::size_t bytes) const;

 private:
  struct Array {
    const void* site;
    const char* name;
    unsigned char* begin;
    std::size_t bytes;
  };
  unsigned char* place(const void* site, std::size_t bytes, const char* name);

  std::vector<unsigned char> storage_;
  std::vector<Array> arrays_;
  unsigned char* base_ = nullptr;
  unsigned char* next_ = nullptr;
  unsigned char* dynamic_ = nullptr;
  std::size_t used_bytes_ = 0;
  std::size_t limit_bytes_ = 0;
};

}  // namespace cuda_host
