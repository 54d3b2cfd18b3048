#include "run/inference.h"

#include <algorithm>
#include <cstring>

#include "backend/host/host_threads.h"
#include "data/wide.h"
#include "kernels/common/scalar.h"
#include "run/device_inference.h"
#include "run/inference_lane.h"

namespace diabolo {

namespace {

void require_size(const char* what, uint64_t expected, uint64_t found) {
  if (expected != found)
    throw Error(ErrorCode::kUsage,
                cat(what, ": expected ", expected, " numbers, found room for ", found));
}

// Results of a chunk as floats.
void copy_floats(const TensorView& from, uint64_t elems, float* to) {
  if (from.desc.dtype() == DType::kF32) {
    std::memcpy(to, from.data, elems * sizeof(float));
    return;
  }
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
                                             store_options(options.precision),
                                             is_host ? model.parameters.shared() : nullptr);
    if (!is_host)
      store->write(store->state(store_names::kMaster), model.parameters.blob().data(), *stream);
    store->refresh_low(*stream);
    add_scaling(*store, network, model.scaling, *stream);
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
    RowPieces pieces(job.rows, plans.row_counts(), plans.lanes_for(kind, job.rows));
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

uint64_t scoring_bytes(Backend& backend, const ModelConfig& config, const Network& network,
                       InferenceOptions options, Source source, uint64_t rows) {
  options = completed(options, backend.info());
  LanePlans plans(backend, config, network, options);
  const LaneKind kind{Mode::kScore, source, 0};
  uint64_t bytes = 0;
  for (const StoreRecord& record : model_records(network, store_options(options.precision)))
    bytes += record.desc.bytes();
  const RowPieces pieces(rows, plans.row_counts(), plans.most_lanes());
  return bytes + static_cast<uint64_t>(pieces.lanes()) * plans.lane_bytes(kind);
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

// One verb: what the lanes compute, and where their results go.
struct Inference::Work {
  Mode mode = Mode::kEncode;
  int64_t worst = 0;
  const char* what = "";      // the results, for messages
  uint64_t width = 0;         // of a row of results
  std::span<float> out = {};  // [rows, width]
  bool is_unscaled = false;   // results go back to the units of the data
  Scores scores = {};         // of kScore, instead
};

const Scaling& Inference::scaling_of(DType dtype) const {
  return is_wide(dtype) ? wide_scaling_ : scaling_;
}

// Bytes go to the device as they are; all else becomes scaled floats on the way in.
Source Inference::source_of(const RawRows& in) const {
  return in.dtype == DType::kU8 && !in.is_scaled ? Source::kRawU8 : Source::kScaled;
}

void Inference::require_means(const RowRules& rules) const {
  if (rules.on_bad_value == BadValue::kMean && scaling_.mean.empty())
    throw Error(ErrorCode::kUsage, cat(rules.place.option,
                                       " mean: the model has no means; it was trained without a "
                                       "pass over its data (use zero or skip)"));
}

namespace {

// Rows on their way in; those that are there already as the plan takes them are copied.
void fill(const RawRows& in, Source source, const Scaling& scaling, uint64_t first, uint64_t count,
          void* staging, RowWatch& watch) {
  const uint64_t width = scaling.shift.size();
  const uint64_t row_bytes = width * size_bytes(in.dtype);
  const std::span<const std::byte> raw = in.bytes.subspan(first * row_bytes, count * row_bytes);
  if (in.is_scaled || source == Source::kRawU8) {
    std::memcpy(staging, raw.data(), raw.size());
    return;
  }
  watch.convert(scaling, in.dtype, raw, first, {static_cast<float*>(staging), count * width});
}

void take_scores(const ChunkResult& result, const Scores& out, uint64_t first, uint64_t count,
                 const RowWatch& watch) {
  const auto worst = static_cast<uint64_t>(out.worst);
  const std::span<float> scores = out.score.subspan(first, count);
  std::memcpy(scores.data(), result.out[0].data, scores.size_bytes());
  watch.blank(first, 1, scores);
  if (worst == 0) return;
  const std::span<float> errors = out.error.subspan(first * worst, count * worst);
  std::memcpy(out.index.data() + first * worst, result.out[1].data,
              count * worst * sizeof(uint32_t));
  copy_floats(result.out[2], errors.size(), errors.data());
  watch.blank(first, worst, errors);
}

}  // namespace

void Inference::run(const Work& work, const RawRows& in, const RowRules& rules) const {
  const bool is_decode = work.mode == Mode::kDecode;
  const Source source = is_decode ? Source::kScaled : source_of(in);
  const Scaling& scaling = is_decode ? code_scaling_ : scaling_of(in.dtype);
  require_size("rows", in.rows * scaling.shift.size() * size_bytes(in.dtype), in.bytes.size());
  if (!is_decode) require_means(rules);
  RowWatch watch(rules, in.rows);
  CallWatch call(rules.progress);
  LaneJob job;
  job.rows = in.rows;
  job.is_over = [&] { return watch.is_over() || call.is_stopped(); };
  job.fill = [&](uint64_t first, uint64_t count, void* staging) {
    fill(in, source, scaling, first, count, staging, watch);
  };
  job.take = [&](uint64_t first, uint64_t count, const ChunkResult& result) {
    call.add_rows(count);
    if (work.mode == Mode::kScore) return take_scores(result, work.scores, first, count, watch);
    const std::span<float> out = work.out.subspan(first * work.width, count * work.width);
    copy_floats(result.out[0], out.size(), out.data());
    if (work.is_unscaled) unscale_rows(scaling_, out);
    watch.check_results(work.what, first, work.width, out);
    watch.blank(first, work.width, out);
  };
  pool_->run({work.mode, source, work.worst}, job);
  watch.finish();
  call.finish();
}

void Inference::encode(const RawRows& in, std::span<float> codes, const RowRules& rules) const {
  const auto width = static_cast<uint64_t>(code_size());
  require_size("codes", in.rows * width, codes.size());
  run({.mode = Mode::kEncode, .what = "codes", .width = width, .out = codes}, in, rules);
}

void Inference::decode(const RawRows& codes, std::span<float> rows, const RowRules& rules) const {
  const auto width = static_cast<uint64_t>(features());
  require_size("rows", codes.rows * width, rows.size());
  run({.mode = Mode::kDecode,
       .what = "decoded rows",
       .width = width,
       .out = rows,
       .is_unscaled = true},
      codes, rules);
}

void Inference::decode(std::span<const float> codes, std::span<float> rows,
                       const RowRules& rules) const {
  const uint64_t count = codes.size() / static_cast<uint64_t>(code_size());
  decode({.bytes = std::as_bytes(codes), .rows = count}, rows, rules);
}

void Inference::reconstruct_scaled(const RawRows& in, std::span<float> rows,
                                   const RowRules& rules) const {
  const auto width = static_cast<uint64_t>(features());
  require_size("rows", in.rows * width, rows.size());
  run({.mode = Mode::kReconstruct, .what = "reconstruction", .width = width, .out = rows}, in,
      rules);
}

void Inference::reconstruct(const RawRows& in, std::span<float> rows, const RowRules& rules) const {
  const auto width = static_cast<uint64_t>(features());
  require_size("rows", in.rows * width, rows.size());
  run({.mode = Mode::kReconstruct,
       .what = "reconstruction",
       .width = width,
       .out = rows,
       .is_unscaled = true},
      in, rules);
}

void Inference::score(const RawRows& in, const Scores& out, const RowRules& rules) const {
  const auto worst = static_cast<uint64_t>(std::max<int64_t>(0, out.worst));
  require_size("scores", in.rows, out.score.size());
  require_size("worst features", in.rows * worst, out.index.size());
  require_size("errors of the worst features", in.rows * worst, out.error.size());
  run({.mode = Mode::kScore, .worst = out.worst, .scores = out}, in, rules);
}

}  // namespace diabolo
