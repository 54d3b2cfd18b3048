// The backward references against the derivative of the forward references, by complex steps: for
// an analytic f, Im f(x + ih) / h is f'(x) with an error of h^2, so h = 1e-30 leaves rounding
// alone. This is the root of the chain of trust: everything faster is checked against these
// references.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>
#include <functional>
#include <random>
#include <vector>

#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/dense.h"
#include "kernels/loss.h"
#include "kernels/noise.h"
#include "kernels/penalty.h"

namespace diabolo {
namespace {

using Complex = std::complex<double>;
using Reals = std::vector<double>;
using Complexes = std::vector<Complex>;
using kernels::Activation;
using kernels::Loss;

constexpr double kStep = 1e-30;
// Rounding of sums of at most 40 terms of magnitude about 1 in double, relative to the largest.
constexpr double kTolerance = 2e-14;

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

void expect_same(const Reals& expected, const Reals& actual, const std::string& what) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  double scale = 1;
  for (double e : expected) scale = std::max(scale, std::fabs(e));
  for (size_t k = 0; k < expected.size(); ++k)
    EXPECT_NEAR(expected[k], actual[k], kTolerance * scale) << what << " element " << k;
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

// One layer and its loss: x -> dense -> loss, and every gradient of it.
struct Net {
  kernels::DenseShape shape{5, 7, 3, false};
  Activation activation = Activation::kTanh;
  Loss loss = Loss::kMse;
  Reals x = random(5 * 7, 1), weight = random(7 * 3, 2), bias = random(3, 3),
        target = random(5 * 3, 4, 0, 1);

  template <class T>
  kernels::DenseLoss<T> record(const std::vector<T>& x_of, const std::vector<T>& weight_of,
                               const std::vector<T>& bias_of,
                               const std::vector<T>& target_of) const {
    kernels::DenseLoss<T> p;
    p.shape = shape;
    p.activation = activation;
    p.kind = loss;
    p.scale = 0.75f;
    p.x = x_of.data();
    p.weight = weight_of.data();
    p.bias = bias_of.data();
    p.target = target_of.data();
    return p;
  }

  Complex value(const Complexes& x_of, const Complexes& weight_of, const Complexes& bias_of) const {
    Complex result;
    const Complexes target_of = lifted(target);
    auto p = record(x_of, weight_of, bias_of, target_of);
    p.loss = &result;
    kernels::dense_loss_reference(p);
    return result;
  }

  Reals dz() const {
    Reals result(target.size());
    double ignored = 0;
    auto p = record(x, weight, bias, target);
    p.dz = result.data();
    p.loss = &ignored;
    kernels::dense_loss_reference(p);
    return result;
  }

  std::string text() const {
    return std::string(kernels::name(activation)) + " " + kernels::name(loss) +
           (shape.weight_transposed ? " transposed" : "");
  }
};

void for_every_net(const std::function<void(const Net&)>& check) {
  for (Activation activation : all_activations()) {
    for (Loss loss : all_losses()) {
      for (bool transposed : {false, true}) {
        Net net;
        net.activation = activation;
        net.loss = loss;
        net.shape.weight_transposed = transposed;
        check(net);
      }
    }
  }
}

TEST(ComplexStep, DenseWeightAndBiasGradient) {
  for_every_net([](const Net& net) {
    const Reals dz = net.dz();
    Reals d_weight(net.weight.size(), 0.5), d_bias(net.bias.size(), 0.25);
    kernels::DenseWeightGrad<double> p;
    p.shape = net.shape;
    p.x = net.x.data();
    p.dz = dz.data();
    p.d_weight = d_weight.data();
    p.d_bias = d_bias.data();
    kernels::dense_weight_grad_reference(p);
    expect_same(complex_step(net.weight,
                             [&](const Complexes& w) {
                               return net.value(lifted(net.x), w, lifted(net.bias));
                             }),
                d_weight, net.text() + " d_weight");
    expect_same(complex_step(net.bias,
                             [&](const Complexes& b) {
                               return net.value(lifted(net.x), lifted(net.weight), b);
                             }),
                d_bias, net.text() + " d_bias");
  });
}

TEST(ComplexStep, DenseWeightGradientAccumulates) {
  const Net net;
  const Reals dz = net.dz();
  Reals once(net.weight.size()), twice(net.weight.size()), bias_once(3), bias_twice(3);
  kernels::DenseWeightGrad<double> p{net.shape, false,       false,           net.x.data(),
                                     dz.data(), once.data(), bias_once.data()};
  kernels::dense_weight_grad_reference(p);
  p.d_weight = twice.data();
  p.d_bias = bias_twice.data();
  kernels::dense_weight_grad_reference(p);
  p.accumulates_weight = p.accumulates_bias = true;
  kernels::dense_weight_grad_reference(p);
  for (size_t k = 0; k < once.size(); ++k) EXPECT_EQ(once[k] + once[k], twice[k]);
  for (size_t k = 0; k < 3; ++k) EXPECT_EQ(bias_once[k] + bias_once[k], bias_twice[k]);
}

Reals data_grad(const Net& net, Activation below, const double* saved) {
  const Reals dz = net.dz();
  Reals dx(net.x.size());
  kernels::DenseDataGrad<double> p;
  p.shape = net.shape;
  p.activation = below;
  p.dz = dz.data();
  p.weight = net.weight.data();
  p.saved = saved;
  p.dx = dx.data();
  kernels::dense_data_grad_reference(p);
  return dx;
}

TEST(ComplexStep, DenseDataGradient) {
  for_every_net([](const Net& net) {
    expect_same(complex_step(net.x,
                             [&](const Complexes& x) {
                               return net.value(x, lifted(net.weight), lifted(net.bias));
                             }),
                data_grad(net, Activation::kIdentity, nullptr), net.text());
  });
}

// The epilogue: the gradient by z of the layer below, whose output f(z) is x here.
TEST(ComplexStep, DenseDataGradientThroughTheActivationBelow) {
  for (Activation below : all_activations()) {
    Net net;
    const Reals z = random(net.x.size(), 11, -2, 2);
    Reals h(z.size());
    kernels::with_activation(below, [&](auto act) {
      for (size_t k = 0; k < z.size(); ++k) h[k] = act.forward(z[k]);
    });
    net.x = h;
    const Reals& saved = kernels::saves_z(below) ? z : h;
    const auto forward = [&](const Complexes& at) {
      Complexes x(at.size());
      kernels::with_activation(below, [&](auto act) {
        for (size_t k = 0; k < at.size(); ++k) x[k] = act.forward(at[k]);
      });
      return net.value(x, lifted(net.weight), lifted(net.bias));
    };
    expect_same(complex_step(z, forward), data_grad(net, below, saved.data()),
                kernels::name(below));
  }
}

// dense_forward and dense_score are the same function as dense_loss: y and the mean of squares.
TEST(ComplexStep, DenseForwardScoreAndLossAgree) {
  for (Activation activation : all_activations()) {
    Net net;
    net.activation = activation;
    Reals y(net.target.size()), score(5);
    kernels::dense_forward_reference<double>({net.shape, activation, net.x.data(),
                                              net.weight.data(), net.bias.data(), y.data(),
                                              nullptr});
    kernels::dense_score_reference<double>({net.shape, activation, net.x.data(), net.weight.data(),
                                            net.bias.data(), net.target.data(), score.data()});
    double of_forward = 0, of_score = 0;
    for (size_t k = 0; k < y.size(); ++k) of_forward += std::pow(y[k] - net.target[k], 2);
    for (double s : score) of_score += s;
    const double loss =
        net.value(lifted(net.x), lifted(net.weight), lifted(net.bias)).real() / 0.75;
    EXPECT_NEAR(of_forward / 15, loss, kTolerance) << kernels::name(activation);
    EXPECT_NEAR(of_score / 5, loss, kTolerance) << kernels::name(activation);
  }
}

TEST(ComplexStep, LossAlone) {
  for (Activation activation : all_activations()) {
    for (Loss loss : all_losses()) {
      const Reals z = random(13, 5, -2, 2), target = random(13, 6, 0, 1);
      Reals dz(z.size());
      double value = 0;
      kernels::loss_reference<double>(
          {13, activation, loss, 0.5f, z.data(), target.data(), dz.data(), &value});
      const auto f = [&](const Complexes& at) {
        Complex result;
        const Complexes target_of = lifted(target);
        kernels::loss_reference<Complex>(
            {13, activation, loss, 0.5f, at.data(), target_of.data(), nullptr, &result});
        return result;
      };
      expect_same(complex_step(z, f), dz,
                  std::string(kernels::name(activation)) + " " + kernels::name(loss));
      EXPECT_NEAR(f(lifted(z)).real(), value, kTolerance);
    }
  }
}

// sum of weight_k * f(x)_k, so that its gradient is the vector-Jacobian product of f.
Complex weighted(const Complexes& y, const Reals& weight) {
  Complex sum = 0;
  for (size_t k = 0; k < y.size(); ++k) sum += y[k] * weight[k];
  return sum;
}

TEST(ComplexStep, ActivationGrad) {
  for (Activation activation : all_activations()) {
    const Reals z = probes(), dy = random(z.size(), 8);
    Reals saved(z.size()), dz(z.size());
    kernels::with_activation(activation, [&](auto act) {
      for (size_t k = 0; k < z.size(); ++k) saved[k] = act.kSavesZ ? z[k] : act.forward(z[k]);
    });
    const auto n = static_cast<int64_t>(z.size());
    kernels::activation_grad_reference<double>({n, activation, dy.data(), saved.data(), dz.data()});
    const auto f = [&](const Complexes& at) {
      Complexes y(at.size());
      kernels::with_activation(activation, [&](auto act) {
        for (size_t k = 0; k < at.size(); ++k) y[k] = act.forward(at[k]);
      });
      return weighted(y, dy);
    };
    expect_same(complex_step(z, f), dz, kernels::name(activation));
  }
}

TEST(ComplexStep, AddPassesItsGradientToBoth) {
  const Reals a = random(9, 1), b = random(9, 2), dy = random(9, 3);
  const Complexes b_of = lifted(b);
  const auto f = [&](const Complexes& at) {
    Complexes y(9);
    kernels::add_reference<Complex>({9, at.data(), b_of.data(), y.data()});
    return weighted(y, dy);
  };
  expect_same(complex_step(a, f), dy, "add");
}

TEST(ComplexStep, DropoutOfTheGradientIsItsGradient) {
  kernels::StepState state{};
  state.seed = 17;
  state.step = 3;
  const Reals x = random(6 * 9, 1), dy = random(6 * 9, 2);
  const auto drop = [&](const auto* in, auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    kernels::dropout_reference<T>(
        {6, 9, 0.3f, kernels::RandomPurpose::kDropout + 2, &state, in, out});
  };
  Reals dx(x.size());
  drop(dy.data(), dx.data());
  const auto f = [&](const Complexes& at) {
    Complexes y(at.size());
    drop(at.data(), y.data());
    return weighted(y, dy);
  };
  expect_same(complex_step(x, f), dx, "dropout");
  EXPECT_THAT(dx, testing::Contains(0.0));
}

TEST(ComplexStep, L2Penalty) {
  const Reals w = random(11, 1);
  Reals d_weight(11, 3.0);
  kernels::l2_penalty_grad_reference<double>({11, 0.125f, false, w.data(), d_weight.data()});
  const auto f = [&](const Complexes& at) {
    Complex loss;
    kernels::l2_penalty_reference<Complex>({11, 0.125f, at.data(), &loss});
    return loss;
  };
  const Reals expected = complex_step(w, f);
  expect_same(expected, d_weight, "write");
  kernels::l2_penalty_grad_reference<double>({11, 0.125f, true, w.data(), d_weight.data()});
  for (size_t k = 0; k < w.size(); ++k) EXPECT_NEAR(2 * expected[k], d_weight[k], kTolerance);
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
