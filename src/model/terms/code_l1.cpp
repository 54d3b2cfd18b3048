// code_l1: lambda times the mean absolute number of the codes, which lets few numbers of a code be
// large at a time.
#include "model/model_graph.h"
#include "model/term.h"
#include "ops/mean_abs.h"

namespace diabolo {
namespace {

std::vector<ValueId> build(const TermBuild& build) {
  Graph& graph = build.model.graph();
  return {weighed(build, graph.add(kMeanAbs, MeanAbsAttrs{}, {build.code}, "code_l1").front())};
}

}  // namespace

constinit const TermDef kCodeL1Term = {
    .name = "code_l1",
    .meaning = "times the mean absolute number of the codes, added to the loss",
    .build = build};

}  // namespace diabolo
