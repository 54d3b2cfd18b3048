// The race detector's side of the scheduler: what it is told. Empty in builds without the detector.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cuda_host {

// Where the running thread stands in the order that barriers make.
struct Moment {
  std::uint32_t block;       // serial number of the block over the program's life
  std::uint32_t epoch;       // __syncthreads passed
  std::uint32_t warp_epoch;  // __syncwarp passed by this warp
  std::uint32_t thread;      // within the block
};

#if defined(DIABOLO_HARNESS_RACE)
void race_begin_launch(std::uint32_t first_block);
void race_read(const void* address, std::size_t bytes);
void race_write(const void* address, std::size_t bytes);
// A cp.async destination between issue and wait.
void race_set_in_flight(const void* address, std::size_t bytes, bool in_flight);
// The running thread arrives at a word by which blocks hand results on.
void race_arrive(const void* word);
#else
inline void race_begin_launch(std::uint32_t) {}
inline void race_read(const void*, std::size_t) {}
inline void race_write(const void*, std::size_t) {}
inline void race_set_in_flight(const void*, std::size_t, bool) {}
inline void race_arrive(const void*) {}
#endif

}  // namespace cuda_host
