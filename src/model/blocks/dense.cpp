// dense: y = f(x W + b) of all numbers of a row, whatever their shape.
#include <array>
#include <cmath>

#include "model/block.h"
#include "model/model_graph.h"
#include "ops/dense.h"

namespace diabolo {
namespace {

constexpr std::array kOptions = {BlockOption{
    .name = "width", .meaning = "numbers of its rows, such as 128 or 4x4x8", .most = 4}};

// Weight [I,O] and bias [O] uniform in ±1/sqrt(I), as PyTorch's Linear.
void shape(Layer& layer) {
  layer.out = layer.line.options[0];
  const int64_t I = layer.in_width(), O = layer.out_width();
  const Init init{0, static_cast<float>(1.0 / std::sqrt(static_cast<double>(I)))};
  layer.parameters = {{layer.name + ".weight", parameter_desc(layer, {I, O}), init},
                      {layer.name + ".bias", parameter_desc(layer, {O}), init}};
}

ValueId build(const LayerBuild& build) {
  const auto& [model, layer, x, activation] = build;
  DenseForwardAttrs attrs;
  attrs.activation = activation;
  attrs.stores_z = model.is_training() && kernels::saves_z(activation);
  attrs.weight_transposed = layer.is_tied;
  const ValueId weight = model.weight(layer.parameters[0]);
  const ValueId bias = model.parameter(layer.parameters[1]);
  return model.graph().add(kDenseForward, attrs, {model.flat(x), weight, bias}, layer.name).front();
}

LayerLine mirror(const Layer& layer) {
  return {&kDenseBlock, {layer.in}};
}

void tie(Layer& layer, const Layer& encoder) {
  layer.parameters[0] = encoder.parameters[0];
  layer.is_tied = true;
}

}  // namespace

constinit const BlockDef kDenseBlock = {.name = "dense",
                                        .what = "every number from all numbers of the row",
                                        .options = kOptions,
                                        .shape = shape,
                                        .build = build,
                                        .mirror = mirror,
                                        .tie = tie};

}  // namespace diabolo
