#include "infer/inference.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "backend/host/host_threads.h"
#include "data/wide.h"
#include "infer/device_inference.h"
#include "infer/inference_lane.h"
#include "infer/input_rows.h"
#include "infer/integer_rows.h"
#include "kernels/common/scalar.h"

namespace diabolo {

namespace {

void require_size(const char* what, uint64_t expected, uint64_t found, uint64_t number_bytes = 1) {
  if (expected != found)
    throw Error(ErrorCode::kUsage, cat(what, ": expected ", expected / number_bytes,
                                       " numbers, found room for ", found / number_bytes));
}

// Results of a chunk as floats.
void copy_floats(const TensorView& from, uint64_t elems, float* to) {
  if (from.desc.dtype() == DType::kF32) {
    std::memcpy(to, from.data, elems * sizeof(float));
    return;
  }
  DIABOLO_CHECK(from.desc.dtype() == DType::kBf16, from.desc.text());
  const auto* low = from.as<kernels::Bf16>();
  for (uint64_t i = 0; i < elems; ++i) to[i] = kernels::to_float(low[i]);
}

}  // namespace

struct Inference::Pool {
  Pool(Backend& backend_in, const ModelFile& model, const Network& network,
       const InferenceOptions& options)
      : config(model.config.model), plans(backend_in, config, network, options) {
    const std::unique_ptr<Stream> stream = backend_in.create_stream(StreamKind::kCallerThread);
    // On the host the weights are used where the model has them.
    const bool is_host = backend_in.info().space == Space::kHost;
    store = std::make_unique<ParameterStore>(backend_in, network.parameters(),
                                             inference_states(network, options.precision),
                                             is_host ? model.parameters.shared() : nullptr);
    if (!is_host)
      store->write(store->state(store_names::kMaster), model.parameters.blob().data(), *stream);
    store->refresh_low(*stream);
    write_states(*store, network, model.scaling, model.states, *stream);
    device = std::make_unique<DeviceInference>(plans, *store);
  }

  // Takes an idle lane or makes one; whoever is done gives it back.
  std::unique_ptr<Lane> take(const LaneKind& kind) {
    {
      const std::lock_guard lock(mutex);
      std::vector<std::unique_ptr<Lane>>& free = idle[kind];
      if (!free.empty()) {
        std::unique_ptr<Lane> lane = std::move(free.back());
        free.pop_back();
        return lane;
      }
    }
    return std::make_unique<Lane>(plans, *store, kind);
  }
  void give_back(const LaneKind& kind, std::unique_ptr<Lane> lane) {
    const std::lock_guard lock(mutex);
    idle[kind].push_back(std::move(lane));
  }

  // Threads that wait for work: one call at a time has all of them, and a call that finds them
  // taken, or may not start them, does its rows alone. Null: not now.
  kernels::cpu::ThreadTeam* team_for_call(std::unique_lock<std::mutex>& lock) {
    if (plans.most_lanes() <= 1) return nullptr;
    lock = std::unique_lock(team_mutex, std::try_to_lock);
    if (!lock.owns_lock() || team_is_refused) return nullptr;
    try {
      if (!team) team = create_call_team(plans.most_lanes());
    } catch (const Error&) {
      team_is_refused = true;
    }
    return team.get();
  }

  // A lane that failed is not given back, and ends the call.
  void work(const LaneKind& kind, const LaneJob& job, RowPieces& pieces) {
    if (pieces.none_left()) return;
    try {
      std::unique_ptr<Lane> lane = take(kind);
      lane->run(job, pieces);
      give_back(kind, std::move(lane));
    } catch (...) {
      pieces.stop();
      throw;
    }
  }

  // On the caller's thread and, where there is enough to do, on helpers.
  void run(const LaneKind& kind, const LaneJob& job) {
    RowPieces pieces(job.rows, plans.row_counts(), plans.lanes_for(kind, job.rows), job.first_row);
    std::unique_lock<std::mutex> lock;
    const bool is_shared = pieces.lanes() > 1 || plans.shares_kernels(job.rows);
    kernels::cpu::ThreadTeam* const helpers = is_shared ? team_for_call(lock) : nullptr;
    if (!helpers) return work(kind, job, pieces);
    if (pieces.lanes() == 1) {
      const kernels::cpu::TeamScope scope(helpers);
      return work(kind, job, pieces);
    }
    std::mutex failure_mutex;
    std::exception_ptr failure;
    const auto lane = [&] {
      try {
        work(kind, job, pieces);
      } catch (...) {
        const std::lock_guard failing(failure_mutex);
        if (!failure) failure = std::current_exception();
      }
    };
    helpers->run(
        pieces.lanes(), pieces.lanes(),
        [](const void* body, int64_t) { (*static_cast<const decltype(lane)*>(body))(); }, &lane);
    if (failure) std::rethrow_exception(failure);
  }

  ModelConfig config;
  LanePlans plans;
  std::unique_ptr<ParameterStore> store;
  std::mutex mutex;
  std::map<LaneKind, std::vector<std::unique_ptr<Lane>>> idle;
  std::unique_ptr<DeviceInference> device;
  std::mutex team_mutex;
  std::unique_ptr<kernels::cpu::ThreadTeam> team;
  bool team_is_refused = false;
};

int64_t usual_max_rows(const DeviceInfo& device) {
  return device.space == Space::kHost ? LanePlans::kMostHostRows : 4096;
}

namespace {

// Codes are taken as they are; their mean is unknown and near 0.
Scaling no_scaling(size_t width) {
  return {Scale::kNone, std::vector(width, 0.0f), std::vector(width, 1.0f),
          std::vector(width, 0.0f)};
}

InferenceOptions completed(InferenceOptions options, const DeviceInfo& device) {
  if (options.max_rows == 0) options.max_rows = usual_max_rows(device);
  return options;
}

}  // namespace

uint64_t call_bytes(Backend& backend, const ModelConfig& config, const Network& network,
                    InferenceOptions options, const Task& task, int64_t worst, Source source,
                    uint64_t rows, uint64_t room_bytes) {
  options = completed(options, backend.info());
  LanePlans plans(backend, config, network, options);
  const LaneKind kind{&task, source, worst};
  const RowPieces pieces(rows, plans.row_counts(), plans.lanes_for(kind, rows));
  const uint64_t room = static_cast<uint64_t>(plans.max_rows()) * room_bytes;
  return static_cast<uint64_t>(pieces.lanes()) * (plans.lane_bytes(kind) + room);
}

Inference::Inference(Backend& backend, const ModelFile& model, const InferenceOptions& options)
    : backend_(backend),
      network_(model.network()),
      scaling_(model.scaling),
      code_scaling_(no_scaling(static_cast<size_t>(network_.code_size))),
      wide_scaling_(with_wide(model.scaling)),
      options_(completed(options, backend.info())),
      pool_(std::make_unique<Pool>(backend_, model, network_, options_)) {}

Inference::~Inference() = default;

DeviceInference& Inference::on_device() const {
  return *pool_->device;
}

uint64_t Inference::bytes() const {
  const std::lock_guard lock(pool_->mutex);
  uint64_t sum = pool_->store->bytes() + pool_->device->bytes();
  for (const auto& [kind, lanes] : pool_->idle)
    for (const auto& lane : lanes) sum += lane->bytes();
  return sum;
}

const Scaling& Inference::scaling_of(DType dtype) const {
  return is_wide(dtype) ? wide_scaling_ : scaling_;
}

void Inference::require_means(const RowRules& rules) const {
  if (rules.on_bad_value == BadValue::kMean && scaling_.mean.empty())
    throw Error(ErrorCode::kUsage, cat(rules.place.option,
                                       " mean: the model has no means; it was trained without a "
                                       "pass over its data (use zero or skip)"));
}

namespace {

// One column of a piece of rows, to where the caller wants it.
struct Taker {
  const TaskColumn& column;
  std::byte* out;
  const Scaling* scaling;  // null: the numbers stay as they are
  uint64_t code_values;    // of integers that are codes: each is below this
  RowWatch& watch;

  void take_integers(const TensorView& from, uint64_t first, std::span<std::byte> to) const {
    std::memcpy(to.data(), from.data, to.size());
    if (column.output->is_code && code_values > 0)
      check_integer_results({column.output->what, column.width(), column.dtype(), code_values}, to,
                            first, watch);
  }
  void operator()(const TensorView& from, uint64_t first, uint64_t count) const {
    std::byte* const to = out + first * column.row_bytes();
    if (column.dtype() != DType::kF32)
      return take_integers(from, first, {to, count * column.row_bytes()});
    const std::span floats(reinterpret_cast<float*>(to), count * column.width());
    copy_floats(from, floats.size(), floats.data());
    if (scaling) unscale_rows(*scaling, floats);
    if (!column.output->may_be_infinite)
      watch.check_results(column.output->what, first, column.width(), floats);
    watch.blank(first, column.width(), floats);
  }
};

}  // namespace

void check_temperature(const Task& task, const TaskShape& shape, double temperature) {
  if (!shape.has_temperature && temperature != 1)
    throw Error(ErrorCode::kUsage, cat("temperature: ", task.name, " draws nothing that has one"));
  if (!(static_cast<float>(temperature) > 0 && temperature <= kMostTemperature))
    throw Error(ErrorCode::kUsage, cat("temperature: expected a number above 0 and at most ",
                                       kMostTemperature, ", found ", temperature));
}

std::span<const TaskColumn> Inference::columns(const Task& task, int64_t worst) const {
  return pool_->plans.shape({&task, Source::kScaled, worst}).columns;
}

InputWay Inference::way_of(const TaskInput& input, DType dtype, const TensorDesc& row) const {
  InputWay way{input, row.dtype(), static_cast<uint64_t>(row.elems())};
  if (input.is_scaled()) way.scaling = &scaling_of(dtype);
  if (input.is_codes) way.scaling = &code_scaling_;
  if (input.is_codes) way.values = network_.code_row.values;
  return way;
}

// The number of rows.
uint64_t Inference::check_inputs(const Task& task, std::span<const RawRows> in,
                                 const RowRules& rules, const TaskCall& call) const {
  if (in.size() != task.inputs.size())
    throw Error(ErrorCode::kUsage,
                cat(task.name, ": expected inputs: ", task.inputs.size(), ", found ", in.size()));
  const uint64_t rows = in.empty() ? call.rows : in.front().rows;
  for (size_t i = 0; i < in.size(); ++i) {
    const TensorDesc row =
        input_row(task.inputs[i], TensorDesc(DType::kF32, {features()}), network_);
    const auto width = static_cast<uint64_t>(row.elems());
    if (!in[i].fetch)
      require_size("rows", in[i].rows * width * size_bytes(in[i].dtype), in[i].bytes.size());
    if (in[i].rows != rows)
      throw Error(ErrorCode::kUsage,
                  cat(task.inputs[i].name, ": expected ", rows,
                      " rows, as many as in the other input, found ", in[i].rows));
    if (task.inputs[i].is_scaled()) require_means(rules);
  }
  return rows;
}

void Inference::run(const Task& task, std::span<const RawRows> in, std::span<const TaskResults> out,
                    const RowRules& rules, const TaskCall& options) const {
  const uint64_t rows = check_inputs(task, in, rules, options);
  const Source source = source_of(task, in);
  const TaskShape& shape = pool_->plans.shape({&task, Source::kScaled, options.worst});
  check_temperature(task, shape, options.temperature);
  RowWatch watch(rules, rows);
  std::vector<Taker> takers;
  for (const TaskColumn& column : columns(task, options.worst)) {
    const size_t i = takers.size();
    if (i == out.size())
      throw Error(ErrorCode::kUsage, cat(task.name, ": expected room for the ", column.output->what,
                                         " too, found ", i, " results"));
    if (out[i].dtype != column.dtype())
      throw Error(ErrorCode::kUsage, cat(column.output->what, ": expected room for ",
                                         name(column.dtype()), ", found ", name(out[i].dtype)));
    require_size(column.output->what, rows * column.row_bytes(), out[i].bytes.size(),
                 size_bytes(column.dtype()));
    const bool goes_back = column.output->is_scaled && !options.keeps_scaled;
    takers.push_back({column, out[i].bytes.data(), goes_back ? &scaling_ : nullptr,
                      network_.code_row.values, watch});
  }
  for (size_t i = takers.size(); i < out.size(); ++i)  // results that this call does not have
    require_size(task.name, 0, out[i].bytes.size());
  std::vector<InputWay> ways;
  for (size_t i = 0; i < in.size(); ++i)
    ways.push_back(way_of(task.inputs[i], in[i].dtype, shape.inputs[i]));
  CallWatch call(rules.progress);
  LaneJob job;
  job.rows = rows;
  job.seed = options.seed;
  job.first_row = options.first_row;
  job.temperature = static_cast<float>(options.temperature);
  job.is_over = [&] { return watch.is_over() || call.is_stopped(); };
  job.fill = [&](size_t i, uint64_t first, uint64_t count, void* staging) {
    fill_rows(in[i], source, ways[i], first, count, staging, watch);
  };
  job.take = [&](uint64_t first, uint64_t count, const ChunkResult& result) {
    call.add_rows(count);
    for (size_t i = 0; i < takers.size(); ++i) takers[i](result.out[i], first, count);
  };
  // Asked before a thread has begun: the others would not wait for the caller's.
  if (!call.is_stopped()) pool_->run({&task, source, options.worst}, job);
  watch.finish();
  call.finish();
}

void Inference::encode(const RawRows& in, std::span<float> codes, const RowRules& rules) const {
  run(kEncodeTask, in, std::array<TaskResults, 1>{codes}, rules);
}

void Inference::decode(const RawRows& codes, std::span<float> rows, const RowRules& rules) const {
  run(kDecodeTask, codes, std::array<TaskResults, 1>{rows}, rules);
}

void Inference::decode(std::span<const float> codes, std::span<float> rows,
                       const RowRules& rules) const {
  const uint64_t count = codes.size() / static_cast<uint64_t>(code_size());
  decode({.bytes = std::as_bytes(codes), .rows = count}, rows, rules);
}

void Inference::reconstruct_scaled(const RawRows& in, std::span<float> rows,
                                   const RowRules& rules) const {
  run(kReconstructTask, in, std::array<TaskResults, 1>{rows}, rules, {.keeps_scaled = true});
}

void Inference::reconstruct(const RawRows& in, std::span<float> rows, const RowRules& rules) const {
  run(kReconstructTask, in, std::array<TaskResults, 1>{rows}, rules);
}

void Inference::score(const RawRows& in, const Scores& out, const RowRules& rules) const {
  run(kScoreTask, in, std::array<TaskResults, 3>{out.score, out.index, out.error}, rules,
      {.worst = out.worst});
}

}  // namespace diabolo
