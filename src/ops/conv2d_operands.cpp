#include "ops/conv2d_operands.h"

namespace diabolo::glue {
namespace {

using kernels::Conv2dShape;
using kernels::ConvAxis;

constexpr int kChannels = 3;

void expect_geometry(const Conv2dGeometry& g) {
  bool is_sound = g.groups >= 1;
  for (const size_t axis : {size_t{0}, size_t{1}})
    is_sound &= g.stride[axis] >= 1 && g.dilation[axis] >= 1 && g.before[axis] >= 0 &&
                g.after[axis] >= 0 && g.rest[axis] >= 0 && g.rest[axis] < g.stride[axis];
  if (!is_sound)
    throw Error(ErrorCode::kUsage,
                cat("a convolution: expected strides, dilations and groups of at least 1, padding "
                    "of at least 0 and an output padding below the stride, found ",
                    conv2d_text(g)));
}

void expect_images(const char* operand, const TensorDesc& found) {
  expect_compute_type(operand, found);
  expect(found.rank() == 4 && found.elems() > 0, operand, "images [rows,height,width,channels]",
         found);
}

// The axis of which one side is known; `known` is the operand's name.
ConvAxis axis_from(const Conv2dGeometry& g, size_t axis, int64_t kernel, bool has_image,
                   const char* operand, const TensorDesc& known) {
  const int64_t extent = known.extent(static_cast<int>(axis) + 1);
  const ConvWalk walk = g.walk(axis, kernel);
  const auto other = has_image ? conv_grid(extent, walk) : conv_image(extent, walk, g.rest[axis]);
  expect(other.has_value(), operand,
         has_image ? cat("images of at least the kernel's ", axis == 0 ? "height" : "width", ", ",
                         conv_span(walk).value_or(0), ", with their padding")
                   : std::string("an image of which the padding leaves something"),
         known);
  return {has_image ? extent : *other,
          has_image ? *other : extent,
          kernel,
          walk.stride,
          walk.dilation,
          walk.before};
}

// One side is `known`, the other follows.
Conv2dShape shape_from(const Conv2dGeometry& g, bool has_image, const char* operand,
                       const TensorDesc& known, const TensorDesc& weight) {
  expect_geometry(g);
  expect_images(operand, known);
  expect(weight.rank() == 4 && weight.elems() > 0 && weight.dtype() == known.dtype(), "weight",
         cat(name(known.dtype()), "[height,width,channels of a group,channels]"), weight);
  const int64_t channels = known.extent(kChannels);
  const auto C = checked_mul<int64_t>(weight.extent(2), g.groups);
  const int64_t O = weight.extent(3);
  expect(C && O % g.groups == 0 && channels == (has_image ? *C : O), "weight",
         has_image ? cat("one of ", g.groups, " groups for images of ", channels, " channels")
                   : cat("one of ", g.groups, " groups and ", channels, " channels"),
         weight);
  return {.B = known.extent(0),
          .h = axis_from(g, 0, weight.extent(0), has_image, operand, known),
          .w = axis_from(g, 1, weight.extent(1), has_image, operand, known),
          .C = *C,
          .O = O,
          .groups = g.groups,
          .is_transposed = g.is_transposed};
}

}  // namespace

Conv2dShape conv2d_shape_of_input(const Conv2dGeometry& geometry, const TensorDesc& x,
                                  const TensorDesc& weight) {
  return shape_from(geometry, !geometry.is_transposed, "x", x, weight);
}

Conv2dShape conv2d_shape_of_output(const Conv2dGeometry& geometry, const TensorDesc& dz,
                                   const TensorDesc& weight) {
  return shape_from(geometry, geometry.is_transposed, "dz", dz, weight);
}

Conv2dShape conv2d_shape_of_sides(const Conv2dGeometry& g, const std::array<int32_t, 2>& kernel,
                                  const TensorDesc& image, const TensorDesc& grid) {
  expect_images(g.is_transposed ? "dz" : "x", image);
  expect_images(g.is_transposed ? "x" : "dz", grid);
  expect(image.extent(kChannels) % std::max(g.groups, 1) == 0, g.is_transposed ? "dz" : "x",
         cat("channels in ", g.groups, " groups"), image);
  const TensorDesc weight(image.dtype(),
                          {kernel[0], kernel[1], image.extent(kChannels) / std::max(g.groups, 1),
                           grid.extent(kChannels)});
  const Conv2dShape shape = shape_from(g, true, g.is_transposed ? "dz" : "x", image, weight);
  expect_desc(g.is_transposed ? "x" : "dz", desc_of(image.dtype(), grid_side(shape)), grid);
  return shape;
}

TensorDesc desc_of(DType dtype, const kernels::ConvSide& side) {
  return TensorDesc(dtype, {side.B, side.rows, side.columns, side.channels});
}

double conv2d_flops(const Conv2dShape& s) {
  return 2.0 * static_cast<double>(s.B * s.h.grid * s.w.grid) *
         static_cast<double>(s.weight_elems());
}

std::string conv2d_text(const Conv2dGeometry& g) {
  const auto pair = [](const std::array<int32_t, 2>& both) {
    return both[0] == both[1] ? cat(both[0]) : cat(both[0], "x", both[1]);
  };
  std::string text = cat("stride ", pair(g.stride));
  if (g.dilation[0] != 1 || g.dilation[1] != 1) text += cat(", dilation ", pair(g.dilation));
  if (g.before[0] + g.before[1] + g.after[0] + g.after[1] != 0)
    text += cat(", padding ", pair(g.before), " and ", pair(g.after));
  if (g.rest[0] + g.rest[1] != 0) text += cat(", output padding ", pair(g.rest));
  if (g.groups != 1) text += cat(", ", g.groups, " groups");
  return g.is_transposed ? text + ", transposed" : text;
}

}  // namespace diabolo::glue
