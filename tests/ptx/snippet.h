// Kernels written in a test: one parameter, the address of an array of words.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "module.h"
#include "run.h"

namespace ptx {

// Registers of every type, %at: the array; %tid and %mine: this thread's number and its word's
// address.
inline std::string kernel_of(const std::string& body, const std::string& shared = "") {
  return ".version 9.0\n.target sm_80\n.address_size 64\n"
         ".visible .entry kernel(.param .u64 array)\n.maxntid 128, 1, 1\n{\n"
         ".reg .pred %p<10>; .reg .b16 %h<10>; .reg .b32 %r<20>; .reg .f32 %f<20>;\n"
         ".reg .b64 %d<20>; .reg .b32 %tid; .reg .b64 %at, %mine;\n" +
         shared +
         "\nld.param.u64 %at, [array];\nmov.u32 %tid, %tid.x;\n"
         "mul.wide.u32 %mine, %tid, 4;\nadd.s64 %mine, %mine, %at;\n" +
         body + "\nret;\n}\n";
}

struct Shape {
  uint32_t threads = 32;
  uint32_t blocks = 1;
  Order order = Order::kForward;
  uint64_t dynamic_shared_bytes = 0;
};

// Runs the kernel on the words. Throws Fault.
inline std::vector<uint32_t> run_on(const std::string& text, std::vector<uint32_t> words,
                                    const Shape& shape = {}) {
  const Module module(text);
  const Program program = decode(module.parse_kernel("kernel"));
  const auto begin = reinterpret_cast<uintptr_t>(words.data());
  GlobalMemory memory({{begin, begin + words.size() * 4}});
  Launch launch;
  launch.program = &program;
  launch.grid.x = shape.blocks;
  launch.block.x = shape.threads;
  launch.order = shape.order;
  launch.dynamic_shared_bytes = shape.dynamic_shared_bytes;
  launch.parameters.resize(8);
  std::memcpy(launch.parameters.data(), &begin, 8);
  run(launch, memory);
  return words;
}

inline std::optional<FaultKind> fault_of(const std::string& text, const Shape& shape = {},
                                         size_t words = 128) {
  try {
    run_on(text, std::vector<uint32_t>(words), shape);
  } catch (const Fault& fault) {
    return fault.kind;
  }
  return std::nullopt;
}

}  // namespace ptx
