// The arithmetic of a convolution's extents, along one axis: what a kernel makes of an image, and
// the way back. Numbers come from whoever writes a model, so each is checked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/checked.h"

namespace diabolo {

// How a kernel walks along one axis. All but the padding is at least 1.
struct ConvWalk {
  int64_t kernel = 1, stride = 1, dilation = 1;
  int64_t before = 0, after = 0;  // zeros beside the image
};

// What a kernel spans, from its first number to its last; nothing if it does not fit.
constexpr std::optional<int64_t> conv_span(const ConvWalk& walk) {
  const auto reach = checked_mul(walk.dilation, walk.kernel - 1);
  return reach ? checked_add<int64_t>(*reach, 1) : std::nullopt;
}

// The padding that is called "same": a grid of ceil(image / stride) for every image, since it goes
// by the kernel alone. What is odd of it lies behind. So a model works the same at every size, and
// with stride 1 and an odd kernel it is what everybody calls "same"; with a stride, TensorFlow's
// goes by the image's size.
constexpr std::optional<ConvWalk> padded_same(ConvWalk walk) {
  const auto span = conv_span(walk);
  if (!span) return std::nullopt;
  walk.before = (*span - 1) / 2;
  walk.after = *span - 1 - walk.before;
  return walk;
}

// Places at which the kernel stands over an image: floor((image + padding - span) / stride) + 1.
// Nothing if there is none, or for numbers that do not fit.
constexpr std::optional<int64_t> conv_grid(int64_t image, const ConvWalk& walk) {
  const auto padding = checked_add(walk.before, walk.after);
  const auto padded = padding ? checked_add(image, *padding) : std::nullopt;
  const auto span = conv_span(walk);
  if (!padded || !span || *padded < *span) return std::nullopt;
  return (*padded - *span) / walk.stride + 1;
}

// What the walk leaves of the padded image behind its last place, 0 … stride - 1: the output
// padding of a transposed convolution that gives just this image. The image has a grid.
constexpr int64_t conv_rest(int64_t image, const ConvWalk& walk) {
  return (image + walk.before + walk.after - *conv_span(walk)) % walk.stride;
}

// The image of a grid: (grid - 1) stride + span - padding + rest. Nothing if that is less than 1,
// or for numbers that do not fit.
constexpr std::optional<int64_t> conv_image(int64_t grid, const ConvWalk& walk, int64_t rest) {
  const auto walked = checked_mul(grid - 1, walk.stride);
  const auto span = conv_span(walk);
  const auto padding = checked_add(walk.before, walk.after);
  if (!walked || !span || !padding) return std::nullopt;
  const auto covered = checked_add(*walked, *span);
  const auto whole = covered ? checked_add(*covered, rest) : std::nullopt;
  if (!whole || *whole <= *padding) return std::nullopt;
  return *whole - *padding;
}

}  // namespace diabolo
