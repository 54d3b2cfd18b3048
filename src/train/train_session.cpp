#include "train/train_session.h"

#include <cstring>

#include "ops/training.h"
#include "train/order.h"

namespace diabolo {

namespace {

// Scalars are written this many at a time, and the host's copies go through the quarters
// of a ring, so that the others can still be on their way.
constexpr uint64_t kScalarsPerWrite = kernels::kStepSlots / 4;

// On the host the rows are used where they are; on a device they must fit beside everything else.
TrainingPlan plan_of(const Backend& backend, const Config& config, const Network& network,
                     const TrainData& data, Residency wanted) {
  const RowsToRead train{data.train.rows, data.train.source()};
  std::optional<RowsToRead> validation;
  if (data.validation) validation = RowsToRead{data.validation->rows, data.validation->source()};
  const auto plan = [&](bool is_resident) {
    return TrainingPlan(backend.info(), config, network, train, validation, is_resident);
  };
  if (wanted != Residency::kAuto) return plan(wanted == Residency::kResident);
  const TrainingPlan resident = plan(true);
  const bool is_host = backend.info().space == Space::kHost;
  return is_host || resident.fits(backend.free_bytes()) ? resident : plan(false);
}

}  // namespace

// One of two places that batches pass through on their way to a device that has no room for all.
struct TrainSession::Slot {
  StagingBuffer staging;
  Buffer device;
  std::unique_ptr<Executor> full, tail;
  std::unique_ptr<Event> copied, used;
};

// What a launch leaves behind: the rings of losses and of their terms and the state, copied to the
// host.
struct TrainSession::Ticket {
  StagingBuffer losses, terms, state;
  std::unique_ptr<Event> done;
  uint64_t first_step = 0;
  int count = 0;
};

TrainSession::TrainSession(Backend& backend, const Config& config, const Network& network,
                           const TrainData& data, const TrainOptions& options)
    : backend_(backend),
      config_(config),
      network_(network),
      data_(data),
      options_(options),
      terms_(loss_terms(config.model)),
      plan_(plan_of(backend, config, network, data, options.residency)),
      schedule_{config.schedule, config.optimizer, plan_.steps_per_epoch(), plan_.total_steps()},
      arena_(backend) {
  stream_ = backend.create_stream();
  store_ = std::make_unique<ParameterStore>(backend, network.parameters(), plan_.states());
  write_states(*store_, network, data.scaling, initial_states(network, config.train.seed),
               *stream_);
  staged_state_ = StagingBuffer(backend, sizeof(kernels::StepState));
  staged_scalars_ = StagingBuffer(backend, kernels::kStepSlots * sizeof(kernels::StepScalars));
  if (has_schedule(terms_)) staged_weights_ = StagingBuffer(backend, terms_desc().bytes());
  for (auto& ticket : tickets_) {
    ticket = std::make_unique<Ticket>();
    ticket->losses = StagingBuffer(backend, kernels::kStepSlots * sizeof(float));
    if (has_terms()) ticket->terms = StagingBuffer(backend, terms_desc().bytes());
    ticket->state = StagingBuffer(backend, sizeof(kernels::StepState));
  }
  take_rows();
  make_executors();
}

TrainSession::~TrainSession() {
  try {
    stream_->synchronize();
    if (copies_) copies_->synchronize();
  } catch (...) {  // whoever waited for the work has heard of it
  }
}

void TrainSession::take_rows() {
  if (!is_resident()) return;
  staged_order_state_ = StagingBuffer(backend_, sizeof(kernels::StepState));
  if (backend_.info().space == Space::kHost) return;
  resident_ = Buffer(backend_, data_.train.bytes.size());
  stream_->copy_in(resident_.data(), data_.train.bytes.data(), data_.train.bytes.size());
  stream_->synchronize();
}

void TrainSession::make_executors() {
  full_plan_ = std::make_unique<Plan>(plan_.step(batch_rows()));
  arena_.reserve(full_plan_->arena_bytes());
  if (plan_.tail_rows() > 0) {
    tail_plan_ = std::make_unique<Plan>(plan_.step(plan_.tail_rows()));
    arena_.reserve(tail_plan_->arena_bytes());
  }
  if (is_resident()) {
    order_plan_ = std::make_unique<Plan>(plan_.order());
    arena_.reserve(order_plan_->arena_bytes());
  }
  if (data_.validation) make_validation();  // reserves too
  const auto executor = [&](const std::unique_ptr<Plan>& plan, void* input) {
    return plan ? std::make_unique<Executor>(
                      *plan, backend_, *store_, arena_, *stream_,
                      std::map<std::string, void*>{{model_names::kInput, input}})
                : nullptr;
  };
  if (is_resident()) {
    // The graph only reads its input; the view type has no const.
    void* input =
        resident_.data() ? resident_.data() : const_cast<std::byte*>(data_.train.bytes.data());
    full_ = executor(full_plan_, input);
    tail_ = executor(tail_plan_, input);
    order_run_ = executor(order_plan_, nullptr);
    return;
  }
  copies_ = backend_.create_stream();
  for (auto& slot : slots_) {
    slot = std::make_unique<Slot>();
    slot->staging = StagingBuffer(backend_, batch_rows() * data_.train.row_bytes());
    slot->device = Buffer(backend_, batch_rows() * data_.train.row_bytes());
    slot->full = executor(full_plan_, slot->device.data());
    slot->tail = executor(tail_plan_, slot->device.data());
  }
}

void TrainSession::set_parameters(const std::vector<std::vector<float>>& parameters) {
  DIABOLO_CHECK(parameters.size() == store_->parameters().size(), parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i)
    store_->write(store_->parameter(store_->parameters()[i].name), parameters[i].data(), *stream_);
  store_->refresh_low(*stream_);
}

ParameterValues TrainSession::parameters() {
  ParameterValues out(store_->parameters());
  store_->read(store_->state(store_names::kMaster), out.writable_blob().data(), *stream_);
  return out;
}

void TrainSession::read(const std::string& name, std::vector<float>& out) {
  const TensorView state = store_->state(name);
  out.resize(static_cast<size_t>(state.desc.elems()));
  store_->read(state, out.data(), *stream_);
}

StateValues TrainSession::states() {
  StateValues out;
  for (const StateSpec& spec : network_.states()) read(spec.name, out.emplace_back());
  return out;
}

void TrainSession::read_model(std::vector<std::vector<float>>& out) {
  const std::vector<StateSpec> states = network_.states();
  out.resize(1 + states.size());
  read(store_names::kMaster, out.front());
  for (size_t i = 0; i < states.size(); ++i) read(states[i].name, out[i + 1]);
}

std::span<const float> TrainSession::part_of(const std::vector<float>& blob, size_t index) const {
  return std::span(blob).subspan(store_->layout().offsets[index],
                                 static_cast<size_t>(store_->parameters()[index].desc.elems()));
}

void TrainSession::begin_epoch(uint32_t epoch, uint64_t step, uint64_t position) {
  DIABOLO_CHECK(in_flight_ == 0, in_flight_, " launches are under way");
  stream_->synchronize();
  if (step != step_) scalars_until_ = step;
  step_ = step;
  position_ = position;
  is_resident() ? order_on_device(epoch)
                : void(order_ = epoch_order(config_.train.seed, epoch, rows()));
  kernels::StepState state{};
  state.seed = config_.train.seed;
  state.step = step;
  state.batch_row = is_resident() ? position : 0;
  state.scalars = schedule_.scalars(step);
  std::memcpy(staged_state_.data(), &state, sizeof(state));
  stream_->copy_in(store_->state(store_names::kStepState).data, staged_state_.data(),
                   sizeof(state));
}

// Where the rows lie; the host has no part in it.
void TrainSession::order_on_device(uint32_t epoch) {
  kernels::StepState state{};
  state.seed = config_.train.seed;
  state.step = epoch;
  std::memcpy(staged_order_state_.data(), &state, sizeof(state));
  stream_->copy_in(store_->state(model_names::kOrderState).data, staged_order_state_.data(),
                   sizeof(state));
  order_run_->run(Capture::kOff);
}

// Scalars of steps below `step`, and some more. A slot that is overwritten belongs to a step that
// stands before this copy in the stream.
void TrainSession::write_scalars_until(uint64_t step) {
  const TensorView ring = store_->state(store_names::kScalars);
  auto* staged = staged_scalars_.as<kernels::StepScalars>();
  while (scalars_until_ < step) {
    const uint64_t slot = scalars_until_ % kernels::kStepSlots;
    const uint64_t count = kScalarsPerWrite - slot % kScalarsPerWrite;
    for (uint64_t i = 0; i < count; ++i) staged[slot + i] = schedule_.scalars(scalars_until_ + i);
    stream_->copy_in(ring.as<kernels::StepScalars>() + slot, staged + slot,
                     count * sizeof(kernels::StepScalars));
    if (has_schedule(terms_)) write_weights(scalars_until_, count);
    scalars_until_ += count;
  }
}

// Of `count` steps whose slots follow each other.
void TrainSession::write_weights(uint64_t first, uint64_t count) {
  const uint64_t begin = first % kernels::kStepSlots * terms_.size();
  float* staged = staged_weights_.as<float>() + begin;
  for (uint64_t i = 0; i < count; ++i)
    for (const TermSpec& term : terms_) *staged++ = static_cast<float>(term.weight_at(first + i));
  stream_->copy_in(store_->state(store_names::kTermWeights).as<float>() + begin,
                   staged_weights_.as<float>() + begin, count * terms_.size() * sizeof(float));
}

void TrainSession::launch(int count) {
  DIABOLO_CHECK(in_flight_ < kMaxInFlight, "nobody waited");
  const bool is_tail = rows() - position_ < batch_rows();
  const uint64_t batch = is_tail ? plan_.tail_rows() : batch_rows();
  DIABOLO_CHECK(count > 0 && position_ + static_cast<uint64_t>(count) * batch <= rows(), count);
  // What is written ahead must not reach what these steps still read.
  DIABOLO_CHECK(static_cast<uint64_t>(count) + 1 + kScalarsPerWrite <= kernels::kStepSlots, count);
  write_scalars_until(step_ + static_cast<uint64_t>(count) + 1);
  is_resident() ? run_resident(count, is_tail) : run_from_slots(count, batch);
  Ticket& ticket = *tickets_[next_ticket_++ % kMaxInFlight];
  stream_->copy_out(ticket.losses.data(), store_->state(store_names::kLosses).data,
                    kernels::kStepSlots * sizeof(float));
  if (has_terms())
    stream_->copy_out(ticket.terms.data(), store_->state(store_names::kTerms).data,
                      terms_desc().bytes());
  stream_->copy_out(ticket.state.data(), store_->state(store_names::kStepState).data,
                    sizeof(kernels::StepState));
  ticket.done = stream_->record_event();
  ticket.first_step = step_;
  ticket.count = count;
  ++in_flight_;
  step_ += static_cast<uint64_t>(count);
  position_ += static_cast<uint64_t>(count) * batch;
}

void TrainSession::run_resident(int count, bool is_tail) {
  Executor& executor = is_tail ? *tail_ : *full_;
  if (count > 1 && options_.capture == Capture::kOn) return executor.run_many(count);
  for (int i = 0; i < count; ++i) executor.run(options_.capture);
}

void TrainSession::run_from_slots(int count, uint64_t batch) {
  for (int i = 0; i < count; ++i) {
    Slot& slot = *slots_[(step_ + static_cast<uint64_t>(i)) % slots_.size()];
    if (slot.copied) slot.copied->wait();  // the staging memory is free again
    const uint64_t first = position_ + static_cast<uint64_t>(i) * batch;
    const uint64_t row_bytes = data_.train.row_bytes();
    for (uint64_t b = 0; b < batch; ++b)
      std::memcpy(slot.staging.as<std::byte>() + b * row_bytes, data_.train.row(order_[first + b]),
                  row_bytes);
    run_from_slot(slot, batch);
  }
}

void TrainSession::run_from_slot(Slot& slot, uint64_t batch) {
  if (slot.used) copies_->wait_for(*slot.used);
  copies_->copy_in(slot.device.data(), slot.staging.data(), batch * data_.train.row_bytes());
  slot.copied = copies_->record_event();
  stream_->wait_for(*slot.copied);
  (batch == batch_rows() ? *slot.full : *slot.tail).run(options_.capture);
  slot.used = stream_->record_event();
}

StepsDone TrainSession::wait_for_oldest() {
  DIABOLO_CHECK(in_flight_ > 0, "nothing was launched");
  Ticket& ticket = *tickets_[(next_ticket_ - in_flight_) % kMaxInFlight];
  --in_flight_;
  ticket.done->wait();
  kernels::StepState state;
  std::memcpy(&state, ticket.state.data(), sizeof(state));
  StepsDone done;
  done.first_step = ticket.first_step;
  done.has_halted = state.halt != 0;
  done.halted_step = state.step;
  for (int i = 0; i < ticket.count; ++i) {
    const uint64_t step = ticket.first_step + static_cast<uint64_t>(i);
    const uint64_t slot = step % kernels::kStepSlots;
    done.losses.push_back(ticket.losses.as<float>()[slot]);
    if (!has_terms()) continue;
    const float* terms = ticket.terms.as<float>() + slot * terms_.size();
    done.terms.insert(done.terms.end(), terms, terms + terms_.size());
  }
  return done;
}

// A plan for whole batches of validation rows and one for the rest, both fed through one buffer.
struct TrainSession::Validation {
  Buffer rows;
  std::unique_ptr<Plan> full_plan, tail_plan;
  std::unique_ptr<Executor> full, tail;
  uint64_t batch = 0;
  StagingBuffer losses, states;  // one per batch
};

void TrainSession::make_validation() {
  const TrainRows& rows = *data_.validation;
  validation_ = std::make_unique<Validation>();
  Validation& v = *validation_;
  v.batch = plan_.validation_batch_rows();
  const uint64_t batches = (rows.rows + v.batch - 1) / v.batch;
  v.rows = Buffer(backend_, v.batch * rows.row_bytes());
  v.losses = StagingBuffer(backend_, batches * sizeof(float));
  v.states = StagingBuffer(backend_, batches * sizeof(kernels::StepState));
  v.full_plan = std::make_unique<Plan>(plan_.validation(v.batch));
  arena_.reserve(v.full_plan->arena_bytes());
  if (rows.rows % v.batch == 0) return;
  v.tail_plan = std::make_unique<Plan>(plan_.validation(rows.rows % v.batch));
  arena_.reserve(v.tail_plan->arena_bytes());
}

double TrainSession::validate() {
  const TrainRows& rows = *data_.validation;
  Validation& v = *validation_;
  const auto executor = [&](std::unique_ptr<Executor>& made, const Plan& plan) -> Executor& {
    if (!made)
      made = std::make_unique<Executor>(
          plan, backend_, *store_, arena_, *stream_,
          std::map<std::string, void*>{{model_names::kInput, v.rows.data()}});
    return *made;
  };
  const TensorView state = store_->state(model_names::kValidationState);
  uint64_t batch = 0;
  for (uint64_t first = 0; first < rows.rows; first += v.batch, ++batch) {
    const uint64_t count = std::min(v.batch, rows.rows - first);
    Executor& run =
        count == v.batch ? executor(v.full, *v.full_plan) : executor(v.tail, *v.tail_plan);
    auto* staged = v.states.as<kernels::StepState>() + batch;
    *staged = kernels::StepState{};
    staged->seed = config_.train.seed;
    staged->step = batch;
    stream_->copy_in(state.data, staged, sizeof(*staged));
    stream_->copy_in(v.rows.data(), rows.row(first), count * rows.row_bytes());
    run.run(options_.capture);
    stream_->copy_out(v.losses.as<float>() + batch, run.output(model_names::kLoss).data,
                      sizeof(float));
  }
  stream_->synchronize();
  double sum = 0;
  for (uint64_t b = 0; b < batch; ++b) {
    const uint64_t count = std::min(v.batch, rows.rows - b * v.batch);
    sum += static_cast<double>(v.losses.as<float>()[b]) * static_cast<double>(count);
  }
  return sum / static_cast<double>(rows.rows);
}

}  // namespace diabolo
