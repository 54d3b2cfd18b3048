// What a store holds beside a network's parameters: the scaling, and what a precision and an
// optimizer need.
#include <map>

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
  const TensorDesc code(DType::kF32, {network.code_size});
  return {{model_names::kShift, row},     {model_names::kScale, row},
          {model_names::kZero, row},      {model_names::kOne, row},
          {model_names::kCodeZero, code}, {model_names::kCodeOne, code}};
}

std::vector<StoreRecord> model_records(const Network& network, const StoreOptions& options) {
  auto records = store_records(BlobLayout::of(network.parameters()), options);
  for (StoreRecord& record : scaling_records(network)) records.push_back(std::move(record));
  return records;
}

void add_scaling(ParameterStore& store, const Network& network, const Scaling& scaling,
                 Stream& stream) {
  const auto features = static_cast<size_t>(network.features);
  const auto codes = static_cast<size_t>(network.code_size);
  const std::map<std::string, std::vector<float>> values = {
      {model_names::kShift, scaling.shift},
      {model_names::kScale, scaling.scale},
      {model_names::kZero, std::vector<float>(features, 0.0f)},
      {model_names::kOne, std::vector<float>(features, 1.0f)},
      {model_names::kCodeZero, std::vector<float>(codes, 0.0f)},
      {model_names::kCodeOne, std::vector<float>(codes, 1.0f)}};
  for (const StoreRecord& record : scaling_records(network)) {
    store.add_state(record.name, record.desc);
    DIABOLO_CHECK(values.at(record.name).size() == static_cast<size_t>(record.desc.elems()),
                  record.name);
    store.write(store.state(record.name), values.at(record.name).data(), stream);
  }
}

Policy policy_of(const TrainConfig& train) {
  Policy policy;
  policy.fast = train.fast_policy;
  policy.allows_tf32 = train.precision == Precision::kTf32;
  return policy;
}

}  // namespace diabolo
