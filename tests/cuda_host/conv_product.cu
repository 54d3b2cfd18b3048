// Convolutions by the tiled product: forward as im2col, the data gradient as sub-pixel phases.
#include "cuda_host/conv_product.h"

#include "cuda_host/conv_operand.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::test {
namespace {

using namespace kernels::cuda;  // NOLINT: the templates under test
using kernels::gpu::MatrixOperand;
using kernels::gpu::MmaLoop;

struct StoreEpilogue {
  struct Params {
    float* out;
  };
  static constexpr bool kSeesStages = false;
  static constexpr int kSlabCopies = 1;
  template <class Loop>
  struct Of {
    GPU_VERB explicit Of(const Params& params) : p(params) {}
    template <class Slab>
    GPU_VERB void begin(const Slab&) const {}
    template <class Slab>
    GPU_VERB void slab(const Slab& slab) const {
      kernels::gpu::sync_block();
      store_slab<Loop>(p.out, slab, slab.values, slab.n % 4 == 0);
    }
    template <class Slab>
    GPU_VERB void finish(const Slab&, float*) const {}
    const Params& p;
  };
};

// Places (y, x) of a phase's grid in an image that it fills every `stride`th pixel of.
struct PhaseRows {
  int grid_height, grid_width, height, width, channels, stride, y, x;

  DIABOLO_HD int64_t row_at(int64_t row) const {
    const int64_t in_y = row / grid_width % grid_height * stride + y;
    const int64_t in_x = row % grid_width * stride + x;
    return ((row / grid_width / grid_height * height + in_y) * width + in_x) * channels;
  }
};

// Square tiles, and as a convolution's weight gradient or its many channels may want them.
template <class Call>
void launch_any(const Call& call, void* stream) {
  using Weight = typename Call::OperandB;
  constexpr Along kB = std::is_same_v<Weight, MatrixOperand> ? Along::kWidth : Along::kDepth;
  if (call.n > 32) {
    launch_tiles<MmaLoop<Bf16, 64, 64, 32, 2, 2, Along::kDepth, kB>, StoreEpilogue>(call, 1,
                                                                                    stream);
  } else {
    launch_tiles<MmaLoop<Bf16, 32, 32, 64, 2, 2, Along::kDepth, kB>, StoreEpilogue>(call, 1,
                                                                                    stream);
  }
}

// One axis of a phase: outputs stride y' + phase meet the taps first, first + stride, ...
struct PhaseAxis {
  int first, taps, offset, grid;
};
PhaseAxis phase_axis(const Conv& c, int phase, int extent) {
  const int first = (phase + c.padding) % c.stride;
  const int taps = c.kernel > first ? (c.kernel - first - 1) / c.stride + 1 : 0;
  return {first, taps, (phase + c.padding - first) / c.stride,
          (extent - phase + c.stride - 1) / c.stride};
}

void launch_phase(const Conv& c, const Bf16* dz, const Bf16* weight, float* dx, int phase_y,
                  int phase_x, void* stream) {
  const PhaseAxis y = phase_axis(c, phase_y, c.H), x = phase_axis(c, phase_x, c.W);
  if (y.grid <= 0 || x.grid <= 0) return;
  ProductCall<TapOperand, TapOperand, PhaseRows, StoreEpilogue::Params> call;
  call.m = int64_t{c.B} * y.grid * x.grid;
  call.n = c.C;
  call.k = call.k_per_split = int64_t{y.taps} * x.taps * c.O;
  call.a = {dz,
            call.m,
            c.O,
            c.out_height(),
            c.out_width(),
            int64_t{c.out_height()} * c.out_width() * c.O,
            c.O,
            y.grid,
            x.grid,
            1,
            y.offset,
            x.offset,
            -1,
            y.taps,
            x.taps};
  call.b = {weight, c.C,     c.O,     c.kernel, c.kernel, c.O,   int64_t{c.C} * c.O, 1, 1,
            1,      y.first, x.first, c.stride, y.taps,   x.taps};
  call.output = {y.grid, x.grid, c.H, c.W, c.C, c.stride, phase_y, phase_x};
  call.epilogue = {dx};
  launch_any(call, stream);
}

template <class Operand>
void launch_forward(const Conv& c, const Operand& taps, int64_t rows, const Bf16* weight, float* y,
                    void* stream) {
  ProductCall<Operand, MatrixOperand, RowMajor, StoreEpilogue::Params> call;
  call.m = rows;
  call.n = c.O;
  call.k = call.k_per_split = int64_t{c.kernel} * c.kernel * c.C;
  call.a = taps;
  call.b = operand(weight, call.k, c.O);
  call.output = {c.O};
  call.epilogue = {y};
  launch_any(call, stream);
}

}  // namespace

void launch_conv_forward(const Conv& c, const Bf16* x, const Bf16* weight, float* y, void* stream) {
  const int64_t rows = int64_t{c.B} * c.out_height() * c.out_width();
  const TapOperand taps = {
      x,   rows,           c.C,           c.H,      c.W,        int64_t{c.H} * c.W * c.C,
      c.C, c.out_height(), c.out_width(), c.stride, -c.padding, -c.padding,
      1,   c.kernel,       c.kernel};
  if (c.C % 8 == 0 && c.O % 8 != 0) {
    launch_forward(c, WideTapOperand{taps}, rows, weight, y, stream);
  } else {
    launch_forward(c, taps, rows, weight, y, stream);
  }
}

void launch_conv_data_grad(const Conv& c, const Bf16* dz, const Bf16* weight, float* dx,
                           void* stream) {
  for (int y = 0; y < c.stride; ++y) {
    for (int x = 0; x < c.stride; ++x) launch_phase(c, dz, weight, dx, y, x, stream);
  }
}

}  // namespace diabolo::test
