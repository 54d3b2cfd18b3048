// Every op's gradient against the derivative of its own reference, by complex steps: for an
// analytic f, Im f(x + ih) / h is f'(x) with an error of h^2, so h = 1e-30 leaves rounding alone.
// This is the root of the chain of trust: everything faster is checked against these references.
#include <gtest/gtest.h>

#include <algorithm>
#include <complex>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <vector>

#include "kernels/activation_grad.h"
#include "kernels/dense.h"
#include "ops/add.h"
#include "ops/grad_builder.h"
#include "ops/noise.h"
#include "ops/registry.h"
#include "selftest/case.h"
#include "selftest/expected.h"
#include "selftest/fill.h"

namespace diabolo {
namespace {

using Complex = std::complex<double>;
using Reals = std::vector<double>;
using Complexes = std::vector<Complex>;
using kernels::Activation;
using kernels::Loss;

constexpr double kStep = 1e-30;
// Rounding of sums of at most 400 terms of magnitude about 1 in double, relative to the largest.
constexpr double kTolerance = 1e-13;

Reals random(size_t count, uint32_t seed, double low = -1, double high = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Reals values(count);
  for (double& v : values) v = uniform(engine);
  return values;
}

Complexes lifted(const Reals& x) {
  return Complexes(x.begin(), x.end());
}

// The gradient of the scalar f at x.
Reals complex_step(const Reals& x, const std::function<Complex(const Complexes&)>& f) {
  Reals gradient(x.size());
  Complexes point = lifted(x);
  for (size_t k = 0; k < x.size(); ++k) {
    point[k] = Complex(x[k], kStep);
    gradient[k] = f(point).imag() / kStep;
    point[k] = x[k];
  }
  return gradient;
}

std::vector<Activation> all_activations() {
  std::vector<Activation> all;
  for (int k = 0; k < kernels::kActivationCount; ++k) all.push_back(static_cast<Activation>(k));
  return all;
}

std::vector<Loss> all_losses() {
  std::vector<Loss> all;
  for (int k = 0; k < kernels::kLossCount; ++k) all.push_back(static_cast<Loss>(k));
  return all;
}

// Points on both sides of every branch (0, and +-1 for Huber), none on one.
Reals probes() {
  Reals z = random(40, 7, -4, 4);
  z.insert(z.end(), {-30, -12, -1e-3, -1e-9, 1e-9, 1e-3, 12, 30});
  return z;
}

TEST(ComplexStep, DerivativeOfEveryActivation) {
  for (Activation activation : all_activations()) {
    kernels::with_activation(activation, [&](auto act) {
      for (double z : probes()) {
        const double expected = act.forward(Complex(z, kStep)).imag() / kStep;
        const double saved = act.kSavesZ ? z : act.forward(z);
        EXPECT_NEAR(expected, act.derivative(saved), kTolerance * 4)
            << kernels::name(activation) << " at " << z;
      }
    });
  }
}

TEST(ComplexStep, DerivativeOfEveryLossBehindEveryActivation) {
  for (Activation activation : all_activations()) {
    for (Loss loss : all_losses()) {
      kernels::with_loss(activation, loss, [&](auto element) {
        for (double z : probes()) {
          const double t = 0.37;
          const double expected = element.of(Complex(z, kStep), Complex(t)).value.imag() / kStep;
          const double size = std::max(1.0, std::fabs(expected));
          EXPECT_NEAR(expected, element.of(z, t).d_z, kTolerance * size)
              << kernels::name(activation) << " " << kernels::name(loss) << " at " << z;
        }
      });
    }
  }
}

// Values as the graph has them, in double; the gradient nodes of one op run as they are emitted.
class Tape final : public GradBuilder {
 public:
  struct Entry {
    TensorDesc desc;
    std::vector<std::byte> bytes;
  };

  ValueId add(const TensorDesc& desc, std::vector<std::byte> bytes) {
    values_.push_back({desc, std::move(bytes)});
    gradient_.push_back(kNoValue);
    return static_cast<ValueId>(values_.size()) - 1;
  }
  ValueId add(const TensorDesc& desc, const Reals& numbers) {
    const auto* first = reinterpret_cast<const std::byte*>(numbers.data());
    return add(desc, std::vector<std::byte>(first, first + numbers.size() * sizeof(double)));
  }
  Reals numbers(ValueId id) const {
    Reals result;
    const Entry& entry = values_[static_cast<size_t>(id)];
    for (int64_t k = 0; k < entry.desc.elems(); ++k)
      result.push_back(selftest::element_at(entry.bytes.data(), entry.desc.dtype(), k));
    return result;
  }
  const std::byte* bytes(ValueId id) const { return values_[static_cast<size_t>(id)].bytes.data(); }
  TensorDesc desc(ValueId id) const override { return values_[static_cast<size_t>(id)].desc; }
  bool is_float(ValueId id) const { return desc(id).dtype() == DType::kF64; }

  bool wants(ValueId value) const override { return is_float(value); }
  ValueId gradient(ValueId value) const override {
    asked_.insert(value);
    return gradient_[static_cast<size_t>(value)];
  }
  bool was_asked(ValueId value) const { return asked_.contains(value); }
  void contribute(ValueId value, ValueId gradient) override {
    const ValueId sum = gradient_[static_cast<size_t>(value)];
    const ValueId both =
        sum == kNoValue ? gradient : emit(kAdd, AddAttrs{}, {sum, gradient}, "sum")[0];
    gradient_[static_cast<size_t>(value)] = both;
  }
  Slot slot(ValueId parameter) override {
    const bool accumulate = gradient(parameter) != kNoValue;
    if (!accumulate)
      contribute(parameter, add(desc(parameter), values_[static_cast<size_t>(parameter)].bytes));
    return {gradient(parameter), accumulate};
  }
  std::vector<ValueId> emit(const OpDef& op, const Attrs& attrs, std::initializer_list<ValueId> in,
                            std::string name) override {
    const std::vector<ValueId> fresh(inferred(op, attrs, {in.begin(), in.size()}).size(), kNoValue);
    return emit_into(op, attrs, {in.begin(), in.size()}, fresh, std::move(name));
  }
  std::vector<ValueId> emit_into(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                                 std::span<const ValueId> into, std::string name) override {
    const std::vector<TensorDesc> descs = inferred(op, attrs, in);
    std::vector<ValueId> out(into.begin(), into.end());
    for (size_t k = 0; k < out.size(); ++k)
      if (out[k] == kNoValue) out[k] = add(descs[k], std::vector<std::byte>(descs[k].bytes()));
    selftest::Case node;
    node.name = std::move(name);
    node.op = &op;
    node.attrs = attrs;
    selftest::CaseData data;
    for (const ValueId id : in) {
      node.in.push_back({desc(id)});
      data.in.push_back(values_[static_cast<size_t>(id)].bytes);
    }
    for (const ValueId id : out) {
      node.out.push_back({desc(id)});
      data.out.push_back(values_[static_cast<size_t>(id)].bytes);
    }
    const auto made = selftest::expected_of(node, data, false).candidates[0];
    for (size_t k = 0; k < out.size(); ++k)
      store(values_[static_cast<size_t>(out[k])], made[k].value);
    return out;
  }

 private:
  static void store(Entry& to, const Reals& numbers) {
    auto* const integers = reinterpret_cast<uint32_t*>(to.bytes.data());
    if (to.desc.dtype() == DType::kU32)
      std::ranges::transform(numbers, integers, [](double x) { return static_cast<uint32_t>(x); });
    else
      std::memcpy(to.bytes.data(), numbers.data(), numbers.size() * sizeof(double));
  }
  std::vector<TensorDesc> inferred(const OpDef& op, const Attrs& attrs,
                                   std::span<const ValueId> in) const {
    std::vector<TensorDesc> descs;
    for (const ValueId id : in) descs.push_back(desc(id));
    return op.infer(attrs, descs);
  }

  std::vector<Entry> values_;
  std::vector<ValueId> gradient_;
  mutable std::set<ValueId> asked_;
};

// sum of weight_k * f(x)_k over the first output, so that its gradient is the vector-Jacobian
// product of f.
Complex weighted(const selftest::OpCases& cases, const Tape& tape, const Node& node,
                 const std::vector<Complexes>& in, const Reals& weight) {
  selftest::ReferenceCall<Complex> call(node.attrs);
  for (size_t k = 0; k < node.in.size(); ++k) {
    call.in_desc.push_back(tape.desc(node.in[k]));
    call.in.push_back(in[k]);
    call.raw_in.push_back(tape.bytes(node.in[k]));
  }
  std::vector<std::vector<std::byte>> raw;
  for (const ValueId id : node.out) {
    call.out_desc.push_back(tape.desc(id));
    call.out.emplace_back(static_cast<size_t>(tape.desc(id).elems()));
    call.raw_out.push_back(raw.emplace_back(tape.desc(id).bytes()).data());
  }
  cases.on_complex(call);
  Complex sum = 0;
  for (size_t k = 0; k < weight.size(); ++k) sum += call.out[0][k] * weight[k];
  return sum;
}

// Points away from where a branch turns, few enough that each can be stepped by itself.
bool is_probe(const selftest::Case& test_case) {
  using selftest::Fill;
  int64_t elems = 0;
  bool is_f64 = false;
  for (const selftest::Operand& operand : test_case.in) {
    const bool is_smooth = operand.fill == Fill::kUniform || operand.fill == Fill::kUnit ||
                           operand.fill == Fill::kBinary || operand.fill == Fill::kState;
    if (!is_smooth) return false;
    is_f64 |= operand.desc.dtype() == DType::kF64;
    elems += operand.desc.elems();
  }
  return is_f64 && elems <= 1500;
}

// The largest distance of a gradient of the case from the complex step's, relative to the largest
// of them; `op` is the case's or one that differs in its gradient.
double distance_of(const selftest::OpCases& cases, const OpDef& op,
                   const selftest::Case& test_case) {
  Tape tape;
  const selftest::CaseData data = data_of(test_case);
  Node node{.op = &op, .attrs = test_case.attrs, .in = {}, .out = {}, .name = test_case.name};
  std::vector<Complexes> in;
  for (size_t k = 0; k < test_case.in.size(); ++k) {
    node.in.push_back(tape.add(test_case.in[k].desc, data.in[k]));
    in.push_back(tape.is_float(node.in[k]) ? lifted(tape.numbers(node.in[k])) : Complexes());
  }
  for (const selftest::Operand& operand : test_case.out)
    node.out.push_back(tape.add(operand.desc, std::vector<std::byte>(operand.desc.bytes())));
  tape.emit_into(*cases.op, node.attrs, node.in, node.out, node.name);
  const TensorDesc y = tape.desc(node.out[0]);
  Reals dy = random(static_cast<size_t>(y.elems()), 8);
  tape.contribute(node.out[0], tape.add(y, dy));
  op.grad(tape, node);
  // The gradient by a contribution to the loss is implied to be 1: its op does not ask for it.
  const bool is_contribution = !tape.was_asked(node.out[0]);
  if (is_contribution) dy.assign(1, 1);
  double worst = 0;
  for (size_t k = 0; k < in.size(); ++k) {
    const ValueId gradient = tape.gradient(node.in[k]);
    // A loss's target, its last input, is data.
    const bool is_target = k > 0 && k + 1 == in.size() && is_contribution;
    if (gradient == kNoValue && is_target) continue;
    if (in[k].empty()) continue;
    EXPECT_NE(gradient, kNoValue) << test_case.name << ": input " << k << " gets no gradient";
    if (gradient == kNoValue) continue;
    const Reals actual = tape.numbers(gradient);
    const Reals expected = complex_step(tape.numbers(node.in[k]), [&](const Complexes& at) {
      std::vector<Complexes> point = in;
      point[k] = at;
      return weighted(cases, tape, node, point, dy);
    });
    double scale = 1;
    for (const double e : expected) scale = std::max(scale, std::fabs(e));
    for (size_t j = 0; j < actual.size(); ++j)
      worst = std::max(worst, std::fabs(actual[j] - expected[j]) / scale);
  }
  return worst;
}

bool makes_a_gradient(const selftest::Case& test_case) {
  return test_case.name.find("value_only") == std::string::npos;
}

// Every op that has a gradient, at every point of its cases that serves as a probe: whatever nodes
// the gradient is made of, run as their references.
TEST(ComplexStep, EveryGradientOfEveryOp) {
  for (const OpDef* op : all_ops()) {
    if (!op->grad) continue;
    SCOPED_TRACE(op->name);
    const selftest::OpCases& cases = *selftest::find_cases(*op);
    ASSERT_NE(cases.on_complex, nullptr) << "its cases do not say how its reference is called on "
                                            "complex numbers";
    int probes = 0;
    for (const selftest::Case& test_case : selftest::cases_of(cases)) {
      if (!is_probe(test_case) || !makes_a_gradient(test_case)) continue;
      ++probes;
      EXPECT_LE(distance_of(cases, *op, test_case), kTolerance) << test_case.name;
    }
    EXPECT_GE(probes, 3) << "smooth f64 cases of at most 1500 numbers";
  }
}

// The check can fail: a gradient that forgets the mask.
TEST(ComplexStep, SeesAWrongGradient) {
  OpDef wrong = kDropout;
  wrong.grad = [](GradBuilder& builder, const Node& node) {
    builder.contribute(node.in[0], builder.gradient(node.out[0]));
  };
  int probes = 0;
  for (const selftest::Case& test_case : selftest::cases_of(selftest::kDropoutCases)) {
    const bool drops = test_case.attrs.as<DropoutAttrs>().rate == 0.9f;
    if (drops && is_probe(test_case)) {
      ++probes;
      EXPECT_GT(distance_of(selftest::kDropoutCases, wrong, test_case), 0.1) << test_case.name;
    }
  }
  EXPECT_GE(probes, 1);
}

// What rewriting makes of a product and an activation's derivative behind it.
TEST(ComplexStep, DataGradientTimesTheDerivativeBelowIsBoth) {
  const kernels::DenseShape shape{5, 7, 3, false};
  const Reals dz = random(15, 1), weight = random(21, 2), saved = random(35, 3);
  for (Activation activation : all_activations()) {
    Reals together(35), product(35), apart(35);
    kernels::DenseDataGrad<double> p{shape,         activation,   dz.data(),
                                     weight.data(), saved.data(), together.data()};
    kernels::dense_data_grad_reference(p);
    p.saved = nullptr;
    p.dx = product.data();
    kernels::dense_data_grad_reference(p);
    kernels::activation_grad_reference<double>(
        {35, activation, product.data(), saved.data(), apart.data()});
    EXPECT_EQ(together, apart) << kernels::name(activation);
  }
}

// dense_score is the mean of squares of what dense_forward gives.
TEST(ComplexStep, DenseForwardAndScoreAgree) {
  const kernels::DenseShape shape{5, 7, 3, false};
  const Reals x = random(35, 1), weight = random(21, 2), bias = random(3, 3), t = random(15, 4);
  for (Activation activation : all_activations()) {
    Reals y(15), score(5);
    kernels::dense_forward_reference<double>(
        {shape, activation, x.data(), weight.data(), bias.data(), y.data(), nullptr});
    kernels::dense_score_reference<double>(
        {shape, activation, x.data(), weight.data(), bias.data(), t.data(), score.data()});
    for (size_t b = 0; b < 5; ++b) {
      double sum = 0;
      for (size_t o = 3 * b; o < 3 * b + 3; ++o) sum += (y[o] - t[o]) * (y[o] - t[o]);
      EXPECT_NEAR(sum / 3, score[b], kTolerance) << kernels::name(activation);
    }
  }
}

// The check can fail: a derivative taken at the wrong point is far outside the tolerance.
TEST(ComplexStep, SeesADerivativeTakenAtHInsteadOfZ) {
  const double z = 0.8;
  kernels::with_activation(Activation::kGelu, [&](auto act) {
    const double expected = act.forward(Complex(z, kStep)).imag() / kStep;
    EXPECT_GT(std::fabs(expected - act.derivative(act.forward(z))), 1e-2);
  });
}

}  // namespace
}  // namespace diabolo
