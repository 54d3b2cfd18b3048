#include "backend/device_info.h"

#include <array>

#include "backend/host/host_memory.h"
#include "backend/host/host_threads.h"
#include "kernels/cpu/features.h"

namespace diabolo {

namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// A typical board of an architecture. Sources: NVIDIA's data sheets (multiprocessors, memory as
// printed on the board) and the CUDA programming guide, "Technical Specifications per Compute
// Capability" (shared memory of one block with opt-in: 163, 99 or 227 KiB).
struct Board {
  const char* arch_name;
  const char* name;
  int arch;
  int multiprocessors;
  int shared_kib;
  uint64_t memory_gib;
};

constexpr std::array kBoards = {
    Board{"sm_80", "NVIDIA A100-SXM4-80GB", 80, 108, 163, 80},
    Board{"sm_86", "NVIDIA GeForce RTX 3090", 86, 82, 99, 24},
    Board{"sm_89", "NVIDIA L40S", 89, 142, 99, 48},
    Board{"sm_90", "NVIDIA H100 80GB HBM3", 90, 132, 227, 80},
    Board{"sm_100", "NVIDIA B200", 100, 148, 227, 180},
    Board{"sm_120", "NVIDIA GeForce RTX 5090", 120, 170, 99, 32},
};

constexpr std::array kNames = {"cpu",
                               kBoards[0].arch_name,
                               kBoards[1].arch_name,
                               kBoards[2].arch_name,
                               kBoards[3].arch_name,
                               kBoards[4].arch_name,
                               kBoards[5].arch_name};

DeviceInfo this_cpu() {
  DeviceInfo info;
  info.space = Space::kHost;
  info.name = kernels::cpu::cpu_name();
  info.memory_bytes = host_memory_bytes();
  info.cpu = kernels::cpu::detect_features(choose_threads(0).threads);
  return info;
}

DeviceInfo device_of(const Board& board) {
  DeviceInfo info;
  info.space = Space::kCuda;
  info.name = board.name;
  info.memory_bytes = board.memory_gib * kGiB;
  info.cuda.arch = board.arch;
  info.cuda.multiprocessors = board.multiprocessors;
  info.cuda.shared_bytes_per_block = int64_t{board.shared_kib} * 1024;
  return info;
}

}  // namespace

std::optional<DeviceInfo> device_from_name(std::string_view name) {
  if (name == "cpu") return this_cpu();
  for (const Board& board : kBoards) {
    if (name == board.arch_name) return device_of(board);
  }
  return std::nullopt;
}

std::span<const char* const> known_device_names() {
  return kNames;
}

}  // namespace diabolo
