#include "training_bed.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernel_times.h"
#include "kernels/common/philox.h"
#include "model/presets.h"
#include "train/schedule.h"

namespace diabolo::bench {
namespace {

Config with_precision(Config config, int64_t batch, Precision precision) {
  config.train.batch_size = batch;
  config.train.precision = precision;
  return config;
}

double product_flops(const std::vector<int64_t>& widths) {
  double sum = 0;
  for (size_t k = 1; k < widths.size(); ++k)
    sum += 2.0 * static_cast<double>(widths[k - 1]) * static_cast<double>(widths[k]);
  return 2 * sum;  // encoder and its mirror
}

}  // namespace

const Net& dense_net() {
  static const Net net{"dense", {784, 512, 256, 32}};
  return net;
}

const Net& wide_net() {
  static const Net net{"dense64", {784, 512, 256, 64}};
  return net;
}

Config Net::config() const {
  Config made = preset_config("dense");
  made.data.scale = Scale::kUnit;
  made.model.encoder.hidden.assign(widths.begin() + 1, widths.end() - 1);
  made.model.code.size = widths.back();
  made.model.decoder.output = kernels::Activation::kSigmoid;
  return made;
}

double Net::flops_per_row() const {
  return product_flops(widths);
}

// Forward, weight gradients, and data gradients of all layers but the first.
double Net::training_flops_per_row() const {
  return 3 * product_flops(widths) -
         2.0 * static_cast<double>(widths[0]) * static_cast<double>(widths[1]);
}

TrainingBed::TrainingBed(Backend& backend, const Net& net, int64_t batch, Precision precision,
                         int64_t rows)
    : backend_(backend),
      config_(with_precision(net.config(), batch, precision)),
      network_(Network::of(config_.model, net.widths[0])),
      batch_(batch),
      steps_per_epoch_(rows / batch),
      stream_(backend.create_stream()),
      training_(backend.info(), config_, network_, {static_cast<uint64_t>(rows), Source::kRawU8},
                std::nullopt, true),
      store_(backend, network_.parameters(), training_.states()),
      data_(backend, static_cast<uint64_t>(rows * net.widths[0])),
      plan_(training_.step(training_.batch_rows())),
      arena_(backend) {
  write_inputs(net, rows);
  arena_.reserve(plan_.arena_bytes());
  executor_ =
      std::make_unique<Executor>(plan_, backend, store_, arena_, *stream_,
                                 std::map<std::string, void*>{{model_names::kInput, data_.data()}});
}

void TrainingBed::write_inputs(const Net& net, int64_t rows) {
  const auto features = static_cast<size_t>(net.widths[0]);
  Scaling scaling;
  scaling.shift.assign(features, 0.0f);
  scaling.scale.assign(features, 1.0f / 255.0f);
  write_states(store_, network_, scaling, initial_states(network_, 0), *stream_);
  std::vector<uint32_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), 0u);
  for (size_t k = order.size(); k > 1; --k) {
    const kernels::Philox4 draw =
        kernels::draw_quad({1, kernels::RandomPurpose::kShuffle, 0}, 0, static_cast<uint32_t>(k));
    std::swap(order[k - 1], order[draw.lane[0] % k]);
  }
  store_.write(store_.state(model_names::kOrder), order.data(), *stream_);

  std::vector<uint8_t> bytes(data_.bytes());
  for (size_t k = 0; k + 4 <= bytes.size(); k += 4) {
    const kernels::Philox4 draw =
        kernels::draw_quad({2, 0, static_cast<uint32_t>(k >> 34)}, 0, static_cast<uint32_t>(k / 4));
    for (size_t lane = 0; lane < 4; ++lane)
      bytes[k + lane] = static_cast<uint8_t>(draw.lane[lane] >> 24);
  }
  stream_->copy_in(data_.data(), bytes.data(), bytes.size());
  stream_->synchronize();

  const auto initial = initial_parameters(network_, 0);
  for (size_t k = 0; k < initial.size(); ++k)
    store_.write(store_.parameter(store_.parameters()[k].name), initial[k].data(), *stream_);
  store_.refresh_low(*stream_);
  const Schedule schedule{config_.schedule, config_.optimizer,
                          static_cast<uint64_t>(steps_per_epoch_), kernels::kStepSlots};
  std::vector<kernels::StepScalars> scalars(kernels::kStepSlots);
  for (size_t s = 0; s < scalars.size(); ++s) scalars[s] = schedule.scalars(s + 1000);
  store_.write(store_.state(store_names::kScalars), scalars.data(), *stream_);
  rewind();
}

void TrainingBed::rewind() {
  kernels::StepState state{};
  const TensorView view = store_.state(store_names::kStepState);
  store_.read(view, &state, *stream_);
  state.batch_row = 0;
  if (state.step == 0) {
    const TensorView scalars = store_.state(store_names::kScalars);
    store_.read({TensorDesc(DType::kF32, {4}), scalars.data}, &state.scalars, *stream_);
  }
  store_.write(view, &state, *stream_);
  steps_in_epoch_ = 0;
}

void TrainingBed::run(int steps) {
  while (steps > 0) {
    if (steps_in_epoch_ == steps_per_epoch_) rewind();
    const int now = static_cast<int>(std::min<int64_t>(steps, steps_per_epoch_ - steps_in_epoch_));
    executor_->run_many(now);
    steps_in_epoch_ += now;
    steps -= now;
  }
}

double TrainingBed::kernels_alone_seconds(int repeats) {
  rewind();
  constexpr int kWarmUp = 3;
  KernelTimes times;
  for (int pass = 0; pass < kWarmUp + repeats; ++pass) {
    if (pass % 2 == 0) rewind();
    if (pass == kWarmUp) times.forget();
    stream_->synchronize();
    times.time_once(*executor_, *stream_);
  }
  rewind();
  return times.sum_of_medians();
}

float TrainingBed::last_loss() {
  kernels::StepState state{};
  store_.read(store_.state(store_names::kStepState), &state, *stream_);
  std::vector<float> losses(kernels::kStepSlots);
  store_.read(store_.state(store_names::kLosses), losses.data(), *stream_);
  return losses[(state.step + kernels::kStepSlots - 1) % kernels::kStepSlots];
}

}  // namespace diabolo::bench
