// Chains of layers: the bits of the layers run one by one, which have tests of their own.
#include <algorithm>

#include "cuda_host/dense_cases.h"
#include "kernels/cuda/chain_tiles.h"

namespace diabolo {
namespace {

using namespace dense_cases;  // NOLINT: made for this

struct ChainCase {
  std::vector<int64_t> widths;  // of the rows, then of each layer
  bool scores = false;
  bool has_bias = true;
  bool allows_tf32 = false;
  std::size_t offset = 0;
  Activation first = Activation::kRelu;  // each layer has the next one
};

// The parameters of a network and its rows on the device.
template <class T>
struct Net {
  Net(const ChainCase& c, int64_t rows, std::mt19937& random)
      : x(values(rows * c.widths[0], random, c.offset)),
        target(values(rows * c.widths.back(), random, c.offset)) {
    for (std::size_t k = 1; k < c.widths.size(); ++k) {
      weight.push_back(values(c.widths[k - 1] * c.widths[k], random, c.offset));
      bias.emplace_back(random_values<float>(static_cast<std::size_t>(c.widths[k]), random),
                        c.offset);
    }
  }
  static DeviceArray<T> values(int64_t count, std::mt19937& random, std::size_t offset) {
    return DeviceArray<T>(random_values<T>(static_cast<std::size_t>(count), random, 0.3), offset);
  }
  DeviceArray<T> x, target;
  std::vector<DeviceArray<T>> weight;
  std::vector<DeviceArray<float>> bias;
};

Activation activation_of(const ChainCase& c, std::size_t k) {
  return static_cast<Activation>((static_cast<std::size_t>(c.first) + k) % kActivationCount);
}

template <class T>
std::vector<double> one_by_one(const ChainCase& c, const Net<T>& net, int64_t rows,
                               const cuda::Device& device) {
  const T* x = net.x.data();
  std::vector<DeviceArray<T>> hidden;
  for (std::size_t k = 0; k + 1 < c.widths.size(); ++k) {
    const DenseShape shape{rows, c.widths[k], c.widths[k + 1]};
    const float* bias = c.has_bias ? net.bias[k].data() : nullptr;
    const bool is_last = k + 2 == c.widths.size();
    if (is_last && c.scores) {
      const DeviceArray<float> score(unwritten<float>(static_cast<std::size_t>(rows)));
      test::run_kernel(DenseScore<T>{shape, activation_of(c, k), x, net.weight[k].data(), bias,
                                     net.target.data(), score.data()},
                       device);
      return widened(score.read());
    }
    hidden.emplace_back(unwritten<T>(static_cast<std::size_t>(rows * shape.O)), c.offset);
    test::run_kernel(DenseForward<T>{shape, activation_of(c, k), x, net.weight[k].data(), bias,
                                     hidden.back().data(), nullptr},
                     device);
    x = hidden.back().data();
  }
  return widened(hidden.back().read());
}

template <class T>
DenseChain<T> chain_of(const ChainCase& c, const Net<T>& net, int64_t rows) {
  DenseChain<T> p{.B = rows, .I = c.widths[0], .x = net.x.data()};
  for (std::size_t k = 0; k + 1 < c.widths.size(); ++k)
    p.layer[p.layers++] = {c.widths[k + 1], activation_of(c, k), false, net.weight[k].data(),
                           c.has_bias ? net.bias[k].data() : nullptr};
  return p;
}

template <class T>
std::vector<double> in_one(const ChainCase& c, const Net<T>& net, int64_t rows,
                           const cuda::Device& device) {
  DenseChain<T> p = chain_of(c, net, rows);
  const DeviceArray<float> score(unwritten<float>(static_cast<std::size_t>(rows)));
  const DeviceArray<T> y(unwritten<T>(static_cast<std::size_t>(rows * c.widths.back())), c.offset);
  p.target = c.scores ? net.target.data() : nullptr;
  p.score = c.scores ? score.data() : nullptr;
  p.y = c.scores ? nullptr : y.data();
  test::run_kernel(p, device);
  return c.scores ? widened(score.read()) : widened(y.read());
}

template <class T>
class ChainKernels : public DenseKernels<T> {
 protected:
  void expect_bits_of_layers(const ChainCase& c, int64_t rows, int multiprocessors) {
    cuda::Device device;
    device.multiprocessors = multiprocessors;
    device.allows_tf32 = c.allows_tf32;
    SCOPED_TRACE(std::to_string(rows) + " rows, sms " + std::to_string(multiprocessors));
    const Net<T> net(c, rows, this->random_);
    const std::vector<double> expected = one_by_one(c, net, rows, device);
    EXPECT_EQ(in_one(c, net, rows, device), expected);
    auto& visited = c.allows_tf32 ? with_tf32_ : visited_;
    const cuda::ChainTile tile = cuda::choose_chain(chain_of(c, net, rows), device).tile;
    if (std::ranges::find(visited, tile) == visited.end()) visited.push_back(tile);
  }

  std::vector<cuda::ChainTile> visited_, with_tf32_;
};
TYPED_TEST_SUITE(ChainKernels, Types);

std::string text(const ChainCase& c) {
  std::string text;
  for (const int64_t width : c.widths) text += std::to_string(width) + " ";
  return text + (c.scores ? "scored " : "") + (c.allows_tf32 ? "tf32" : "");
}

// Every width of a tile and around it, both heights; each loader; bases that are not aligned.
TYPED_TEST(ChainKernels, HaveTheBitsOfTheirLayers) {
  std::vector<ChainCase> cases = {{{16, 64, 8}},
                                  {{5, 3, 17}, true},
                                  {{64, 33, 64}, true, false},
                                  {{30, 65, 128}, false, true, false, 1},
                                  {{128, 16, 8, 128}, true},
                                  {{129, 31, 7}},
                                  {{40, 256, 40}, true, false},
                                  {{200, 130, 256}}};
  int count = 0;
  for (ChainCase& c : cases) {
    c.first = static_cast<Activation>(count++ % kActivationCount);
    for (const bool allows_tf32 : {false, true}) {
      if (allows_tf32 && sizeof(TypeParam) == 2) continue;
      c.allows_tf32 = allows_tf32;
      SCOPED_TRACE(text(c));
      test::for_each_schedule([&] {
        this->expect_bits_of_layers(c, 1, 1000);
        this->expect_bits_of_layers(c, 97, 1);
      });
    }
  }
  // What is built has been run.
  if (sizeof(TypeParam) == 2) {
    EXPECT_EQ(this->visited_.size(), std::size(cuda::kBf16ChainTiles));
  } else {
    EXPECT_EQ(this->visited_.size(), std::size(cuda::kFloatChainTiles));
    EXPECT_EQ(this->with_tf32_.size(), std::size(cuda::kFloatChainTiles));
  }
}

TYPED_TEST(ChainKernels, DoNotDependOnTheBatch) {
  const ChainCase c{{24, 40, 12, 24}, true};
  const Net<TypeParam> net(c, 97, this->random_);
  const std::vector<double> all = in_one(c, net, 97, {});
  for (const int64_t rows : {1, 32, 33, 64, 65}) {
    const std::vector<double> first(all.begin(), all.begin() + rows);
    EXPECT_EQ(in_one(c, net, rows, {}), first) << rows;
  }
}

// Only what is outside may be left out: a row's NaN stays in it.
TYPED_TEST(ChainKernels, KeepRowsApart) {
  using T = TypeParam;
  const ChainCase c{{9, 12, 5}};
  Net<T> net(c, 40, this->random_);
  const std::vector<double> before = in_one(c, net, 40, {});
  EXPECT_EQ(before, one_by_one(c, net, 40, {}));
  std::vector<T> x = net.x.read();
  x[9 * 3] = narrow<T>(NAN);
  net.x.write(x);
  const std::vector<double> after = in_one(c, net, 40, {});
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i / 5 != 3) {
      EXPECT_EQ(after[i], before[i]) << i;
    }
  }
}

}  // namespace
}  // namespace diabolo
