// shuffle: the order in which an epoch visits its rows.
#include "kernels/shuffle.h"

#include <array>

#include "ops/glue.h"
#include "ops/shuffle.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using glue::input;
using glue::output;
using kernels::Shuffle;

struct Glue {
  template <class P>
  static P params(const Call& call) {
    return {.n = call.attrs.as<ShuffleAttrs>().rows,
            .state = input<kernels::StepState>(call, 0),
            .order = output<uint32_t>(call, 0)};
  }
  static void reference(const Shuffle& p) { kernels::shuffle_reference(p); }
};

std::vector<TensorDesc> infer(const Attrs& any, std::span<const TensorDesc> in) {
  const int64_t rows = any.as<ShuffleAttrs>().rows;
  glue::expect_count(1, in.size());
  glue::expect_desc("state", step_state_desc(), in[0]);
  if (rows < 1 || rows > 0xffffffff)
    throw Error(ErrorCode::kUsage, cat("shuffle: expected 1 to 2^32 - 1 rows, found ", rows));
  return {TensorDesc(DType::kU32, {rows})};
}

Cost cost(const Attrs&, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  return streamed(0, in, out);
}

std::string describe(const Attrs& any) {
  return cat(any.as<ShuffleAttrs>().rows, " rows");
}

constexpr std::array kKernels = {
    glue::cuda_kernel<Glue, Shuffle>("cuda.shuffle"),
    glue::reference_kernel<Glue, Shuffle>("reference.shuffle"),
};

}  // namespace

constinit const OpDef kShuffle = {"shuffle", infer, nullptr, cost, describe, kKernels};

}  // namespace diabolo
