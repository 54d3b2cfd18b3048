// conv and conv_transpose: convolutions over rows that are images, [height, width, channels]. Each
// is the other's mirror, and an image that goes through both comes back in its own size.
#include <array>
#include <cmath>
#include <tuple>

#include "model/block.h"
#include "model/model_graph.h"
#include "ops/conv2d.h"

namespace diabolo {
namespace {

// Where they stand in the tables below.
enum Said : size_t { kChannels, kKernel, kStride, kEdges, kPadding, kDilation, kGroups, kRest };

constexpr int64_t kMostSteps = 1024;  // of what is a few pixels
constexpr int64_t kUnsaid = -1;
constexpr std::array kEdgeWords = {"same", "valid"};

constexpr BlockOption kOfBoth[] = {
    {.name = "channels", .meaning = "channels of its rows, such as 32"},
    {.name = "kernel",
     .meaning = "height and width, or both",
     .high = kMostSteps,
     .most = 2,
     .standard = 3},
    {.name = "stride",
     .meaning = "steps down and across, or both",
     .high = kMostSteps,
     .most = 2,
     .standard = 1},
    {.name = "edges",
     .meaning =
         "same: zeros around the image, so that only the stride makes it smaller; valid: none",
     .standard = kUnsaid,
     .words = kEdgeWords},
    {.name = "padding",
     .meaning = "zeros on each side; above and below x left and right; or above x below x left x "
                "right; in place of same or valid",
     .low = 0,
     .high = kMostSteps,
     .most = 4,
     .standard = kUnsaid},
    {.name = "dilation",
     .meaning = "from one number of the kernel to the next, down and across, or both",
     .high = kMostSteps,
     .most = 2,
     .standard = 1},
    {.name = "groups",
     .meaning = "channels of one group read those of the same group alone",
     .standard = 1},
};
constexpr BlockOption kOutputPadding = {
    .name = "output_padding",
    .meaning =
        "rows below and columns on the right that the stride has left over, or both; less "
        "than the stride",
    .low = 0,
    .high = kMostSteps - 1,
    .most = 2,
    .standard = 0};
constexpr std::array kConvOptions = std::to_array(kOfBoth);
constexpr std::array kTransposeOptions = {kOfBoth[0], kOfBoth[1], kOfBoth[2], kOfBoth[3],
                                          kOfBoth[4], kOfBoth[5], kOfBoth[6], kOutputPadding};

[[noreturn]] void refuse(const Layer& layer, const std::string& what) {
  throw Error(ErrorCode::kUsage, cat(layer.name, ": \"", layer.line.text(), "\": ", what));
}

std::array<int32_t, 2> both(const std::vector<int64_t>& numbers) {
  return {static_cast<int32_t>(numbers.front()), static_cast<int32_t>(numbers.back())};
}

// "same" where the line says nothing.
void read_padding(const Layer& layer, const std::array<int32_t, 2>& kernel, Conv2dGeometry& g) {
  const std::vector<int64_t>& said = layer.line.options[kPadding];
  const int64_t edges = layer.line.options[kEdges].front();
  if (said.front() == kUnsaid) {
    if (edges == 1) return;  // valid
    for (size_t axis = 0; axis < 2; ++axis) {
      const ConvWalk same = *padded_same(g.walk(axis, kernel[axis]));
      g.before[axis] = static_cast<int32_t>(same.before);
      g.after[axis] = static_cast<int32_t>(same.after);
    }
    return;
  }
  if (edges != kUnsaid)
    refuse(layer, cat("expected a padding or ", kEdgeWords[static_cast<size_t>(edges)],
                      ", found both; take one of them out"));
  if (said.size() == 3) refuse(layer, "padding: expected 1, 2 or 4 numbers, found 3");
  g.before = g.after = both(said);
  if (said.size() < 4) return;
  for (size_t axis = 0; axis < 2; ++axis) {
    g.before[axis] = static_cast<int32_t>(said[2 * axis]);
    g.after[axis] = static_cast<int32_t>(said[2 * axis + 1]);
  }
}

struct Convolution {
  std::array<int32_t, 2> kernel;
  Conv2dGeometry geometry;
};

bool is_transpose(const Layer& layer) {
  return layer.line.block == &kConvTransposeBlock;
}

Convolution convolution_of(const Layer& layer) {
  const auto& said = layer.line.options;
  Convolution of{both(said[kKernel]), {}};
  of.geometry.stride = both(said[kStride]);
  of.geometry.dilation = both(said[kDilation]);
  of.geometry.groups = static_cast<int32_t>(said[kGroups].front());
  of.geometry.is_transposed = is_transpose(layer);
  read_padding(layer, of.kernel, of.geometry);
  if (!is_transpose(layer)) return of;
  of.geometry.rest = both(said[kRest]);
  for (size_t axis = 0; axis < 2; ++axis)
    if (of.geometry.rest[axis] >= of.geometry.stride[axis])
      refuse(layer, cat("output_padding: expected less than the stride, ", of.geometry.stride[axis],
                        ", found ", of.geometry.rest[axis]));
  return of;
}

// Height, width, channels; rows of two extents have one channel.
Extents image_of(const Layer& layer) {
  Extents image = layer.in;
  if (image.size() == 2) image.push_back(1);
  if (image.size() != 3)
    refuse(layer, cat("expected images, rows of height x width x channels, found rows of ",
                      shape_text(layer.in)));
  return image;
}

int64_t extent_of(const Layer& layer, const Convolution& of, size_t axis, int64_t in) {
  const ConvWalk walk = of.geometry.walk(axis, of.kernel[axis]);
  const auto out =
      is_transpose(layer) ? conv_image(in, walk, of.geometry.rest[axis]) : conv_grid(in, walk);
  if (out) return *out;
  if (is_transpose(layer))
    refuse(layer, cat("its padding leaves nothing of rows of ", shape_text(layer.in)));
  refuse(layer, cat("expected images of at least ", conv_span(walk).value_or(0),
                    axis == 0 ? " rows" : " columns",
                    " with their padding, which is what its "
                    "kernel spans, found ",
                    shape_text(layer.in)));
}

// Weight and bias uniform in ±1/sqrt(n), n the numbers that a kernel has for one of the grid's
// channels, as PyTorch's Conv2d and ConvTranspose2d.
void shape(Layer& layer) {
  const Convolution of = convolution_of(layer);
  const Extents in = image_of(layer);
  const int64_t channels = layer.line.options[kChannels].front(), groups = of.geometry.groups;
  if (in[2] % groups != 0 || channels % groups != 0)
    refuse(layer, cat("groups: expected a number that divides its ", channels, " channels and the ",
                      in[2], " that it reads, found ", groups));
  layer.out = {extent_of(layer, of, 0, in[0]), extent_of(layer, of, 1, in[1]), channels};
  elems_of(layer.out);
  const int64_t C = (is_transpose(layer) ? channels : in[2]) / groups;
  const int64_t O = is_transpose(layer) ? in[2] : channels;
  const int64_t R = of.kernel[0], S = of.kernel[1];
  const Init init{0, static_cast<float>(1.0 / std::sqrt(static_cast<double>(R * S * C)))};
  layer.parameters = {{layer.name + ".weight", parameter_desc(layer, {R, S, C, O}), init},
                      {layer.name + ".bias", parameter_desc(layer, {channels}), init}};
}

ValueId build(const LayerBuild& build) {
  const auto& [model, layer, x, activation] = build;
  Graph& graph = model.graph();
  const Extents in = image_of(layer);
  const int64_t rows = graph.value(x).desc.extent(0);
  Conv2dForwardAttrs attrs;
  attrs.geometry = convolution_of(layer).geometry;
  attrs.activation = activation;
  attrs.stores_z = model.is_training() && kernels::saves_z(activation);
  const ValueId images = graph.reshape(x, {rows, in[0], in[1], in[2]});
  const ValueId weight = model.weight(layer.parameters[0]);
  const ValueId bias = model.parameter(layer.parameters[1]);
  return graph.add(kConv2dForward, attrs, {images, weight, bias}, layer.name).front();
}

// What the other block is told: the same, the channels that this one reads, and where it makes an
// image what this one's stride left over of it.
LayerLine mirror(const Layer& layer) {
  const Convolution of = convolution_of(layer);
  const Extents in = image_of(layer);
  auto options = layer.line.options;
  options[kChannels] = {in[2]};
  if (is_transpose(layer)) {
    options.pop_back();
    return {&kConvBlock, std::move(options)};
  }
  const int64_t down = conv_rest(in[0], of.geometry.walk(0, of.kernel[0]));
  const int64_t across = conv_rest(in[1], of.geometry.walk(1, of.kernel[1]));
  options.push_back(down == across ? std::vector{down} : std::vector{down, across});
  return {&kConvTransposeBlock, std::move(options)};
}

// Both store the weight of the convolution, whichever way round they use it. How their lines say it
// may differ: "same" is a padding, too.
void tie(Layer& layer, const Layer& encoder) {
  const auto weight_like = [](const Layer& of) {
    const auto [kernel, g] = convolution_of(of);
    return std::tuple(kernel, g.stride, g.dilation, g.before, g.after, g.groups);
  };
  if (weight_like(layer) != weight_like(encoder) ||
      layer.parameters[0].desc != encoder.parameters[0].desc)
    refuse(layer, cat("expected the encoder's layer the other way round, \"",
                      mirror(encoder).text(), "\", to share its weights"));
  layer.parameters[0] = encoder.parameters[0];
  layer.is_tied = true;
}

}  // namespace

constinit const BlockDef kConvBlock = {
    .name = "conv",
    .what = "every pixel's channels from those around it, by one kernel for all",
    .options = kConvOptions,
    .shape = shape,
    .build = build,
    .mirror = mirror,
    .tie = tie};
constinit const BlockDef kConvTransposeBlock = {
    .name = "conv_transpose",
    .what = "a convolution the other way round: every pixel gives to those around it",
    .options = kTransposeOptions,
    .shape = shape,
    .build = build,
    .mirror = mirror,
    .tie = tie};

}  // namespace diabolo
