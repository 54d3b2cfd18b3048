#include "inference_bed.h"

#include <map>
#include <string>

#include "kernels/common/philox.h"

namespace diabolo::bench {

ModelFile untrained_model(const Net& net) {
  ModelFile model;
  model.config = resolved(net.config(), Scale::kUnit);
  model.row = TensorDesc(DType::kU8, {net.widths[0]});
  model.parameters =
      ParameterValues(model.network().parameters(), initial_parameters(model.network(), 0));
  const auto features = static_cast<size_t>(net.widths[0]);
  model.scaling.kind = Scale::kUnit;
  model.scaling.shift.assign(features, 0.0f);
  model.scaling.scale.assign(features, 1.0f / 255.0f);
  return model;
}

std::vector<std::byte> random_bytes(int64_t count) {
  std::vector<std::byte> bytes(static_cast<size_t>(count));
  for (size_t k = 0; k < bytes.size(); ++k) {
    const kernels::Philox4 draw = kernels::draw_quad({3, 0, 0}, 0, static_cast<uint32_t>(k / 16));
    bytes[k] = static_cast<std::byte>(draw.lane[k / 4 % 4] >> (8 * (k % 4)));
  }
  return bytes;
}

InferenceBed::InferenceBed(Backend& backend, const DeviceInfo& device, StreamKind kind,
                           const ModelFile& model, const Task& task,
                           const TaskGraphOptions& options, std::span<const std::byte> rows)
    : stream_(backend.create_stream(kind)),
      store_(backend, model.network().parameters(),
             inference_states(model.network(), options.precision)),
      plan_(Plan::compile(task_graph(task, model.config.model, model.network(), options), device,
                          policy_of(model.config.train))),
      arena_(backend),
      rows_(backend, rows.size()) {
  write_states(store_, model.network(), model.scaling, model.states, *stream_);
  for (size_t k = 0; k < model.parameters.size(); ++k)
    store_.write(store_.parameter(store_.parameters()[k].name), model.parameters[k].data(),
                 *stream_);
  store_.refresh_low(*stream_);
  stream_->copy_in(rows_.data(), rows.data(), rows.size());
  stream_->synchronize();
  arena_.reserve(plan_.arena_bytes());
  executor_ =
      std::make_unique<Executor>(plan_, backend, store_, arena_, *stream_,
                                 std::map<std::string, void*>{{model_names::kInput, rows_.data()}});
}

void InferenceBed::run(int times) {
  executor_->run_many(times);
  stream_->synchronize();
}

}  // namespace diabolo::bench
