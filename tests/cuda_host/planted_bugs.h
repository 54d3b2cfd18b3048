// Kernels with one planted bug each, which the harness must report.
//
// All take in[kThreads] and out[kThreads], one block of kThreads threads unless said otherwise, and
// mean to compute out[t] = in[kThreads - 1 - t].
#pragma once

#include <cstdint>

namespace diabolo::planted {

inline constexpr int kThreads = 64;

struct Call {
  const float* in;
  float* out;
  float* halves = nullptr;            // kThreads, between two blocks
  std::uint32_t* arrivals = nullptr;  // a zero
};

void none(const Call& call);  // the right kernel: nothing to report

void global_read_past_the_end(const Call& call);
void misaligned_vector_load(const Call& call);
void shared_overrun(const Call& call);
void uninitialised_shared(const Call& call);
void missing_block_barrier(const Call& call);
void missing_barrier_before_reuse(const Call& call);
void missing_warp_barrier(const Call& call);
void barrier_in_one_branch(const Call& call);
void different_barriers(const Call& call);
void mask_without_caller(const Call& call);
void mask_with_absent_lanes(const Call& call);
void different_masks(const Call& call);
void lane_outside_mask(const Call& call);
void copy_read_before_wait(const Call& call);
void copy_of_4_bytes_read_before_wait(const Call& call);
void copy_read_without_barrier(const Call& call);
void copy_never_waited_for(const Call& call);
void copy_misaligned(const Call& call);
void two_blocks_write_one_place(const Call& call);

// Two blocks copy half of `in` each, the last to come reverses both. The right one; a barrier or
// the arrival left out.
void last_block(const Call& call);
void last_block_without_barrier_before(const Call& call);
void last_block_without_barrier_after(const Call& call);
void last_block_without_arrival(const Call& call);

// Two blocks read a word that the last to come changes, as an update reads the step's state. The
// right one; one whose blocks arrive before they read.
void last_block_moves_on(const Call& call);
void last_block_moves_on_too_early(const Call& call);

void too_many_threads(const Call& call);
void too_many_registers(const Call& call);  // 512 threads of 255
void grid_too_tall(const Call& call);
void shared_without_opt_in(const Call& call);  // static + dynamic above 48 KiB
void shared_above_device(const Call& call);

}  // namespace diabolo::planted
