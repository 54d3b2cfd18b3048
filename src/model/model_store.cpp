// What a store holds beside a network's parameters: the scaling, and what a precision and an
// optimizer need.
#include "base/error.h"
#include "model/model.h"
#include "ops/training.h"

namespace diabolo {

StoreOptions store_options(Precision precision) {
  StoreOptions options;
  options.has_low = precision == Precision::kBf16;
  return options;
}

StoreOptions store_options(Precision precision, const kernels::OptimizerRule& rule) {
  StoreOptions options = store_options(precision);
  options.has_training = true;
  options.has_m = has_m(rule);
  options.has_v = has_v(rule);
  return options;
}

std::vector<StoreRecord> scaling_records(const Network& network) {
  const TensorDesc row(DType::kF32, {network.features});
  return {{model_names::kShift, row}, {model_names::kScale, row}};
}

std::vector<StoreRecord> model_records(const Network& network, const StoreOptions& options) {
  auto records = store_records(BlobLayout::of(network.parameters()), options);
  for (StoreRecord& record : scaling_records(network)) records.push_back(std::move(record));
  return records;
}

void add_scaling(ParameterStore& store, const Network& network, const Scaling& scaling,
                 Stream& stream) {
  for (const StoreRecord& record : scaling_records(network)) {
    const auto& values = record.name == model_names::kShift ? scaling.shift : scaling.scale;
    DIABOLO_CHECK(values.size() == static_cast<size_t>(record.desc.elems()), record.name);
    store.add_state(record.name, record.desc);
    store.write(store.state(record.name), values.data(), stream);
  }
}

Policy policy_of(const TrainConfig& train) {
  Policy policy;
  policy.fast = train.fast_policy;
  policy.allows_tf32 = train.precision == Precision::kTf32;
  return policy;
}

}  // namespace diabolo
