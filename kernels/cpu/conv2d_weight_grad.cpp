// The gradient of a convolution's weights, and of its bias.
//
// d_weight = patches^T grid, in chunks of cells that stay in the second-level cache, each of which
// adds to the sums of its part: floats by own tiles (conv_tiles.h), bf16 as patches and a product.
// How many parts there are goes by the shape alone, and they are added up in order, so the bits are
// those of any number of threads. Where one part alone is worth its memory, the threads share its
// taps, each with a copy of the grid's tail for itself. Products are of one thread: those that
// several share have other bits; so bf16 has more parts where they are large.
//
// With groups, own loops, a tap at a time: the sums of an image, then those of all images in order.
#include <memory>

#include "kernels/cpu/conv_gather.h"
#include "kernels/cpu/conv_tiles.h"
#include "kernels/cpu/dense_product.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

constexpr int64_t kChunkBytes = int64_t{512} << 10;
constexpr int64_t kLeastCells = 128, kMostCells = kTileCells;
// Of parts: so many at most, of so many bytes together, each of at least so much work.
constexpr int64_t kMostParts = 16;
constexpr int64_t kPartsBytes = int64_t{32} << 20;
constexpr int64_t kPartFlops = 8'000'000;
constexpr int64_t kProductParts = 4;  // of bf16, however many bytes

template <class T>
struct Sides {
  const T *image, *grid;
};
template <class T>
Sides<T> sides_of(const Conv2dWeightGrad<T>& p) {
  return p.shape.is_transposed ? Sides<T>{p.dz, p.x} : Sides<T>{p.x, p.dz};
}

// out = sums, or grows by them.
void put(bool accumulates, const float* sums, int64_t n, float* out) {
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) out[k] = accumulates ? out[k] + sums[k] : sums[k];
}

// --- d_bias --------------------------------------------------------------------------------------

// Rows of dz [cells, channels] that are summed at once; errors grow with their number.
constexpr int64_t kSumRows = 4096;

template <class T>
struct BiasSums {
  explicit BiasSums(const Conv2dWeightGrad<T>& p) {
    const ConvSide side = conv2d_output(p.shape);
    channels = side.channels;
    rows = side.B * side.rows * side.columns;
    parts = p.d_bias ? chunk_count(rows, kSumRows) : 0;
  }
  int64_t rows, channels, parts;
};

// sums [channels] = the columns' of `rows` rows. Few channels: rows side by side fill the vectors.
template <class T>
[[gnu::always_inline]] inline void sum_rows(const T* dz, int64_t rows, int64_t channels,
                                            float* sums) {
  constexpr int64_t kLanes = 64;
  std::fill_n(sums, channels, 0.0f);
  int64_t row = 0;
  if (channels < kLanes) {
    float lanes[kLanes] = {};
    const int64_t beside = kLanes / channels, width = beside * channels;
    for (; row + beside <= rows; row += beside)
      for (int64_t k = 0; k < width; ++k) lanes[k] += widen(dz[row * channels + k]);
    for (int64_t k = 0; k < width; ++k) sums[k % channels] += lanes[k];
  }
  for (; row < rows; ++row)
    for (int64_t k = 0; k < channels; ++k) sums[k] += widen(dz[row * channels + k]);
}

template <class T>
void sum_bias(const Conv2dWeightGrad<T>& p, const BiasSums<T>& of, const Team& team, float* sums) {
  parallel_for(team.threads, of.parts, [&](int64_t part) {
    const Range rows = chunk_range(part, kSumRows, of.rows);
    on_isa(team.isa, [&] {
      sum_rows(p.dz + rows.begin * of.channels, rows.size(), of.channels,
               sums + part * of.channels);
    });
  });
  for (int64_t part = 0; part < of.parts; ++part)
    put(p.accumulates_bias || part > 0, sums + part * of.channels, of.channels, p.d_bias);
}

// --- d_weight as products ------------------------------------------------------------------------

template <class T>
class Plan {
 public:
  static constexpr bool kHasTiles = std::is_same_v<T, float>;

  Plan(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu)
      : gather_(gathers_of(p.shape, false)[0]),
        inner_(gather_.taps() * p.shape.C),
        outer_(p.shape.O),
        cpu_(cpu) {
    const int64_t cells = gather_.cells();
    const int64_t cell_bytes = (inner_ + outer_) * static_cast<int64_t>(sizeof(T));
    chunk_ = std::min(cells, std::clamp(kChunkBytes / cell_bytes / 8 * 8, kLeastCells, kMostCells));
    const int64_t chunks = chunk_count(cells, chunk_);
    const double flops = 2.0 * static_cast<double>(cells) * static_cast<double>(elems());
    const int64_t worth = static_cast<int64_t>(
        std::min(flops / static_cast<double>(kPartFlops), static_cast<double>(kMostParts)));
    const int64_t parts = std::clamp<int64_t>(
        std::min(worth, std::max(kPartsBytes / (elems() * int64_t{sizeof(float)}),
                                 kHasTiles ? 1 : kProductParts)),
        1, chunks);
    part_cells_ = chunk_count(chunks, parts) * chunk_;
    parts_ = chunk_count(cells, part_cells_);
    threads_ = threads_for(cpu.threads, flops / 100);
    tap_ranges_ = parts_ > 1 ? 1 : std::min<int64_t>(threads_, gather_.taps());
    cpu_.threads = 1;
    if (kHasTiles) return;
    first_ = product(chunk_, false);
    if (cells > chunk_) more_ = product(chunk_, true);
    if (cells % chunk_ > 0) tail_ = product(cells % chunk_, cells > chunk_ && !tail_begins_part());
  }

  int64_t elems() const { return inner_ * outer_; }
  int64_t parts() const { return parts_; }
  int threads() const { return threads_; }
  uint64_t scratch_bytes() const { return static_cast<uint64_t>(parts_) * part_bytes(); }
  const Gather& gather() const { return gather_; }
  int64_t chunk() const { return chunk_; }
  int64_t outer() const { return outer_; }
  Range cells_of(int64_t part) const { return chunk_range(part, part_cells_, gather_.cells()); }

  // Of a part: its sums, patches, as much of the grid, the products'.
  char* part(void* scratch, int64_t index) const {
    return static_cast<char*>(scratch) + static_cast<uint64_t>(index) * part_bytes();
  }
  float* sums(char* part) const { return reinterpret_cast<float*>(part); }
  // The taps of a part in so many ranges, for a thread each. Which are together shows in no bit.
  int64_t tap_ranges() const { return tap_ranges_; }
  Range taps_of(int64_t range) const {
    const int64_t taps = gather_.taps();
    return {range * taps / tap_ranges_, (range + 1) * taps / tap_ranges_};
  }
  // Where tiles copy to what they read of the grid.
  float* tail(char* part, int64_t range) const {
    return reinterpret_cast<float*>(part + bytes_of<float>(elems()) +
                                    static_cast<uint64_t>(range) * tail_bytes());
  }
  T* patches(char* part) const { return reinterpret_cast<T*>(part + bytes_of<float>(elems())); }
  T* grid(char* part) const {
    return reinterpret_cast<T*>(part + bytes_of<float>(elems()) + bytes_of<T>(chunk_ * inner_));
  }

  // The products of one part: of its first chunk, of others, and of the last of all.
  struct Products {
    std::function<void()> first, more, tail;
  };
  Products bound(void* scratch, int64_t index) const {
    char* own = part(scratch, index);
    void* rest = reinterpret_cast<char*>(grid(own)) + bytes_of<T>(chunk_ * outer_);
    const auto bind = [&](const std::unique_ptr<const Product>& product) {
      return product ? product->bind({patches(own), grid(own), nullptr, sums(own), rest})
                     : std::function<void()>();
    };
    return {bind(first_), bind(more_), bind(tail_)};
  }

 private:
  bool tail_begins_part() const { return gather_.cells() % part_cells_ < chunk_; }

  std::unique_ptr<const Product> product(int64_t rows, bool adds) {
    auto made = make_product({{element_of<T>(), inner_, rows, true},
                              {element_of<T>(), rows, outer_, false},
                              Element::kF32,
                              false,
                              adds,
                              cpu_,
                              0,
                              true});
    product_bytes_ = std::max(product_bytes_, align_64(made->scratch_bytes()));
    return made;
  }
  uint64_t tail_bytes() const {
    return bytes_of<float>(chunk_ * tile_weight_scratch(isa_of(cpu_), outer_));
  }
  uint64_t part_bytes() const {
    if (kHasTiles)
      return bytes_of<float>(elems()) + static_cast<uint64_t>(tap_ranges_) * tail_bytes();
    return bytes_of<float>(elems()) + bytes_of<T>(chunk_ * inner_) + bytes_of<T>(chunk_ * outer_) +
           product_bytes_;
  }

  Gather gather_;
  int64_t inner_, outer_;
  CpuFeatures cpu_;
  int64_t chunk_ = 0, part_cells_ = 0, parts_ = 0, tap_ranges_ = 1;
  int threads_ = 1;
  std::unique_ptr<const Product> first_, more_, tail_;
  uint64_t product_bytes_ = 0;
};

template <class T>
class Bound {
 public:
  Bound(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu, void* scratch)
      : call_(p), plan_(p, cpu), isa_(isa_of(cpu)), scratch_(scratch) {
    for (int64_t part = 0; part < plan_.parts() && !Plan<T>::kHasTiles; ++part)
      products_.push_back(plan_.bound(scratch, part));
  }

  void run() const {
    sum_parts();
    parallel_for(plan_.threads(), chunk_count(plan_.elems(), kChunk), [&](int64_t chunk) {
      on_isa(isa_, [&] { add_parts(chunk_range(chunk, kChunk, plan_.elems())); });
    });
  }

 private:
  void sum_parts() const {
    if constexpr (!Plan<T>::kHasTiles) {
      guarded_parallel_for(plan_.threads(), plan_.parts(), [&](int64_t part) { sum_part(part); });
    } else {
      const int64_t ranges = plan_.tap_ranges();
      parallel_for(plan_.threads(), plan_.parts() * ranges,
                   [&](int64_t k) { sum_tiles(k / ranges, k % ranges); });
    }
  }

  void sum_tiles(int64_t part, int64_t range) const {
    const Sides<T> sides = sides_of(call_);
    char* own = plan_.part(scratch_, part);
    const Range cells = plan_.cells_of(part);
    const Range taps = plan_.taps_of(range);
    const TileWeights of{plan_.gather(), plan_.outer(),          sides.image,
                         sides.grid,     plan_.tail(own, range), plan_.sums(own)};
    for (int64_t at = cells.begin; at < cells.end; at += plan_.chunk())
      tile_weight_sums(isa_, of, taps.begin, taps.end, at, std::min(plan_.chunk(), cells.end - at),
                       at != cells.begin);
  }

  void sum_part(int64_t part) const {
    const Plan<T>& plan = plan_;
    const Sides<T> sides = sides_of(call_);
    char* own = plan.part(scratch_, part);
    const Range cells = plan.cells_of(part);
    const auto& products = products_[static_cast<size_t>(part)];
    for (int64_t at = cells.begin; at < cells.end; at += plan.chunk()) {
      const int64_t count = std::min(plan.chunk(), cells.end - at);
      on_isa(isa_, [&] {
        gather_patches(plan.gather(), sides.image, at, count, plan.patches(own));
        std::copy_n(sides.grid + at * plan.outer(), count * plan.outer(), plan.grid(own));
      });
      const bool is_whole = count == plan.chunk();
      !is_whole ? products.tail() : at == cells.begin ? products.first() : products.more();
    }
  }

  void add_parts(Range elems) const {
    for (int64_t part = 0; part < plan_.parts(); ++part)
      put(call_.accumulates_weight || part > 0,
          plan_.sums(plan_.part(scratch_, part)) + elems.begin, elems.size(),
          call_.d_weight + elems.begin);
  }

  Conv2dWeightGrad<T> call_;
  Plan<T> plan_;
  Isa isa_;
  void* scratch_;
  std::vector<typename Plan<T>::Products> products_;
};

// --- d_weight with groups ------------------------------------------------------------------------

// sums [C of a group, O] += what one tap sees of one place.
template <class T>
[[gnu::always_inline]] inline void add_place(const Channels& n, const T* image, const T* grid,
                                             float* sums) {
  for (int64_t k = 0; k < n.K; ++k, sums += n.all()) {
    if (n.N == 1) {
      for (int64_t g = 0; g < n.groups; ++g) sums[g] += widen(image[g * n.K + k]) * widen(grid[g]);
      continue;
    }
    for (int64_t g = 0; g < n.groups; ++g) {
      const float value = widen(image[g * n.K + k]);
      for (int64_t j = g * n.N; j < (g + 1) * n.N; ++j) sums[j] += value * widen(grid[j]);
    }
  }
}

// Of one tap; `part` holds the sums of an image, both are [C of a group, O].
template <class T>
[[gnu::always_inline]] inline void sum_tap(const Conv2dShape& s, const Sides<T>& sides, int64_t r,
                                           int64_t t, float* total, float* part) {
  const Channels n = channels_of(s, false);
  const int64_t elems = n.K * n.all();
  std::fill_n(total, elems, 0.0f);
  for (int64_t b = 0; b < s.B; ++b) {
    std::fill_n(part, elems, 0.0f);
    for (int64_t p = 0; p < s.h.grid; ++p) {
      const int64_t y = s.h.image_at(p, r);
      for (int64_t q = 0; y >= 0 && q < s.w.grid; ++q) {
        const int64_t x = s.w.image_at(q, t);
        if (x < 0) continue;
        add_place(n, sides.image + s.image_index(b, y, x, 0), sides.grid + s.grid_index(b, p, q, 0),
                  part);
      }
    }
    put(true, part, elems, total);
  }
}

template <class T>
Launch grouped(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu, float* sums) {
  const Conv2dShape& s = p.shape;
  const double products =
      static_cast<double>(s.B * s.h.grid * s.w.grid) * static_cast<double>(s.weight_elems());
  const Isa isa = isa_of(cpu);
  const int threads = threads_for(cpu.threads, products * pass_cost::kCopy);
  return [p, isa, threads, sums](void*) {
    const Conv2dShape& shape = p.shape;
    const int64_t elems = shape.group_in() * shape.O;
    parallel_for(threads, shape.h.kernel * shape.w.kernel, [&](int64_t tap) {
      float* own = sums + tap * 2 * elems;
      on_isa(isa, [&] {
        sum_tap(shape, sides_of(p), tap / shape.w.kernel, tap % shape.w.kernel, own, own + elems);
        put(p.accumulates_weight, own, elems, p.d_weight + tap * elems);
      });
    });
  };
}

template <class T>
uint64_t weight_bytes(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu) {
  return p.shape.groups == 1 ? Plan<T>(p, cpu).scratch_bytes()
                             : bytes_of<float>(2 * p.shape.weight_elems());
}

template <class T>
uint64_t scratch_of(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu) {
  const BiasSums<T> bias(p);
  return bytes_of<float>(bias.parts * bias.channels) + weight_bytes(p, cpu);
}

template <class T>
Launch of_weight(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu, void* scratch) {
  if (p.shape.groups > 1) return grouped(p, cpu, static_cast<float*>(scratch));
  return [call = std::make_shared<const Bound<T>>(p, cpu, scratch)](void*) { call->run(); };
}

template <class T>
Launch make(const Conv2dWeightGrad<T>& p, const CpuFeatures& cpu, void* scratch) {
  const BiasSums<T> bias(p);
  auto* sums = static_cast<float*>(scratch);
  void* rest = static_cast<char*>(scratch) + bytes_of<float>(bias.parts * bias.channels);
  const Team team(cpu, bias.parts > 0 ? bias.rows * bias.channels : 0, pass_cost::kCopy);
  return [p, bias, team, sums, weight = of_weight(p, cpu, rest)](void* stream) {
    weight(stream);
    sum_bias(p, bias, team, sums);
  };
}

}  // namespace

DIABOLO_CPU_DEFINE_DENSE(Conv2dWeightGrad, float)
DIABOLO_CPU_DEFINE_DENSE(Conv2dWeightGrad, Bf16)

}  // namespace diabolo::kernels::cpu
