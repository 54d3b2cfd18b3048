#include "selftest/fill.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "base/error.h"
#include "kernels/common/scalar.h"
#include "kernels/common/step_state.h"

namespace diabolo::selftest {
namespace {

using Engine = std::mt19937_64;

// FNV-1a: the same on every machine, unlike std::hash.
uint64_t seed_of(const std::string& text) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

// In [0, 1), from the engine's bits alone: std distributions differ between libraries.
double uniform(Engine& engine) {
  return static_cast<double>(engine() >> 11) * 0x1p-53;
}
int64_t below(Engine& engine, int64_t count) {
  return static_cast<int64_t>(uniform(engine) * static_cast<double>(count));
}
double power(Engine& engine, double low, double high) {
  const double size = std::exp2(low + (high - low) * uniform(engine));
  return (engine() & 1) ? size : -size;
}

// A tenth of the elements is broken, so that rows of a few are broken and whole ones.
double broken(Engine& engine) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (below(engine, 30)) {
    case 0:
      return std::numeric_limits<double>::quiet_NaN();
    case 1:
      return kInfinity;
    case 2:
      return -kInfinity;
    default:
      return static_cast<double>(below(engine, 7) - 3);
  }
}

double draw(Engine& engine, Fill fill) {
  switch (fill) {
    case Fill::kUniform:
      return 2 * uniform(engine) - 1;
    case Fill::kUnit:
      return uniform(engine);
    case Fill::kIntegers:
      return static_cast<double>(below(engine, 7) - 3);
    case Fill::kBinary:
      return static_cast<double>(engine() & 1);
    case Fill::kSparse:
      if (engine() & 1) return 2 * uniform(engine) - 1;
      return (engine() & 1) ? 0.0 : -0.0;
    case Fill::kLarge:
      return power(engine, 10, 20);
    case Fill::kTiny:
      return power(engine, -70, -60);
    case Fill::kOnes:
      return 1;
    case Fill::kNotANumber:
      return std::numeric_limits<double>::quiet_NaN();
    case Fill::kBroken:
      return broken(engine);
    case Fill::kBytes:
      return static_cast<double>(below(engine, 256));
    default:
      return 0;
  }
}

void store(std::byte* data, DType dtype, int64_t index, double value) {
  const auto put = [&](auto typed) {
    std::memcpy(data + static_cast<uint64_t>(index) * sizeof(typed), &typed, sizeof(typed));
  };
  switch (dtype) {
    case DType::kF32:
      return put(static_cast<float>(value));
    case DType::kBf16:
      return put(kernels::to_bf16(static_cast<float>(value)));
    case DType::kF64:
      return put(value);
    case DType::kU8:
      return put(static_cast<uint8_t>(value));
    case DType::kU32:
      return put(static_cast<uint32_t>(value));
    default:
      DIABOLO_CHECK(false, "no fill for ", name(dtype));
  }
}

// 0 … count - 1, shuffled (Fisher and Yates).
std::vector<int64_t> permutation(Engine& engine, int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t k = count - 1; k > 0; --k)
    std::swap(order[static_cast<size_t>(k)], order[static_cast<size_t>(below(engine, k + 1))]);
  return order;
}

void fill_permutations(std::byte* data, const TensorDesc& desc, Engine& engine) {
  const int64_t length = desc.extent(desc.rank() - 1);
  for (int64_t begin = 0; begin < desc.elems(); begin += length) {
    const auto order = permutation(engine, length);
    for (int64_t k = 0; k < length; ++k)
      store(data, desc.dtype(), begin + k, static_cast<double>(order[static_cast<size_t>(k)]));
  }
}

void fill_state(std::byte* data, const TensorDesc& desc, bool is_halted) {
  kernels::StepState state{};
  state.seed = 0x9E3779B97F4A7C15ull;
  state.step = 41;
  state.batch_row = 3;
  state.halt = is_halted ? 1 : 0;
  state.first_row = 1000;
  state.scalars = {.learning_rate = 0.01f,
                   .bias_correction1 = 0.988f,
                   .bias_correction2_sqrt = 0.203f,
                   .unused = 0};
  DIABOLO_CHECK(desc.bytes() == sizeof(state), desc.text(), " is no step state");
  std::memcpy(data, &state, sizeof(state));
}

}  // namespace

std::vector<std::byte> fill_bytes(const Operand& operand, const std::string& case_name,
                                  const std::string& role) {
  const TensorDesc& desc = operand.desc;
  std::vector<std::byte> bytes(desc.bytes(), std::byte{0xff});
  Engine engine(seed_of(case_name + "/" + role));
  switch (operand.fill) {
    case Fill::kGarbage:
      break;
    case Fill::kState:
    case Fill::kHaltedState:
      fill_state(bytes.data(), desc, operand.fill == Fill::kHaltedState);
      break;
    case Fill::kRankings:
    case Fill::kPermutation:
    case Fill::kBadOrder:
      fill_permutations(bytes.data(), desc, engine);
      if (operand.fill == Fill::kBadOrder)
        store(bytes.data(), desc.dtype(), desc.elems() / 2, static_cast<double>(desc.elems()));
      break;
    default:
      for (int64_t k = 0; k < desc.elems(); ++k)
        store(bytes.data(), desc.dtype(), k, draw(engine, operand.fill));
  }
  return bytes;
}

double element_at(const std::byte* data, DType dtype, int64_t index) {
  const auto get = [&](auto typed) {
    std::memcpy(&typed, data + static_cast<uint64_t>(index) * sizeof(typed), sizeof(typed));
    return typed;
  };
  switch (dtype) {
    case DType::kF32:
      return get(float{});
    case DType::kBf16:
      return kernels::to_float(get(kernels::Bf16{}));
    case DType::kF64:
      return get(double{});
    case DType::kU8:
      return get(uint8_t{});
    case DType::kU32:
      return get(uint32_t{});
    default:
      DIABOLO_CHECK(false, "no number in ", name(dtype));
  }
  return 0;
}

}  // namespace diabolo::selftest
