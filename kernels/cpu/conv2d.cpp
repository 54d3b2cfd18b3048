// Convolutions either way round, forward and for the gradient by their input: both are gathers
// (conv_gather.h) with something done to their sums.
//
// Work split: cells in chunks whose sums stay in the second-level cache. A chunk is sums and a
// pass; lanes take chunks in turn, each with scratch of its own. Floats are summed by own tiles
// (conv_tiles.h); bf16 as patches and one product of one thread by the weights. oneDNN's
// convolutions are not asked: their gradients change with the number of threads, its transposed
// ones and those of one channel fall to slow code, and a blocked layout would have to be undone
// behind every layer.
//
// With groups, and where no tap falls on the cells of a phase, plain loops sum.
//
// Limits: kMostPhases, since each has its weights, and an entry of the plan, for itself. What is
// kept does not grow with cells: a piece of work is computed from its number.
//
// Numerics: a cell's sum is that of its tile's row, or a row of the product, whose bits depend
// neither on the rows beside it nor on threads; so an image's bits depend neither on its batch nor
// on threads. Tiles and patches read zeros beside the source and multiply them: a weight that is
// infinite or NaN makes a NaN there, where the reference and the loops skip the tap.
#include <map>
#include <memory>
#include <utility>

#include "kernels/cpu/conv_gather.h"
#include "kernels/cpu/conv_tiles.h"
#include "kernels/cpu/dense_product.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

// Of a chunk's patches and sums; and cells of one, enough for its product to be worth reading the
// weights.
constexpr int64_t kChunkBytes = int64_t{512} << 10;
constexpr int64_t kLeastCells = 64, kMostCells = 512;
constexpr double kLoopFlopsPerNanosecond = 8;  // of the own loops
constexpr int64_t kMostPhases = 64 * 64;

// What is gathered, without addresses.
template <class T>
struct Sums {
  Conv2dShape shape;
  bool to_image;
  bool has_bias;
  CpuFeatures cpu;

  Channels channels() const { return channels_of(shape, to_image); }
};

// How the cells of a gather are summed.
enum class By { kTiles, kProduct, kLoops };

// One gather of a call, and its product where it is summed by one.
struct Phase {
  Gather gather;
  By by = By::kLoops;
  int64_t chunk = 0;                           // cells
  uint64_t weights_at = 0, weights_bytes = 0;  // packed; 0: as the layer has them
  std::shared_ptr<const Product> whole, tail;  // phases of the same extents share them
};

// Numbers of all phases in a row, such as chunks: those of phase k are first[k] up to first[k + 1].
class Numbering {
 public:
  void add_phase(int64_t count) { first_.push_back(first_.back() + count); }
  int64_t count() const { return first_.back(); }
  struct Place {
    size_t phase;
    int64_t index;
  };
  Place operator[](int64_t number) const {
    const auto behind = std::upper_bound(first_.begin(), first_.end(), number);
    return {static_cast<size_t>(behind - first_.begin()) - 1, number - behind[-1]};
  }

 private:
  std::vector<int64_t> first_ = {0};
};

template <class T>
By way_of(const Sums<T>& sums, const Gather& gather) {
  if (sums.shape.groups > 1 || gather.taps() == 0) return By::kLoops;
  return std::is_same_v<T, float> ? By::kTiles : By::kProduct;
}

template <class T>
std::unique_ptr<const Product> product_of(const Sums<T>& sums, int64_t rows, int64_t inner) {
  const Channels n = sums.channels();
  CpuFeatures one = sums.cpu;
  one.threads = 1;
  return make_product({{element_of<T>(), rows, inner, false},
                       {element_of<T>(), inner, n.N, false},
                       Element::kF32,
                       sums.has_bias,
                       false,
                       one});
}

template <class T>
double nanoseconds_of(const Sums<T>& sums, const Gather& gather) {
  const Channels n = sums.channels();
  const double numbers = static_cast<double>(gather.cells()) * static_cast<double>(gather.taps()) *
                         static_cast<double>(n.K * n.groups);
  const double flops = 2 * numbers * static_cast<double>(n.N);
  const double rate = way_of(sums, gather) == By::kLoops ? kLoopFlopsPerNanosecond : 100;
  return flops / rate + numbers * pass_cost::kCopy +
         static_cast<double>(gather.cells() * n.all()) * pass_cost::kLoss;
}

// A piece of work: cells of a phase.
struct Task {
  size_t phase;
  int64_t first, count;
};

// All of a call that depends on shapes alone.
template <class T>
class Plan {
 public:
  explicit Plan(const Sums<T>& sums) : sums_(sums) {
    double nanoseconds = 0;
    for (Gather& gather : gathers_of(sums.shape, sums.to_image)) {
      nanoseconds += nanoseconds_of(sums, gather);
      add_phase(std::move(gather));
    }
    lanes_ = static_cast<int>(
        std::min<int64_t>(threads_for(sums.cpu.threads, nanoseconds), tasks_.count()));
  }

  uint64_t scratch_bytes() const {
    return weights_bytes_ + static_cast<uint64_t>(lanes_) * lane_bytes();
  }
  // Of a lane: patches, sums, as many numbers of the pass, the product's.
  char* lane(void* scratch, int64_t index) const {
    return static_cast<char*>(scratch) + weights_bytes_ +
           static_cast<uint64_t>(index) * lane_bytes();
  }
  T* patches(char* lane) const { return reinterpret_cast<T*>(lane); }
  float* sums(char* lane) const { return reinterpret_cast<float*>(lane + patch_bytes_); }
  float* beside(char* lane) const {
    return reinterpret_cast<float*>(lane + patch_bytes_ + sum_bytes_);
  }
  void* rest(char* lane) const { return lane + patch_bytes_ + 2 * sum_bytes_; }

  const Sums<T>& of() const { return sums_; }
  int lanes() const { return lanes_; }
  const std::vector<Phase>& phases() const { return phases_; }
  bool has_products() const { return !products_.empty(); }
  int64_t tasks() const { return tasks_.count(); }
  Task task(int64_t number) const {
    const auto [phase, chunk] = tasks_[number];
    const Range cells = chunk_range(chunk, phases_[phase].chunk, phases_[phase].gather.cells());
    return {phase, cells.begin, cells.size()};
  }
  // Taps of which the weights are packed, of all phases.
  const Numbering& packed_taps() const { return packed_taps_; }

 private:
  uint64_t lane_bytes() const { return patch_bytes_ + 2 * sum_bytes_ + product_bytes_; }

  void add_phase(Gather gather) {
    const Channels n = sums_.channels();
    const By by = way_of(sums_, gather);
    const int64_t inner = by == By::kProduct ? gather.taps() * n.K : 0;
    const int64_t cell_bytes = inner * static_cast<int64_t>(sizeof(T)) + n.all() * 4;
    const int64_t cells = gather.cells();
    Phase phase;
    phase.by = by;
    phase.chunk =
        std::min(cells, std::clamp(kChunkBytes / cell_bytes / 8 * 8, kLeastCells, kMostCells));
    tasks_.add_phase(chunk_count(cells, phase.chunk));
    if (by == By::kProduct) {
      phase.whole = product(phase.chunk, inner);
      phase.tail = product(cells % phase.chunk, inner);
    }
    patch_bytes_ = std::max(patch_bytes_, bytes_of<T>(phase.chunk * inner));
    sum_bytes_ = std::max(sum_bytes_, bytes_of<float>(phase.chunk * n.all()));
    phase.weights_at = weights_bytes_;
    phase.weights_bytes = weights_bytes(gather, by);
    weights_bytes_ += phase.weights_bytes;
    packed_taps_.add_phase(phase.weights_bytes > 0 ? gather.taps() : 0);
    phase.gather = std::move(gather);
    phases_.push_back(std::move(phase));
  }

  std::shared_ptr<const Product> product(int64_t rows, int64_t inner) {
    if (rows == 0) return nullptr;
    std::shared_ptr<const Product>& made = products_[{rows, inner}];
    if (!made) made = product_of(sums_, rows, inner);
    product_bytes_ = std::max(product_bytes_, align_64(made->scratch_bytes()));
    return made;
  }

  // Packed; 0: as the layer has them.
  uint64_t weights_bytes(const Gather& gather, By by) const {
    const Channels n = sums_.channels();
    const int64_t weights = gather.taps() * n.K * n.all();
    if (by == By::kLoops) return bytes_of<float>(weights);
    if (by == By::kProduct) return sums_.to_image ? bytes_of<T>(weights) : 0;
    return bytes_of<float>(tile_weight_elems(isa_of(sums_.cpu), gather, n));
  }

  Sums<T> sums_;
  std::vector<Phase> phases_;
  std::map<std::pair<int64_t, int64_t>, std::shared_ptr<const Product>> products_;
  Numbering tasks_, packed_taps_;
  int lanes_ = 1;
  uint64_t weights_bytes_ = 0, patch_bytes_ = 0, sum_bytes_ = 0, product_bytes_ = 0;
};

template <class T>
struct Operand {
  const T* source;
  const T* weight;
  const float* bias;
  void* scratch;
};

// The plan at its addresses. Finish: what is done with a chunk's sums.
template <class T, class Finish>
class Bound {
 public:
  Bound(const Sums<T>& sums, const Operand<T>& at, Finish finish)
      : plan_(sums), at_(at), isa_(isa_of(sums.cpu)), finish_(finish) {
    for (int lane = 0; lane < plan_.lanes() && plan_.has_products(); ++lane)
      for (const Phase& phase : plan_.phases())
        products_.push_back(
            {bound(phase, phase.whole.get(), lane), bound(phase, phase.tail.get(), lane)});
  }

  void run() const {
    parallel_for(plan_.lanes(), plan_.packed_taps().count(), [&](int64_t number) {
      const auto place = plan_.packed_taps()[number];
      pack(plan_.phases()[place.phase], place.index);
    });
    guarded_parallel_for(plan_.lanes(), plan_.lanes(), [&](int64_t lane) {
      for (int64_t k = lane; k < plan_.tasks(); k += plan_.lanes()) run_task(plan_.task(k), lane);
    });
  }

 private:
  struct Products {
    std::function<void()> whole, tail;
  };

  void* packed(const Phase& phase) const {
    return static_cast<char*>(at_.scratch) + phase.weights_at;
  }

  std::function<void()> bound(const Phase& phase, const Product* product, int64_t lane) const {
    if (!product) return {};
    char* own = plan_.lane(at_.scratch, lane);
    const void* weight = phase.weights_bytes > 0 ? packed(phase) : at_.weight;
    return product->bind({plan_.patches(own), weight, at_.bias, plan_.sums(own), plan_.rest(own)});
  }

  void pack(const Phase& phase, int64_t tap) const {
    const Sums<T>& of = plan_.of();
    if constexpr (std::is_same_v<T, float>)
      if (phase.by == By::kTiles)
        return pack_tile_tap(isa_, of.shape, of.to_image, phase.gather, tap, at_.weight,
                             static_cast<float*>(packed(phase)));
    if (phase.by == By::kProduct)
      pack_tap(of.shape, of.to_image, phase.gather, tap, at_.weight,
               static_cast<T*>(packed(phase)));
    else
      pack_tap(of.shape, of.to_image, phase.gather, tap, at_.weight,
               static_cast<float*>(packed(phase)));
  }

  void run_task(const Task& task, int64_t lane) const {
    const Phase& phase = plan_.phases()[task.phase];
    const Gather& gather = phase.gather;
    char* own = plan_.lane(at_.scratch, lane);
    float* sums = plan_.sums(own);
    const Channels n = plan_.of().channels();
    if (phase.by == By::kProduct) {
      on_isa(isa_, [&] {
        gather_patches(gather, at_.source, task.first, task.count, plan_.patches(own));
      });
      const Products& products =
          products_[static_cast<size_t>(lane) * plan_.phases().size() + task.phase];
      task.count == phase.chunk ? products.whole() : products.tail();
    } else {
      sum_task(phase, task, sums);
    }
    finish_(isa_, gather, n.all(), task, sums, plan_.beside(own));
  }

  void sum_task(const Phase& phase, const Task& task, float* sums) const {
    const auto* weight = static_cast<const float*>(packed(phase));
    const Channels n = plan_.of().channels();
    if constexpr (std::is_same_v<T, float>)
      if (phase.by == By::kTiles)
        return tile_sums(isa_, phase.gather, n, at_.source, weight, at_.bias, task.first,
                         task.count, sums);
    on_isa(isa_, [&] {
      gather_sums(phase.gather, n, at_.source, weight, at_.bias, task.first, task.count, sums);
    });
  }

  Plan<T> plan_;
  Operand<T> at_;
  Isa isa_;
  Finish finish_;
  std::vector<Products> products_;  // by lane and phase; none where nothing is a product
};

template <class T, class Finish>
Launch bind(const Sums<T>& sums, const Operand<T>& at, const Finish& finish) {
  return
      [call = std::make_shared<const Bound<T, Finish>>(sums, at, finish)](void*) { call->run(); };
}

template <class T>
struct Activate {
  ForwardBlock forward;  // null: there is nothing to do
  T* y;
  T* z;
  void operator()(Isa isa, const Gather& gather, int64_t channels, const Task& task, float* sums,
                  float*) const {
    const auto store = [&](T* to) {
      on_isa(isa, [&] { store_cells(gather, channels, task.first, task.count, sums, to); });
    };
    if (z) store(z);
    if (forward) forward(sums, sums, task.count * channels);
    store(y);
  }
};

template <class T>
struct ApplySlope {
  SlopeBlock slope;
  const T* saved;  // null: there is nothing to do
  T* dx;
  void operator()(Isa isa, const Gather& gather, int64_t channels, const Task& task, float* sums,
                  float* beside) const {
    if (saved) {
      on_isa(isa, [&] { load_cells(gather, channels, task.first, task.count, saved, beside); });
      slope(beside, sums, task.count * channels);
    }
    on_isa(isa, [&] { store_cells(gather, channels, task.first, task.count, sums, dx); });
  }
};

template <class T>
Sums<T> sums_of(const Conv2dForward<T>& p, const CpuFeatures& cpu) {
  return {p.shape, p.shape.is_transposed, p.bias != nullptr, cpu};
}
template <class T>
Sums<T> sums_of(const Conv2dDataGrad<T>& p, const CpuFeatures& cpu) {
  return {p.shape, !p.shape.is_transposed, false, cpu};
}

template <class T>
Launch make(const Conv2dForward<T>& p, const CpuFeatures& cpu, void* scratch) {
  const bool is_linear = p.activation == Activation::kIdentity;
  const Activate<T> finish{is_linear ? nullptr : forward_block(isa_of(cpu), p.activation), p.y,
                           p.z};
  return bind(sums_of(p, cpu), {p.x, p.weight, p.bias, scratch}, finish);
}

template <class T>
Launch make(const Conv2dDataGrad<T>& p, const CpuFeatures& cpu, void* scratch) {
  const bool is_linear = p.activation == Activation::kIdentity;
  const ApplySlope<T> finish{slope_block(isa_of(cpu), p.activation), is_linear ? nullptr : p.saved,
                             p.dx};
  return bind(sums_of(p, cpu), {p.dz, p.weight, nullptr, scratch}, finish);
}

template <class Record>
uint64_t scratch_of(const Record& p, const CpuFeatures& cpu) {
  return Plan(sums_of(p, cpu)).scratch_bytes();
}

template <class T>
const char* refusal_of(const Sums<T>& sums) {
  if (sums.to_image && phase_count(sums.shape) > kMostPhases)
    return "more than 4096 phases, which is strides of 64x64";
  return product_refusal(element_of<T>(), sums.cpu);
}
template <class T>
const char* refusal_of(const Conv2dForward<T>& p, const CpuFeatures& cpu) {
  return refusal_of(sums_of(p, cpu));
}
template <class T>
const char* refusal_of(const Conv2dDataGrad<T>& p, const CpuFeatures& cpu) {
  return refusal_of(sums_of(p, cpu));
}

}  // namespace

DIABOLO_CPU_DEFINE_DENSE(Conv2dForward, float)
DIABOLO_CPU_DEFINE_DENSE(Conv2dForward, Bf16)
DIABOLO_CPU_DEFINE_DENSE(Conv2dDataGrad, float)
DIABOLO_CPU_DEFINE_DENSE(Conv2dDataGrad, Bf16)

}  // namespace diabolo::kernels::cpu
