#include "run/inference_lane.h"

#include <algorithm>
#include <cstring>

namespace diabolo {

namespace {

std::vector<const char*> outputs_of(const LaneKind& kind) {
  if (kind.mode == Mode::kEncode) return {model_names::kCode};
  if (kind.mode != Mode::kScore) return {model_names::kReconstruction};
  if (kind.worst == 0) return {model_names::kScore};
  return {model_names::kScore, model_names::kWorstIndex, model_names::kWorstError};
}

}  // namespace

LanePlans::LanePlans(Backend& backend, const ModelConfig& config, const Network& network,
                     const InferenceOptions& options)
    : backend_(backend), config_(config), network_(network), options_(options) {
  if (options.max_rows < 1)
    throw Error(ErrorCode::kUsage,
                cat("rows at once: expected at least 1, found ", options.max_rows));
  for (const int64_t rows : {int64_t{1}, int64_t{8}, int64_t{32}, int64_t{128}, int64_t{256},
                             int64_t{512}, options.max_rows})
    if (rows <= options.max_rows && (row_counts_.empty() || rows > row_counts_.back()))
      row_counts_.push_back(rows);
}

const Plan& LanePlans::plan(const LaneKind& kind, int64_t rows) {
  LaneKind shared = kind;
  shared.on_caller_thread = false;  // plans do not depend on it
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Plan>& found = plans_[{shared, rows}];
  if (!found) {
    BuildOptions build;
    build.mode = kind.mode;
    build.rows = rows;
    build.precision = options_.precision;
    build.source = kind.source;
    build.worst = kind.worst;
    Policy policy;
    policy.fast = options_.fast_policy;
    policy.allows_tf32 = options_.precision == Precision::kTf32;
    found = std::make_unique<Plan>(
        Plan::compile(build_graph(config_, network_, build), backend_.info(), policy));
  }
  return *found;
}

// The largest plan that the rows fill; what is left in the end is padded, but one or two rows go
// one by one.
int64_t LanePlans::chunk_rows(uint64_t rows_left) const {
  size_t i = row_counts_.size() - 1;
  while (i > 0 && static_cast<uint64_t>(row_counts_[i]) > rows_left) --i;
  const bool is_rest = i == 0 && row_counts_.size() > 1 && rows_left > 2;
  return row_counts_[is_rest ? 1 : i];
}

Lane::Lane(LanePlans& plans, const ParameterStore& store, const LaneKind& kind)
    : plans_(plans),
      store_(store),
      kind_(kind),
      outputs_(outputs_of(kind)),
      arena_(plans.backend()),
      stream_(plans.backend().create_stream(kind.on_caller_thread ? StreamKind::kCallerThread
                                                                  : StreamKind::kOwnThread)) {
  // All of this lane's plans share one arena, which must not move once an executor knows it.
  uint64_t bytes = 0;
  for (const int64_t rows : plans_.row_counts())
    bytes = std::max(bytes, plans_.plan(kind_, rows).arena_bytes());
  arena_.reserve(bytes);
  for (Slot& slot : slots_) make_slot(slot);
}

uint64_t Lane::input_row_bytes() const {
  const Network& network = plans_.network();
  const int64_t width = kind_.mode == Mode::kDecode ? network.code_size : network.features;
  return static_cast<uint64_t>(width) * (kind_.source == Source::kRawU8 ? 1 : sizeof(float));
}

void Lane::make_slot(Slot& slot) {
  Backend& backend = plans_.backend();
  const auto most = static_cast<uint64_t>(plans_.max_rows());
  slot.in = StagingBuffer(backend, most * input_row_bytes());
  if (backend.info().space != Space::kHost)
    slot.device_in = Buffer(backend, most * input_row_bytes());
  const Graph& graph = plans_.plan(kind_, plans_.max_rows()).graph();
  for (size_t i = 0; i < outputs_.size(); ++i)
    slot.out[i] =
        StagingBuffer(backend, graph.value(graph.find(outputs_[i], Role::kOutput)).desc.bytes());
}

Executor& Lane::executor(Slot& slot, int64_t rows) {
  std::unique_ptr<Executor>& found = slot.executors[rows];
  if (!found) {
    void* input = slot.device_in.data() ? slot.device_in.data() : slot.in.data();
    found = std::make_unique<Executor>(plans_.plan(kind_, rows), plans_.backend(), store_, arena_,
                                       *stream_,
                                       std::map<std::string, void*>{{model_names::kInput, input}});
  }
  return *found;
}

void Lane::start(Slot& slot, const LaneJob& job, uint64_t first) {
  slot.plan_rows = plans_.chunk_rows(job.rows - first);
  slot.first = first;
  slot.count = std::min(job.rows - first, static_cast<uint64_t>(slot.plan_rows));
  const uint64_t used = slot.count * input_row_bytes();
  const uint64_t whole = static_cast<uint64_t>(slot.plan_rows) * input_row_bytes();
  job.fill(first, slot.count, slot.in.data());
  std::memset(slot.in.as<std::byte>() + used, 0, whole - used);
  if (slot.device_in.data()) stream_->copy_in(slot.device_in.data(), slot.in.data(), whole);
  Executor& run = executor(slot, slot.plan_rows);
  run.run(plans_.options().capture);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const TensorView out = run.output(outputs_[i]);
    stream_->copy_out(slot.out[i].data(), out.data, out.desc.bytes());
  }
  if (!kind_.on_caller_thread) slot.done = stream_->record_event();
}

void Lane::finish(Slot& slot, const LaneJob& job) {
  if (slot.count == 0) return;
  kind_.on_caller_thread ? stream_->synchronize() : slot.done->wait();
  ChunkResult result;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const TensorDesc desc = executor(slot, slot.plan_rows).output(outputs_[i]).desc;
    result.out[i] = {desc, slot.out[i].data()};
  }
  job.take(slot.first, slot.count, result);
  slot.count = 0;
}

void Lane::run(const LaneJob& job) {
  uint64_t first = 0;
  size_t turn = 0;
  while (first < job.rows) {
    Slot& slot = slots_[turn++ % slots_.size()];
    finish(slot, job);
    start(slot, job, first);
    first += slot.count;
  }
  for (size_t i = 0; i < slots_.size(); ++i) finish(slots_[turn++ % slots_.size()], job);
}

uint64_t Lane::bytes() const {
  return arena_.bytes() + slots_[0].device_in.bytes() + slots_[1].device_in.bytes();
}

}  // namespace diabolo
