// topk: of the encoder's last layer the k largest numbers, the others 0, in use as in training; the
// gradient goes through what is kept (Makhzani and Frey 2014, "k-Sparse Autoencoders", section
// 2.1). Beside the loss it measures how many numbers a code has and how many units are dead.
#include <algorithm>

#include "base/error.h"
#include "kernels/unit_use.h"
#include "model/code.h"
#include "model/model_graph.h"
#include "ops/top_k.h"
#include "ops/unit_use.h"

namespace diabolo {
namespace {

ModelOption k_option() {
  return {.table = "model.code",
          .name = "k",
          .meaning = "numbers of a code that are kept, the largest; 0: an eighth of them",
          .type = ConfigType::kInt,
          .low = 0,
          .high = static_cast<double>(kMaxWidth),
          .standard = {.number = 0}};
}

int64_t kept_of(const ModelConfig& config, int64_t width) {
  const int64_t k = k_option().integer(config);
  return k > 0 ? k : std::max<int64_t>(1, width / 8);
}

ModelOption dead_after() {
  return {.table = "model.code",
          .name = "dead_after_rows",
          .meaning = "a unit that no code of so many rows had counts as dead",
          .type = ConfigType::kInt,
          .low = 1,
          .high = static_cast<double>(kernels::kMostIdle),
          .standard = {.number = 100000}};
}

std::vector<ModelOption> options() {
  return {k_option(), dead_after()};
}

StateSpec idle_spec(int64_t width) {
  return {"code.idle", TensorDesc(DType::kF32, {width}), StateKind::kOfModel};
}
std::vector<StateSpec> states(const ModelConfig&, const Layer& last) {
  return {idle_spec(last.out_width())};
}

CodeRow row(const ModelConfig& config, const Layer& last) {
  const int64_t width = last.out_width(), k = kept_of(config, width);
  if (k > width)
    throw Error(ErrorCode::kUsage, cat(k_option().path(), ": expected at most ", width,
                                       ", the numbers of a code, found ", k));
  return {TensorDesc(DType::kF32, {width})};
}

ValueId use(const CodeBuild& build) {
  const int64_t width = build.model.network().code_row.desc.elems();
  const TopKAttrs attrs{kept_of(build.model.config(), width)};
  return build.model.graph().add(kTopK, attrs, {build.code}, "code").front();
}

TrainedCode train(const CodeBuild& build) {
  ModelGraph& model = build.model;
  const ValueId code = use(build);
  if (!model.is_training()) return {code, code};
  const ValueId idle = model.state(idle_spec(row_elems(model.graph().value(code).desc)));
  const UnitUseAttrs attrs{static_cast<float>(dead_after().integer(model.config()))};
  const auto found = model.graph().add(kUnitUse, attrs, {code, idle}, "units");
  model.add_next_state(idle, found[0], "idle units");
  return {code, code, {found[1], found[2]}};
}

template <size_t kWhich>
constexpr TermDef kMeasure = {.name = "", .build = [](const TermBuild& build) {
                                return std::vector{build.model.code_build().made[kWhich]};
                              }};

std::vector<TermSpec> terms(const ModelConfig&) {
  return {{.name = "l0", .in_loss = false, .def = &kMeasure<0>},
          {.name = "dead_share", .in_loss = false, .def = &kMeasure<1>}};
}

}  // namespace

constinit const CodeDef kTopkCode = {.name = "topk",
                                     .what = "the k largest numbers, the others 0",
                                     .options = options,
                                     .states = states,
                                     .terms = terms,
                                     .row = row,
                                     .use = use,
                                     .train = train};

}  // namespace diabolo
