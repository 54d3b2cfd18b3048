// l2: lambda times the sum of squared weights. Biases are free, and a weight that two layers share
// counts once.
#include "model/model_graph.h"
#include "model/term.h"
#include "ops/penalty.h"

namespace diabolo {
namespace {

// "encoder.0 penalty" of "encoder.0.weight".
std::string node_name(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.')) + " penalty";
}

// A weight that stays is an attribute of the op, whose gradient then needs no other value; one
// of the step is given to the sum of them all.
std::vector<ValueId> build(const TermBuild& build) {
  Graph& graph = build.model.graph();
  const bool is_scheduled = build.spec().warmup_steps > 0;
  const L2PenaltyAttrs attrs{is_scheduled ? 1 : static_cast<float>(build.spec().weight)};
  std::vector<ValueId> parts;
  for (const ParameterSpec& parameter : build.network.parameters()) {
    if (parameter.desc.rank() < 2) continue;
    const ValueId master = graph.add_parameter(parameter.name, parameter.desc);
    const ValueId sum = graph.add(kL2Penalty, attrs, {master}, node_name(parameter.name)).front();
    parts.push_back(sum);
  }
  if (is_scheduled) return {weighed(build, sum_of(graph, parts, "l2"))};
  return parts;
}

}  // namespace

constinit const TermDef kL2Term = {.name = "l2",
                                   .meaning = "times the sum of squared weights, added to the loss",
                                   .build = build,
                                   .reported = "penalty",
                                   .is_of_0_1 = true};

}  // namespace diabolo
