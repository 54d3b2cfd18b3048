// From a configuration to the list of layers and parameters of its network.
#include <algorithm>

#include "kernels/common/philox.h"
#include "model/code.h"
#include "model/model.h"
#include "model/term.h"

namespace diabolo {
namespace {

LayerLine dense(const Extents& width) {
  return {.block = &kDenseBlock, .options = {width}};
}

Layer made(const std::string& name, const LayerLine& line, const Extents& in) {
  Layer layer{.name = name, .line = line, .in = in};
  line.block->shape(layer);
  return layer;
}

// Of a table of the configuration: its lines, or its widths.
std::vector<LayerLine> lines_of(const std::vector<std::string>& layers,
                                const std::vector<int64_t>& hidden, const std::string& key) {
  std::vector<LayerLine> lines;
  for (const std::string& text : layers) lines.push_back(LayerLine::parse(text, key));
  if (layers.empty())
    for (const int64_t width : hidden) lines.push_back(dense({width}));
  return lines;
}

// What follows a layer: what its line says, else what its table says.
void finish(Layer& layer, kernels::Activation activation, double dropout) {
  if (!layer.line.block->has_weights) return;
  layer.activation = layer.line.activation.value_or(activation);
  layer.dropout = dropout;
}

uint64_t greatest_integer(DType type) {
  DIABOLO_CHECK(type == DType::kU8 || type == DType::kU16 || type == DType::kU32, name(type));
  return (uint64_t{1} << (8 * size_bytes(type))) - 1;
}

std::vector<Layer> encoder_of(const ModelConfig& config, const Extents& row) {
  const auto& e = config.encoder;
  std::vector<LayerLine> lines = lines_of(e.layers, e.hidden, "model.encoder.layers");
  lines.push_back(dense({config.code.size}));
  std::vector<Layer> layers;
  for (const LayerLine& line : lines) {
    layers.push_back(
        made(cat("encoder.", layers.size()), line, layers.empty() ? row : layers.back().out));
    finish(layers.back(), e.activation, e.dropout);
  }
  layers.back().activation = config.code.activation;
  layers.back().dropout = 0;
  return layers;
}

// The encoder's layers, inverted from the last to the first. A layer with weights is followed by
// what made such rows in the encoder: the activation of the last layer with weights before its
// partner, as layers without weights pass on what they read. The last line is the output's.
std::vector<LayerLine> mirrored(std::span<const Layer> encoder) {
  std::vector<LayerLine> lines;
  for (; !encoder.empty(); encoder = encoder.first(encoder.size() - 1)) {
    const Layer& layer = encoder.back();
    if (!layer.line.block->mirror) continue;
    LayerLine& line = lines.emplace_back(layer.line.block->mirror(layer));
    if (!line.block->has_weights) continue;
    line.activation = kernels::Activation::kIdentity;  // the data are in front of it
    for (const Layer& before : encoder.first(encoder.size() - 1))
      if (before.line.block->has_weights) line.activation = before.line.activation;
  }
  if (!lines.empty()) lines.back().activation.reset();
  return lines;
}

std::vector<Layer> decoder_of(const ModelConfig& config, const std::vector<Layer>& encoder,
                              const Extents& row) {
  const auto& d = config.decoder;
  const std::string key = "model.decoder.layers";
  const auto lines = d.mirror ? mirrored(encoder) : lines_of(d.layers, d.hidden, key);
  std::vector<Layer> layers;
  const auto add = [&](const LayerLine& line) {
    const Extents in = layers.empty() ? encoder.back().out : layers.back().out;
    layers.push_back(made(cat("decoder.", layers.size()), line, in));
    finish(layers.back(), d.activation, d.dropout);
  };
  for (const LayerLine& line : lines) add(line);
  const bool ends = d.mirror || (!d.layers.empty() && layers.back().out_width() == elems_of(row));
  if (!ends) add(dense(row));
  Layer& last = layers.back();
  if (last.out_width() != elems_of(row))
    throw Error(ErrorCode::kUsage, cat(last.name, ": expected rows of ", shape_text(row),
                                       ", found ", shape_text(last.out)));
  if (last.line.activation)
    throw Error(ErrorCode::kUsage, cat(key, ": ", value_text(last.line.text()),
                                       ": what follows the last layer is model.decoder.output"));
  last.activation = *d.output;
  last.dropout = 0;
  return layers;
}

bool is_mirror(const std::vector<Layer>& decoder, const std::vector<const Layer*>& partners) {
  return std::ranges::equal(decoder, partners, [](const Layer& layer, const Layer* partner) {
    const LayerLine line = partner->line.block->mirror(*partner);
    return layer.line.block == line.block && layer.in_width() == partner->out_width() &&
           layer.out_width() == partner->in_width();
  });
}

// Whoever writes a configuration or a model file may say any decoder.
void share_weights(std::vector<Layer>& decoder, const std::vector<Layer>& encoder) {
  std::vector<const Layer*> partners;
  for (auto layer = encoder.rbegin(); layer != encoder.rend(); ++layer)
    if (layer->line.block->mirror) partners.push_back(&*layer);
  if (!is_mirror(decoder, partners))
    throw Error(ErrorCode::kUsage,
                "model.decoder.tied: expected the encoder's layers, each inverted, from the last, "
                "found others; set model.decoder.mirror = true");
  for (size_t i = 0; i < decoder.size(); ++i) {
    const BlockDef& block = *decoder[i].line.block;
    if (!block.tie && !decoder[i].parameters.empty())
      throw Error(ErrorCode::kUsage,
                  cat("model.decoder.tied: expected layers that can share weights, found \"",
                      block.name, "\"; set model.decoder.tied = false"));
    if (block.tie) block.tie(decoder[i], *partners[i]);
  }
}

}  // namespace

Network Network::of(const ModelConfig& config, const TensorDesc& row) {
  if (row.rank() == 0) return of(config, row.elems());
  return of(config, Extents(row.extents().begin(), row.extents().end()));
}

Network Network::of(const ModelConfig& config, int64_t features) {
  return of(config, Extents{features});
}

Network Network::of(const ModelConfig& config, const Extents& row) {
  Network net;
  net.features = elems_of(row);
  if (net.features < 1) throw Error(ErrorCode::kUsage, "a model needs rows of at least one number");
  DIABOLO_CHECK(config.decoder.output.has_value(), "the configuration is not resolved");
  net.code = &code_of(config);
  net.encoder = encoder_of(config, row);
  const Layer& last = net.encoder.back();
  if (net.code->heads) net.heads = net.code->heads(last);
  if (net.code->states) net.part_states = net.code->states(config, last);
  net.code_row = net.code->row ? net.code->row(config, last)
                               : CodeRow{TensorDesc(DType::kF32, {last.out_width()})};
  net.code_size = net.code_row.desc.elems();
  if (const DType type = net.code_row.desc.dtype(); !is_float(type))
    DIABOLO_CHECK(net.code_row.values > 0 && net.code_row.values <= greatest_integer(type),
                  net.code->name, ": ", net.code_row.values, " values of ", name(type));
  net.decoder = decoder_of(config, net.encoder, row);
  if (config.decoder.tied) share_weights(net.decoder, net.encoder);
  for (const TermSpec& term : loss_terms(config))
    if (term.def && term.def->states)
      for (StateSpec& state : term.def->states(config, net))
        net.part_states.push_back(std::move(state));
  if (net.parameter_count() > kMaxParameters)
    throw Error(ErrorCode::kUsage, "the model has more parameters than this version can hold");
  return net;
}

std::vector<const Layer*> Network::layers() const {
  std::vector<const Layer*> all;
  for (const auto* part : {&encoder, &heads, &decoder})
    for (const Layer& layer : *part) all.push_back(&layer);
  return all;
}

std::vector<ParameterSpec> Network::parameters() const {
  std::vector<ParameterSpec> specs;
  for (const Layer* layer : layers())
    for (const ParameterSpec& spec : layer->parameters)
      if (std::ranges::find(specs, spec.name, &ParameterSpec::name) == specs.end())
        specs.push_back(spec);
  return specs;
}

std::vector<StateSpec> Network::states() const {
  std::vector<StateSpec> all;
  for (const Layer* layer : layers())
    all.insert(all.end(), layer->states.begin(), layer->states.end());
  all.insert(all.end(), part_states.begin(), part_states.end());
  return all;
}

uint64_t Network::parameter_count() const {
  uint64_t count = 0;
  for (const ParameterSpec& spec : parameters()) count += static_cast<uint64_t>(spec.desc.elems());
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
