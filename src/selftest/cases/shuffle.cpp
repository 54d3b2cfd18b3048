// shuffle: integers, so every kernel gives the reference's.
#include "kernels/shuffle.h"

#include "ops/shuffle.h"
#include "ops/training.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void shuffle(ReferenceCall<T>& call) {
  kernels::shuffle_reference({.n = attrs_of<ShuffleAttrs>(call).rows,
                              .state = call.template raw_input<kernels::StepState>(0),
                              .order = call.template raw_output<uint32_t>(0)});
}

void list(CaseList& list) {
  const auto add = [&](int64_t rows) -> Case& {
    return list.add(kShuffle, ShuffleAttrs{rows}, cat(rows), {{step_state_desc(), Fill::kState}});
  };
  for (const int64_t rows : {1, 2, 3, 4, 7, 63, 64, 65, 129, 256, 257, 1021}) {
    add(rows).is_quick = rows == 129;
  }
  add(kManyElems).is_large = true;
}

}  // namespace

constinit const OpCases kShuffleCases = {
    &kShuffle, {shuffle<Tracked<InF32>>, nullptr, nullptr}, list};

}  // namespace diabolo::selftest
