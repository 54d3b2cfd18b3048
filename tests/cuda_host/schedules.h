// What tests do in the harness and natively: a case under several schedules; skip without a device.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <string>

#if defined(DIABOLO_NATIVE_CUDA)
#include "backend/backend.h"
#else
#include "cuda_host.h"
#endif

namespace diabolo::test {

#if defined(DIABOLO_NATIVE_CUDA)

template <class F>
void for_each_schedule(F&& body) {
  body();
}
template <class F>
void for_one_schedule(std::size_t, F&& body) {
  body();
}
template <class F>
void for_each_schedule_of_a_case(F&& body) {
  body();
}

inline void skip_or_fail_without_device() {
  const CudaDevices found = list_cuda_devices();
  if (!found.devices.empty()) return;
  const char* require = std::getenv("DIABOLO_REQUIRE_CUDA");
  if (require != nullptr && std::string(require) == "1") {
    FAIL() << "DIABOLO_REQUIRE_CUDA=1, but there is no CUDA device: " << found.why_none;
  }
  GTEST_SKIP() << "no CUDA device: " << found.why_none;
}

// True where blocks run at once, and a test is as large as their meeting wants.
inline bool blocks_really_meet() {
#if defined(DIABOLO_PTX_DEVICE)
  return false;
#else
  return true;
#endif
}

#else

inline bool blocks_really_meet() {
  return false;
}

inline constexpr cuda_host::Schedule kSchedules[] = {
    {cuda_host::Schedule::Order::kFifo, 0},
    {cuda_host::Schedule::Order::kLifo, 0},
    {cuda_host::Schedule::Order::kRandom, 20240607},
};

// Runs `body` under one of the schedules, by a number; a failure names the schedule and its seed.
template <class F>
void for_one_schedule(std::size_t which, F&& body) {
  const cuda_host::Schedule& schedule = kSchedules[which % std::size(kSchedules)];
  SCOPED_TRACE("schedule " + cuda_host::describe(schedule));
  cuda_host::set_schedule(schedule);
  body();
  cuda_host::set_schedule({});
}

// Runs `body` under each schedule.
template <class F>
void for_each_schedule(F&& body) {
  for (std::size_t i = 0; i < std::size(kSchedules); ++i) for_one_schedule(i, body);
}

// False where a case needs one schedule only: with ASan, which looks at memory and takes long. What
// another order changes is seen by the race detector's build and by the fused kernels' (fused.cpp).
inline bool& runs_every_schedule() {
#if defined(__SANITIZE_ADDRESS__)
  static bool answer = false;
#else
  static bool answer = true;
#endif
  return answer;
}

// Runs `body` under each schedule, or under one of them, by turns.
template <class F>
void for_each_schedule_of_a_case(F&& body) {
  static std::size_t turn = 0;
  if (runs_every_schedule()) return for_each_schedule(body);
  for_one_schedule(turn++, body);
}

inline void skip_or_fail_without_device() {}

#endif

}  // namespace diabolo::test
