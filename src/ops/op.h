// The contract of an operation: what it computes on shapes (infer), what it costs, how it is
// differentiated, and who can do it (an ordered list of kernels).
//
// An OpDef is a constant object and its address is its identity: there is no enum of ops and no
// switch over them. An op's header has its attributes, inputs and outputs; there T is f32, bf16 or
// f64 and A the type it accumulates in (f32 for bf16, else T). To add one, see CONTRIBUTING.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/device_info.h"
#include "base/tensor.h"
#include "kernels/common/launch.h"
#include "kernels/common/parts.h"
#include "ops/attrs.h"

namespace diabolo {

class GradBuilder;  // ops/grad_builder.h
struct Node;        // ops/grad_builder.h

// One use of an op: attributes, inputs and outputs. While a plan is made the views have no
// addresses yet, only shapes.
struct Call {
  const Attrs& attrs;
  std::span<const TensorView> in;
  std::span<const TensorView> out;
  void* zeroed = nullptr;                      // Kernel::zeroed_bytes of zeros, of this use alone
  bool is_joined = false;                      // launched together with another: Kernel::join
  bool leaves_parts = false;                   // Kernel::parts
  std::span<const kernels::Parts> parts = {};  // that stand for elements of the first input
};

// An address that is not null and not to be read.
void* unbound();

// Output `out` may share the memory of input `in`.
struct InPlace {
  int in;
  int out;
};

struct Kernel;

// How one launch does what two kernels do, of which the other's step comes right before.
struct Join {
  const Kernel* first;
  // Does the second what the first one read or wrote, in this order? Else both run at once.
  bool is_ordered;
  uint64_t zeroed_bytes;  // in the second call's `zeroed`
  bool (*pays)(const Call& first, const Call& second, const DeviceInfo&);
  kernels::Launch (*prepare)(const Call& first, const Call& second, const DeviceInfo&,
                             void* first_scratch);  // null: not in this build
};

struct Kernel {
  const char* name;  // "cuda.dense_forward.bf16"; tests, plans and benchmarks print it
  Space space;
  bool is_reference = false;       // the plain loops: accepts all that infer accepts
  bool needs_policy_fast = false;  // chooses by batch size: rows depend on their batch
  std::span<const InPlace> in_place;

  // Empty if this kernel can do the call on that device, else the reason why not.
  std::string (*accepts)(const Call&, const DeviceInfo&);

  // Scratch bytes that prepare will want, 256-byte aligned.
  uint64_t (*scratch_bytes)(const Call&, const DeviceInfo&);

  // Bytes that prepare finds zeroed in Call::zeroed and that every run leaves zeroed. Null: none.
  uint64_t (*zeroed_bytes)(const Call&, const DeviceInfo&) = nullptr;

  // What it can leave in its scratch in place of outputs (Call::leaves_parts). Null: nothing.
  std::vector<kernels::Parts> (*parts)(const Call&, const DeviceInfo&, void* scratch) = nullptr;
  bool adds_parts = false;     // takes such parts of its first input (Call::parts)
  const Join* join = nullptr;  // with the step before

  // Called once addresses are fixed; builds whatever a launch needs. Null: not in this build.
  kernels::Launch (*prepare)(const Call&, const DeviceInfo&, void* scratch);
};

struct Cost {
  double flops = 0;  // multiplications and additions, the tile's padding not counted
  double bytes = 0;  // each input and output once
};

struct OpDef {
  const char* name;

  // Shapes and types of the outputs. Throws Error{kUsage} with both shapes if the inputs do not
  // fit.
  std::vector<TensorDesc> (*infer)(const Attrs&, std::span<const TensorDesc> in);

  // Emits the nodes that carry the gradients of the outputs to the inputs. Null: none flows.
  void (*grad)(GradBuilder&, const Node&);

  Cost (*cost)(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out);

  // "relu, bias": the attributes as a person reads them.
  std::string (*describe)(const Attrs&);

  std::span<const Kernel> kernels;  // in order of preference; the last host entry is the reference
};

// Elements of a row: the product of all extents but the first.
int64_t row_elems(const TensorDesc& desc);

// Bytes of all inputs and outputs, and `flops`: the cost of most ops.
Cost streamed(double flops, std::span<const TensorDesc> in, std::span<const TensorDesc> out);

}  // namespace diabolo
