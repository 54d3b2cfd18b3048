// From a configuration to the list of layers and parameters of its network.
#include <cmath>

#include "base/checked.h"
#include "kernels/common/philox.h"
#include "model/model.h"

namespace diabolo {
namespace {

constexpr uint64_t kMaxParameters = uint64_t{1} << 34;

// The layers between two widths, through the hidden ones.
std::vector<Layer> stack(const std::string& prefix, int64_t in, const std::vector<int64_t>& hidden,
                         int64_t out, kernels::Activation inner, kernels::Activation last,
                         double dropout) {
  std::vector<Layer> layers;
  for (size_t i = 0; i <= hidden.size(); ++i) {
    const bool is_last = i == hidden.size();
    Layer layer;
    layer.name = cat(prefix, ".", i);
    layer.weight = layer.name + ".weight";
    layer.in = in;
    layer.out = is_last ? out : hidden[i];
    layer.activation = is_last ? last : inner;
    layer.dropout = is_last ? 0 : dropout;
    in = layer.out;
    layers.push_back(std::move(layer));
  }
  return layers;
}

uint64_t layer_elems(const Layer& layer) {
  const auto weights =
      checked_mul(static_cast<uint64_t>(layer.in), static_cast<uint64_t>(layer.out));
  const auto all = weights ? checked_add(*weights, static_cast<uint64_t>(layer.out)) : weights;
  if (!all || *all > kMaxParameters)
    throw Error(ErrorCode::kUsage, cat(layer.name, ": ", layer.in, " x ", layer.out,
                                       " weights are more than this version can hold"));
  return *all;
}

}  // namespace

Network Network::of(const ModelConfig& config, int64_t features) {
  if (features < 1) throw Error(ErrorCode::kUsage, "a model needs rows of at least one number");
  DIABOLO_CHECK(config.decoder.output.has_value(), "the configuration is not resolved");
  const auto& e = config.encoder;
  const auto& d = config.decoder;
  const std::vector<int64_t> mirrored(e.hidden.rbegin(), e.hidden.rend());
  Network net;
  net.features = features;
  net.code_size = config.code.size;
  net.encoder = stack("encoder", features, e.hidden, config.code.size, e.activation,
                      config.code.activation, e.dropout);
  net.decoder = stack("decoder", config.code.size, d.mirror ? mirrored : d.hidden, features,
                      d.activation, *d.output, d.dropout);
  if (d.tied) {
    for (size_t i = 0; i < net.decoder.size(); ++i) {
      net.decoder[i].is_tied = true;
      net.decoder[i].weight = net.encoder[net.encoder.size() - 1 - i].weight;
    }
  }
  if (net.parameter_count() > kMaxParameters)
    throw Error(ErrorCode::kUsage, "the model has more parameters than this version can hold");
  return net;
}

std::vector<ParameterSpec> Network::parameters() const {
  std::vector<ParameterSpec> specs;
  for (const auto* layers : {&encoder, &decoder}) {
    for (const Layer& layer : *layers) {
      const Init init{0, static_cast<float>(1.0 / std::sqrt(static_cast<double>(layer.in)))};
      if (!layer.is_tied)
        specs.push_back({layer.weight, TensorDesc(DType::kF32, {layer.in, layer.out}), init});
      specs.push_back({layer.name + ".bias", TensorDesc(DType::kF32, {layer.out}), init});
    }
  }
  return specs;
}

const StatefulPart*& stateful_part_of_tests() {
  static const StatefulPart* part = nullptr;
  return part;
}

std::vector<StateSpec> Network::states() const {
  const StatefulPart* part = stateful_part_of_tests();
  return part ? part->states : std::vector<StateSpec>();
}

uint64_t Network::parameter_count() const {
  uint64_t count = 0;
  for (const auto* layers : {&encoder, &decoder}) {
    for (const Layer& layer : *layers) {
      const uint64_t elems = layer_elems(layer);
      count += layer.is_tied ? static_cast<uint64_t>(layer.out) : elems;
    }
  }
  return count;
}

namespace {

// Of the `index`-th parameter or state.
std::vector<float> drawn(const TensorDesc& desc, const Init& init, uint64_t seed, size_t index) {
  std::vector<float> values(static_cast<size_t>(desc.elems()), init.value);
  if (init.spread == 0) return values;
  const kernels::RandomKey key{seed, kernels::RandomPurpose::kInit + static_cast<uint32_t>(index),
                               0};
  for (size_t k = 0; k < values.size(); ++k) {
    // Rows of 2^32 elements: a draw is named by row and element of 32 bits each.
    const auto row = static_cast<uint32_t>(k >> 32);
    values[k] += init.spread * (2 * kernels::uniform_at(key, row, k & 0xffffffffu) - 1);
  }
  return values;
}

template <class Spec>
std::vector<std::vector<float>> all_drawn(const std::vector<Spec>& specs, uint64_t seed,
                                          size_t first) {
  std::vector<std::vector<float>> out;
  for (const Spec& spec : specs)
    out.push_back(drawn(spec.desc, spec.init, seed, first + out.size()));
  return out;
}

}  // namespace

std::vector<std::vector<float>> initial_parameters(const Network& network, uint64_t seed) {
  return all_drawn(network.parameters(), seed, 0);
}

StateValues initial_states(const Network& network, uint64_t seed) {
  return all_drawn(network.states(), seed, network.parameters().size());
}

}  // namespace diabolo
