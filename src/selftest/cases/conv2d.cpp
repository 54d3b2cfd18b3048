// Convolutions, either way round, and their gradients.
#include "kernels/conv2d.h"

#include "ops/conv2d_operands.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

using kernels::Activation;

template <class T>
void forward(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<Conv2dForwardAttrs>(call);
  kernels::conv2d_forward_reference<T>(
      {.shape = glue::conv2d_shape_of_input(attrs.geometry, call.in_desc[0], call.in_desc[1]),
       .activation = attrs.activation,
       .x = call.input(0),
       .weight = call.input(1),
       .bias = attrs.has_bias ? call.input(2) : nullptr,
       .y = call.output(0),
       .z = attrs.stores_z ? call.output(1) : nullptr});
}

template <class T>
void data_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<Conv2dDataGradAttrs>(call);
  kernels::conv2d_data_grad_reference<T>(
      {.shape = glue::conv2d_shape_of_output(attrs.geometry, call.in_desc[0], call.in_desc[1]),
       .activation = attrs.activation,
       .dz = call.input(0),
       .weight = call.input(1),
       .saved = attrs.has_epilogue ? call.input(2) : nullptr,
       .dx = call.output(0)});
}

template <class T>
void weight_grad(ReferenceCall<T>& call) {
  const auto attrs = attrs_of<Conv2dWeightGradAttrs>(call);
  const bool is_transposed = attrs.geometry.is_transposed;
  kernels::conv2d_weight_grad_reference<T>(
      {.shape = glue::conv2d_shape_of_sides(attrs.geometry, attrs.kernel,
                                            call.in_desc[is_transposed ? 1 : 0],
                                            call.in_desc[is_transposed ? 0 : 1]),
       .accumulates_weight = attrs.accumulates_weight,
       .accumulates_bias = attrs.accumulates_bias,
       .x = call.input(0),
       .dz = call.input(1),
       .d_weight = call.output(0),
       .d_bias = attrs.has_bias ? call.output(1) : nullptr});
}

// A layer: the image that its convolution reads or its transpose makes.
struct Layer {
  const char* name;
  int64_t B, H, W, C, O;
  std::array<int32_t, 2> kernel;
  Conv2dGeometry geometry = {};
};
using Two = std::array<int32_t, 2>;
constexpr Two kOne = {1, 1}, kTwo = {2, 2}, kThree = {3, 3};

// Odd sizes; every number that a line of a model may say, alone and with others.
const Layer kLayers[] = {
    {"one number", 1, 1, 1, 1, 1, kOne},
    {"1x1", 3, 5, 4, 3, 7, kOne},
    {"3x3 valid", 2, 5, 6, 2, 3, kThree},
    {"3x3 same", 2, 5, 7, 3, 4, kThree, {.before = kOne, .after = kOne}},
    {"stride 2", 2, 7, 8, 3, 5, kThree, {.stride = kTwo, .before = kOne, .after = kOne}},
    {"even kernel", 2, 6, 7, 2, 3, {4, 4}, {.stride = kTwo, .before = kOne, .after = kTwo}},
    {"2x3 stride 1x2", 2, 5, 9, 1, 4, {2, 3}, {.stride = {1, 2}, .before = {0, 1}}},
    {"stride over kernel", 2, 9, 8, 2, 3, kTwo, {.stride = kThree}},
    {"1x1 stride 2", 2, 6, 5, 3, 2, kOne, {.stride = kTwo}},
    {"dilation", 2, 8, 9, 2, 3, kThree, {.dilation = {2, 3}, .before = kTwo, .after = kOne}},
    {"dilation and stride", 2, 9, 10, 2, 2, kThree, {.stride = {2, 3}, .dilation = {3, 2}}},
    {"kernel over image", 2, 2, 3, 2, 3, {5, 5}, {.before = kTwo, .after = kTwo}},
    {"padding over kernel", 2, 3, 2, 2, 2, kOne, {.stride = kTwo, .before = kTwo, .after = kThree}},
    {"groups", 2, 5, 4, 4, 6, kThree, {.before = kOne, .after = kOne, .groups = 2}},
    {"depthwise", 2, 6, 5, 5, 5, kThree, {.stride = kTwo, .before = kOne, .groups = 5}},
    {"depthwise x2", 2, 4, 5, 3, 6, kThree, {.before = kOne, .groups = 3}},
    {"groups to one each", 2, 4, 3, 6, 3, kTwo, {.dilation = kTwo, .after = kTwo, .groups = 3}},
    {"channels 1 to 17", 3, 6, 6, 1, 17, kThree, {.before = kOne, .after = kOne}},
    {"channels 33 to 1", 3, 5, 5, 33, 1, kThree, {.before = kOne, .after = kOne}},
    {"channels 4 to 4", 3, 6, 7, 4, 4, kThree, {.stride = kTwo, .before = kOne, .after = kOne}},
};
// For many activations, fills and batches.
const Layer kSmall = {"small", 23, 5,      4,
                      3,       5,  kThree, {.stride = kTwo, .before = kOne, .after = kOne}};
const Layer kGrouped = {"grouped", 23, 4, 5, 4, 8, kTwo, {.stride = {1, 2}, .groups = 2}};
// Several chunks of cells and several threads; a tail in each.
const Layer kLarge[] = {
    {"large", 21, 14, 14, 32, 40, kThree, {.stride = kTwo, .before = kOne, .after = kOne}},
    {"large to 1", 21, 28, 28, 1, 32, kThree, {.stride = kTwo, .before = kOne, .after = kOne}},
    {"large depthwise", 33, 14, 15, 24, 24, kThree, {.before = kOne, .after = kOne, .groups = 24}},
    {"large image", 1, 130, 67, 4, 9, {5, 5}, {.before = kTwo, .after = kTwo}},
};
// Gradients of weights whose sums are one part, of which threads share the taps: with panels that
// are full, with a tail, and own loops over few channels.
const Layer kOnePart[] = {
    {"one part", 21, 14, 14, 8, 16, kThree, {.before = kOne, .after = kOne}},
    {"one part with a tail", 21, 14, 14, 8, 21, kThree, {.before = kOne, .after = kOne}},
    {"large groups", 21, 14, 15, 8, 16, kThree, {.before = kOne, .after = kOne, .groups = 2}},
};

TensorDesc image_desc(DType dtype, const Layer& l) {
  return TensorDesc(dtype, {l.B, l.H, l.W, l.C});
}
TensorDesc weight_desc(DType dtype, const Layer& l) {
  return TensorDesc(dtype, {l.kernel[0], l.kernel[1], l.C / l.geometry.groups, l.O});
}
TensorDesc grid_desc(DType dtype, const Layer& l) {
  Conv2dGeometry geometry = l.geometry;
  geometry.is_transposed = false;
  return glue::desc_of(dtype, kernels::grid_side(glue::conv2d_shape_of_input(
                                  geometry, image_desc(dtype, l), weight_desc(dtype, l))));
}

// The layer the other way round, or the same: its image comes back in its own size.
Layer turned(Layer layer, bool is_transposed) {
  const Two extents = {static_cast<int32_t>(layer.H), static_cast<int32_t>(layer.W)};
  for (size_t k = 0; k < 2; ++k)
    layer.geometry.rest[k] =
        static_cast<int32_t>(conv_rest(extents[k], layer.geometry.walk(k, layer.kernel[k])));
  layer.geometry.is_transposed = is_transposed;
  return layer;
}
TensorDesc input_desc(DType dtype, const Layer& l) {
  return l.geometry.is_transposed ? grid_desc(dtype, l) : image_desc(dtype, l);
}
TensorDesc output_desc(DType dtype, const Layer& l) {
  return l.geometry.is_transposed ? image_desc(dtype, l) : grid_desc(dtype, l);
}

std::string text_of(const Layer& l, DType dtype, Fill fill) {
  return cat(l.name, l.geometry.is_transposed ? " transposed " : " ", name(dtype), " ", name(fill));
}
// Weights stay ordinary where the rest is extreme.
Fill beside(Fill fill) {
  return fill == Fill::kLarge || fill == Fill::kTiny ? Fill::kUniform : fill;
}

Case& add_forward(CaseList& list, const Layer& l, DType dtype, Fill fill,
                  Conv2dForwardAttrs attrs = {}) {
  attrs.geometry = l.geometry;
  std::vector<Operand> in = {{input_desc(dtype, l), fill}, {weight_desc(dtype, l), beside(fill)}};
  if (attrs.has_bias)
    in.push_back({TensorDesc(accum_of(dtype), {output_desc(dtype, l).extent(3)}), beside(fill)});
  Case& added = list.add(kConv2dForward, attrs,
                         cat(kernels::name(attrs.activation), " ", text_of(l, dtype, fill),
                             attrs.has_bias ? "" : " no_bias", attrs.stores_z ? " with_z" : ""),
                         in);
  added.has_rows = {true, false, false};
  return added;
}

Case& add_data(CaseList& list, const Layer& l, DType dtype, Fill fill,
               Conv2dDataGradAttrs attrs = {}) {
  attrs.geometry = l.geometry;
  std::vector<Operand> in = {{output_desc(dtype, l), fill}, {weight_desc(dtype, l), beside(fill)}};
  if (attrs.has_epilogue) in.push_back({input_desc(dtype, l), beside(fill)});
  Case& added = list.add(kConv2dDataGrad, attrs,
                         cat(attrs.has_epilogue ? kernels::name(attrs.activation) : "plain", " ",
                             text_of(l, dtype, fill)),
                         in);
  added.has_rows = {true, false, true};
  return added;
}

Case& add_weight(CaseList& list, const Layer& l, DType dtype, Fill fill,
                 Conv2dWeightGradAttrs attrs = {}) {
  attrs.geometry = l.geometry;
  attrs.kernel = l.kernel;
  std::vector<Fill> out = {attrs.accumulates_weight ? beside(fill) : Fill::kGarbage};
  if (attrs.has_bias) out.push_back(attrs.accumulates_bias ? beside(fill) : Fill::kGarbage);
  return list.add(kConv2dWeightGrad, attrs,
                  cat(text_of(l, dtype, fill), attrs.has_bias ? "" : " no_bias",
                      attrs.accumulates_weight ? " adds_weight" : "",
                      attrs.accumulates_bias ? " adds_bias" : ""),
                  {{input_desc(dtype, l), beside(fill)}, {output_desc(dtype, l), fill}}, out);
}

// Calls f(layer, dtype, number) for every layer, both ways round, in every type. What a case has
// besides goes by the number, so that no two of a layer are alike and there are few of them.
template <class F>
void for_each_layer(std::span<const Layer> layers, bool with_f64, const F& f) {
  size_t number = 0;
  for (const DType dtype : kComputeTypes)
    for (const Layer& layer : layers)
      for (const bool is_transposed : {false, true})
        if (with_f64 || dtype != DType::kF64) f(turned(layer, is_transposed), dtype, number++);
}

constexpr Fill kFills[] = {Fill::kUniform, Fill::kLarge, Fill::kTiny, Fill::kSparse};

// Calls f(layer, dtype, activation, fill) for every activation, one way round, then the other.
template <class F>
void for_each_activation(const F& f) {
  for (const DType dtype : kComputeTypes)
    for (int a = 0; a < kernels::kActivationCount; ++a)
      f(turned(a % 3 == 2 ? kGrouped : kSmall, a % 2 == 1), dtype, static_cast<Activation>(a),
        kFills[a % 4]);
}

void list_forward(CaseList& list) {
  for_each_layer(kLayers, true, [&](const Layer& l, DType dtype, size_t number) {
    const Conv2dForwardAttrs attrs[] = {
        {.activation = Activation::kTanh},
        {.has_bias = false},
        {.activation = Activation::kSilu, .has_bias = false, .stores_z = true}};
    add_forward(list, l, dtype, number % 3 == 1 ? Fill::kIntegers : Fill::kUniform,
                attrs[number % 3]);
  });
  for_each_activation([&](const Layer& l, DType dtype, Activation activation, Fill fill) {
    add_forward(list, l, dtype, fill,
                {.activation = activation,
                 .has_bias = fill != Fill::kTiny,
                 .stores_z = fill != Fill::kLarge})
        .is_quick = fill == Fill::kUniform;
  });
  for_each_layer(kLarge, false, [&](const Layer& l, DType dtype, size_t) {
    add_forward(list, l, dtype, Fill::kUniform, {.activation = Activation::kRelu}).is_large = true;
  });
}

void list_data(CaseList& list) {
  for_each_layer(kLayers, true, [&](const Layer& l, DType dtype, size_t number) {
    const Conv2dDataGradAttrs attrs[] = {{},
                                         {.activation = Activation::kRelu, .has_epilogue = true},
                                         {.activation = Activation::kTanh, .has_epilogue = true}};
    add_data(list, l, dtype, number % 3 == 1 ? Fill::kIntegers : Fill::kUniform, attrs[number % 3]);
  });
  for_each_activation([&](const Layer& l, DType dtype, Activation activation, Fill fill) {
    Case& added = add_data(list, l, dtype, fill, {.activation = activation, .has_epilogue = true});
    added.is_quick = fill == Fill::kUniform;
    if (activation != Activation::kTanh) return;
    const TensorDesc rows(dtype, {added.in[2].desc.extent(0), row_elems(added.in[2].desc)});
    added.in[2].desc = added.out[0].desc = rows;
  });
  for_each_layer(kLarge, false, [&](const Layer& l, DType dtype, size_t) {
    add_data(list, l, dtype, Fill::kUniform,
             {.activation = Activation::kRelu, .has_epilogue = true})
        .is_large = true;
  });
}

void list_weight(CaseList& list) {
  for_each_layer(kLayers, true, [&](const Layer& l, DType dtype, size_t number) {
    const Conv2dWeightGradAttrs attrs[] = {
        {}, {.accumulates_weight = true, .accumulates_bias = true}, {.accumulates_bias = true}};
    add_weight(list, l, dtype, number % 3 == 1 ? Fill::kIntegers : Fill::kUniform,
               attrs[number % 3]);
  });
  const Layer smalls[] = {kSmall, kGrouped};
  for_each_layer(smalls, true, [&](const Layer& l, DType dtype, size_t number) {
    const Fill fill = kFills[number % 4];
    add_weight(list, l, dtype, fill, {.has_bias = false}).is_quick = true;
    add_weight(list, l, dtype, kFills[(number + 1) % 4], {.accumulates_weight = true});
    add_weight(list, l, dtype, kFills[(number + 2) % 4], {.accumulates_bias = true});
  });
  for_each_layer(kLarge, false, [&](const Layer& l, DType dtype, size_t) {
    add_weight(list, l, dtype, Fill::kUniform).is_large = true;
  });
  for_each_layer(kOnePart, false, [&](const Layer& l, DType dtype, size_t number) {
    add_weight(list, l, dtype, Fill::kUniform, {.accumulates_weight = number % 2 == 1}).is_large =
        true;
  });
}

}  // namespace

constinit const OpCases kConv2dForwardCases = {&kConv2dForward, DIABOLO_REFERENCE(forward),
                                               list_forward, forward<Complex>};
constinit const OpCases kConv2dDataGradCases = {&kConv2dDataGrad, DIABOLO_REFERENCE(data_grad),
                                                list_data};
constinit const OpCases kConv2dWeightGradCases = {&kConv2dWeightGrad,
                                                  DIABOLO_REFERENCE(weight_grad), list_weight};

}  // namespace diabolo::selftest
