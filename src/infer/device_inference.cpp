#include "infer/device_inference.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo {

// A stream of ours with its memory and executors. One call at a time is enqueued on it; the calls
// themselves run in the order of its stream, so that a lane can be taken again while it computes.
class DeviceLane {
 public:
  DeviceLane(LanePlans& plans, const ParameterStore& store, const LaneKind& kind);

  // After an exception the lane must not be used again.
  void run(const DeviceRows& in, std::span<void* const> out, const Event& before);
  // Makes the caller's stream wait for the run.
  void finish(Stream& caller, const void* native_caller);

  bool is_done() const { return !done_ || done_->is_done(); }
  bool was_used_by(const void* native_stream) const {
    return done_ && last_caller_ == native_stream;
  }
  uint64_t bytes() const { return arena_.bytes() + input_.bytes(); }

 private:
  Executor& executor(int64_t rows);
  void run_chunk(const DeviceRows& in, uint64_t first, std::span<void* const> out);

  LanePlans& plans_;
  const ParameterStore& store_;
  const LaneKind kind_;
  const std::span<const TaskColumn> columns_;
  const uint64_t row_bytes_;
  Arena arena_;
  Buffer input_;
  std::map<int64_t, std::unique_ptr<Executor>> executors_;
  std::unique_ptr<Event> done_;  // of the last call
  const void* last_caller_ = nullptr;
  std::unique_ptr<Stream> stream_;  // last: it ends before the memory that it works on goes
};

DeviceLane::DeviceLane(LanePlans& plans, const ParameterStore& store, const LaneKind& kind)
    : plans_(plans),
      store_(store),
      kind_(kind),
      columns_(plans.shape(kind).columns),
      row_bytes_(static_cast<uint64_t>(plans.network().features) *
                 (kind.source == Source::kRawU8 ? 1 : sizeof(float))),
      arena_(plans.backend()),
      input_(plans.backend(), static_cast<uint64_t>(plans.max_rows()) * row_bytes_),
      stream_(plans.backend().create_stream()) {
  uint64_t bytes = 0;
  for (const int64_t rows : plans_.row_counts())
    bytes = std::max(bytes, plans_.plan(kind_, rows).arena_bytes());
  arena_.reserve(bytes);
  // A chunk's padding is what earlier calls left there; at first zeros.
  stream_->fill(input_.data(), 0, input_.bytes());
}

Executor& DeviceLane::executor(int64_t rows) {
  std::unique_ptr<Executor>& found = executors_[rows];
  if (!found)
    found = std::make_unique<Executor>(
        plans_.plan(kind_, rows), plans_.backend(), store_, arena_, *stream_,
        std::map<std::string, void*>{{model_names::kInput, input_.data()}});
  return *found;
}

// The rows are copied to where the recorded launches read: one more pass over them within the
// device's memory, instead of preparing and recording every kernel anew for each address.
void DeviceLane::run_chunk(const DeviceRows& in, uint64_t first, std::span<void* const> out) {
  const int64_t rows = plans_.chunk_rows(in.rows - first);
  const uint64_t count = std::min(in.rows - first, static_cast<uint64_t>(rows));
  stream_->copy_within(input_.data(), static_cast<const char*>(in.data) + first * row_bytes_,
                       count * row_bytes_);
  Executor& chunk = executor(rows);
  chunk.run(plans_.options().capture);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const uint64_t out_bytes = columns_[i].row.bytes();
    stream_->copy_within(static_cast<char*>(out[i]) + first * out_bytes,
                         chunk.output(columns_[i].output->name).data, count * out_bytes);
  }
}

void DeviceLane::run(const DeviceRows& in, std::span<void* const> out, const Event& before) {
  stream_->wait_for(before);
  for (uint64_t first = 0; first < in.rows;) {
    run_chunk(in, first, out);
    first += std::min(in.rows - first, static_cast<uint64_t>(plans_.chunk_rows(in.rows - first)));
  }
}

void DeviceLane::finish(Stream& caller, const void* native_caller) {
  done_ = stream_->record_event();
  last_caller_ = native_caller;
  caller.wait_for(*done_);
}

namespace {

// Lanes per kind that are kept: so many streams may compute side by side.
constexpr size_t kMostIdle = 4;

}  // namespace

DeviceInference::DeviceInference(LanePlans& plans, const ParameterStore& store)
    : plans_(plans), store_(store) {}

DeviceInference::~DeviceInference() = default;

// The lane that this stream used last, which it has waited for anyway; else one whose work is
// done; else a new one; else the one that was taken longest ago, behind whose work the device
// waits.
std::unique_ptr<DeviceLane> DeviceInference::take(const LaneKind& kind, const void* native_stream) {
  {
    const std::lock_guard lock(mutex_);
    auto& lanes = idle_[kind];
    auto found = std::ranges::find_if(
        lanes, [&](const auto& lane) { return lane->was_used_by(native_stream); });
    if (found == lanes.end())
      found = std::ranges::find_if(lanes, [](const auto& lane) { return lane->is_done(); });
    if (found == lanes.end() && lanes.size() >= kMostIdle) found = lanes.begin();
    if (found != lanes.end()) {
      std::unique_ptr<DeviceLane> lane = std::move(*found);
      lanes.erase(found);
      return lane;
    }
  }
  return std::make_unique<DeviceLane>(plans_, store_, kind);
}

void DeviceInference::give_back(const LaneKind& kind, std::unique_ptr<DeviceLane> lane) {
  const std::lock_guard lock(mutex_);
  idle_[kind].push_back(std::move(lane));
}

LaneKind DeviceInference::kind_of(const Task& task, const DeviceRows& in) const {
  // Draws would have to be numbered on the device, and results put back into the units of the data.
  if (task.inputs.size() != 1 || task.reads_codes() ||
      plans_.shape({&task, Source::kScaled, 0}).draws ||
      std::ranges::any_of(task.outputs, &TaskOutput::is_scaled))
    throw Error(
        ErrorCode::kUsage,
        cat(task.name, ": rows in a device's memory go through tasks that read rows of data, ",
            "give codes or scores, and draw nothing; use rows in the host's memory"));
  if (in.dtype != DType::kF32 && in.dtype != DType::kU8)
    throw Error(ErrorCode::kUsage,
                cat("rows: expected f32 or u8, which a device reads, found ", name(in.dtype)));
  return {&task, in.dtype == DType::kU8 ? Source::kRawU8 : Source::kRawF32, 0};
}

std::span<const TaskColumn> DeviceInference::columns(const Task& task) const {
  return plans_.shape({&task, Source::kScaled, 0}).columns;
}

void DeviceInference::run(const Task& task, const DeviceRows& in, std::span<void* const> out,
                          void* native_stream) {
  const LaneKind kind = kind_of(task, in);
  Backend& backend = plans_.backend();
  const std::unique_ptr<Stream> caller = backend.borrow_stream(native_stream);
  const auto width = static_cast<uint64_t>(plans_.network().features);
  backend.require_device_memory("rows", in.data, in.rows * width * size_bytes(in.dtype));
  const std::span<const TaskColumn> results = columns(task);
  if (out.size() != results.size())
    throw Error(ErrorCode::kUsage,
                cat(task.name, ": expected results: ", results.size(), ", found ", out.size()));
  for (size_t i = 0; i < out.size(); ++i)
    backend.require_device_memory(results[i].output->what, out[i],
                                  in.rows * results[i].row.bytes());
  if (in.rows == 0) return;
  const std::unique_ptr<Event> before = caller->record_event();
  std::unique_ptr<DeviceLane> lane = take(kind, native_stream);
  // A lane that fails ends here, and with it what it has under way.
  lane->run(in, out, *before);
  lane->finish(*caller, native_stream);
  give_back(kind, std::move(lane));
}

uint64_t DeviceInference::bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [kind, lanes] : idle_)
    for (const auto& lane : lanes) sum += lane->bytes();
  return sum;
}

}  // namespace diabolo
