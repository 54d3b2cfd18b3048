// What graphs of a network read and write beside its parameters, and what it holds before a step.
#include "base/error.h"
#include "model/model.h"
#include "model/term.h"

namespace diabolo {
namespace {

std::vector<StateSpec> with_own_states(std::vector<StateSpec> states, const Network& network) {
  const TensorDesc row(DType::kF32, {network.features});
  for (StateSpec& own : network.states()) states.push_back(std::move(own));
  states.push_back({model_names::kShift, row});
  states.push_back({model_names::kScale, row});
  return states;
}

DType product_type(Precision precision) {
  return precision == Precision::kBf16 ? DType::kBf16 : DType::kF32;
}

}  // namespace

std::vector<StateSpec> inference_states(const Network& network, Precision precision) {
  return with_own_states(product_states(network.parameters(), product_type(precision)), network);
}

std::vector<StateSpec> training_states(const Network& network, const Config& config) {
  auto states = step_states(network.parameters(), product_type(config.train.precision),
                            config.optimizer.rule());
  for (StateSpec& own : term_states(loss_terms(config.model))) states.push_back(std::move(own));
  return with_own_states(std::move(states), network);
}

uint64_t store_bytes(const Network& network, std::span<const StateSpec> states) {
  uint64_t bytes = BlobLayout::of(network.parameters()).desc(DType::kF32).bytes();
  for (const StateSpec& spec : states) bytes += spec.desc.bytes();
  return bytes;
}

void write_states(const ParameterStore& store, const Network& network, const Scaling& scaling,
                  const StateValues& values, Stream& stream) {
  const auto write = [&](const std::string& name, const std::vector<float>& numbers) {
    const TensorView state = store.state(name);
    DIABOLO_CHECK(numbers.size() == static_cast<size_t>(state.desc.elems()), name);
    store.write(state, numbers.data(), stream);
  };
  write(model_names::kShift, scaling.shift);
  write(model_names::kScale, scaling.scale);
  const std::vector<StateSpec> own = network.states();
  DIABOLO_CHECK(values.size() == own.size(), values.size(), " states");
  for (size_t i = 0; i < own.size(); ++i) write(own[i].name, values[i]);
}

Policy policy_of(const TrainConfig& train) {
  Policy policy;
  policy.fast = train.fast_policy;
  policy.allows_tf32 = train.precision == Precision::kTf32;
  return policy;
}

}  // namespace diabolo
