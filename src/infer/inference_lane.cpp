#include "infer/inference_lane.h"

#include <algorithm>
#include <cstring>

#include "kernels/common/step_state.h"
#include "kernels/cpu/product.h"

namespace diabolo {

namespace {

// One piece copied in, one computed, one copied out.
constexpr size_t kDeviceSlots = 3;

// Work that takes one core less than this is not worth a second lane: a sleeping thread takes 10 to
// 50 us to come.
constexpr double kLeastLaneNanoseconds = 25e3;
// A piece of fewer rows reads the weights for too little.
constexpr uint64_t kLeastPiece = 32;

// What one core takes for a plan, roughly: its arithmetic, its traffic within the cache, and the
// beginning of each kernel.
double nanoseconds_of(const Plan& plan) {
  constexpr double kFlopsPerNanosecond = 100;
  constexpr double kBytesPerNanosecond = 20;
  constexpr double kBegin = 1000;
  double sum = 0;
  for (const Step& step : plan.steps())
    sum += kBegin + step.cost.flops / kFlopsPerNanosecond + step.cost.bytes / kBytesPerNanosecond;
  return sum;
}

// Memory for the rows that a lane takes at once: of input, and some times that of activations. Rows
// that are as wide as a picture of 64 x 64 x 3 numbers are not affected on the host.
constexpr uint64_t kLaneBytes = uint64_t{32} << 20;

// So many rows fit.
int64_t rows_that_fit(const Network& network) {
  int64_t widest = network.features;
  for (const Layer* layer : network.layers()) widest = std::max(widest, layer->out_width());
  const uint64_t row_bytes = static_cast<uint64_t>(widest) * sizeof(float);
  return static_cast<int64_t>(std::max<uint64_t>(1, kLaneBytes / row_bytes));
}

bool has_large_layer(const Network& network, Precision precision) {
  const uint64_t number_bytes = precision == Precision::kBf16 ? 2 : sizeof(float);
  return std::ranges::any_of(network.parameters(), [&](const ParameterSpec& spec) {
    return static_cast<uint64_t>(spec.desc.elems()) * number_bytes >=
           kernels::cpu::kLargeWeightBytes;
  });
}

// The largest plan that the rows fill; what is left in the end is padded, but one or two rows go
// one by one.
int64_t plan_rows_for(std::span<const int64_t> row_counts, uint64_t rows) {
  size_t i = row_counts.size() - 1;
  while (i > 0 && static_cast<uint64_t>(row_counts[i]) > rows) --i;
  const bool is_rest = i == 0 && row_counts.size() > 1 && rows > 2;
  return row_counts[is_rest ? 1 : i];
}

}  // namespace

LanePlans::LanePlans(Backend& backend, const ModelConfig& config, const Network& network,
                     const InferenceOptions& options)
    : backend_(backend),
      config_(config),
      network_(network),
      options_(options),
      device_(backend.info()),
      threads_(backend.info().cpu.threads),
      has_large_layer_(has_large_layer(network, options.precision)) {
  if (options.max_rows < 1)
    throw Error(ErrorCode::kUsage,
                cat("rows at once: expected at least 1, found ", options.max_rows));
  int64_t most = std::min(options.max_rows, rows_that_fit(network));
  if (options.most_rows > 0 && options.most_rows < static_cast<uint64_t>(most))
    most = static_cast<int64_t>(options.most_rows);
  if (device_.space == Space::kHost) {
    device_.cpu.threads = 1;
    most = std::min(most, kMostHostRows);
  }
  for (const int64_t rows :
       {int64_t{1}, int64_t{8}, int64_t{32}, int64_t{128}, int64_t{256}, int64_t{512}, most})
    if (rows <= most && (row_counts_.empty() || rows > row_counts_.back()))
      row_counts_.push_back(rows);
}

TaskGraphOptions LanePlans::graph_options(const LaneKind& kind, int64_t rows) const {
  return {
      .rows = rows, .precision = options_.precision, .source = kind.source, .worst = kind.worst};
}

const TaskShape& LanePlans::shape(const LaneKind& kind) {
  const std::lock_guard lock(mutex_);
  TaskShape& found = shapes_[kind];
  if (found.columns.empty())
    found = task_shape(*kind.task, config_, network_, graph_options(kind, 1));
  return found;
}

const Plan& LanePlans::plan(const LaneKind& kind, int64_t rows) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Plan>& found = plans_[{kind, rows}];
  if (!found) {
    DeviceInfo device = device_;
    if (shares_kernels(static_cast<uint64_t>(rows)) && rows <= kernels::cpu::kSharedRows)
      device.cpu.threads = threads_;
    Policy policy;
    policy.fast = options_.fast_policy;
    policy.allows_tf32 = options_.precision == Precision::kTf32;
    found = std::make_unique<Plan>(Plan::compile(
        task_graph(*kind.task, config_, network_, graph_options(kind, rows)), device, policy));
  }
  return *found;
}

int64_t LanePlans::chunk_rows(uint64_t rows_left) const {
  return plan_rows_for(row_counts_, rows_left);
}

bool LanePlans::shares_kernels(uint64_t rows) const {
  return has_large_layer_ && most_lanes() > 1 && rows < 2 * kLeastPiece;
}

int LanePlans::lanes_for(const LaneKind& kind, uint64_t rows) {
  if (most_lanes() == 1 || rows < 2 * kLeastPiece) return 1;
  const double whole = nanoseconds_of(plan(kind, max_rows()));
  const double worth =
      whole / static_cast<double>(max_rows()) * static_cast<double>(rows) / kLeastLaneNanoseconds;
  return worth >= most_lanes() ? most_lanes() : std::max(1, static_cast<int>(worth));
}

RowPieces::RowPieces(uint64_t rows, std::span<const int64_t> row_counts, int most_lanes,
                     uint64_t first_row)
    : rows_(rows), row_counts_(row_counts), first_row_(first_row) {
  const auto largest = static_cast<uint64_t>(row_counts.back());
  const auto lanes = static_cast<uint64_t>(most_lanes);
  most_rows_ = lanes == 1 ? largest : std::max(rows / lanes, kLeastPiece);
  most_rows_ = std::min(most_rows_, largest);
  lanes_ = static_cast<int>(std::clamp<uint64_t>(rows / most_rows_, 1, lanes));
}

std::optional<Piece> RowPieces::next() {
  Piece piece;
  piece.first = first_.load();
  do {
    if (piece.first >= rows_) return std::nullopt;
    const uint64_t most =
        std::min({rows_ - piece.first, most_rows_, rows_of_step(first_row_ + piece.first)});
    piece.plan_rows = plan_rows_for(row_counts_, most);
    piece.count = std::min(most, static_cast<uint64_t>(piece.plan_rows));
  } while (!first_.compare_exchange_weak(piece.first, piece.first + piece.count));
  return piece;
}

// As the lanes will take it; an executor's own records are not counted.
uint64_t LanePlans::lane_bytes(const LaneKind& kind) {
  const auto most = static_cast<uint64_t>(max_rows());
  const TaskShape& rows = shape(kind);
  uint64_t input = 0;
  for (const DrawInput& draws : draw_inputs(rows)) input += draws.bytes;
  for (const TensorDesc& row : rows.inputs) input += most * row.bytes();
  const uint64_t arena = arena_bytes(kind);
  if (device_.space == Space::kHost) return arena + input;
  uint64_t slot = input;
  for (const TaskColumn& column : rows.columns) slot += most * column.row.bytes();
  return arena + kDeviceSlots * slot;
}

uint64_t LanePlans::arena_bytes(const LaneKind& kind) {
  uint64_t bytes = 0;
  for (const int64_t rows : row_counts_) bytes = std::max(bytes, plan(kind, rows).arena_bytes());
  return bytes;
}

std::span<const DrawInput> draw_inputs(const TaskShape& shape) {
  static constexpr DrawInput kAll[] = {{model_names::kDraws, sizeof(kernels::StepState)},
                                       {model_names::kTemperature, sizeof(float)}};
  DIABOLO_CHECK(shape.draws || !shape.has_temperature, "a temperature of no draws");
  return std::span(kAll).first((shape.draws ? 1 : 0) + (shape.has_temperature ? 1 : 0));
}

Lane::Lane(LanePlans& plans, const ParameterStore& store, const LaneKind& kind)
    : plans_(plans),
      store_(store),
      kind_(kind),
      shape_(plans.shape(kind)),
      result_{std::vector<TensorView>(shape_.columns.size())},
      arena_(plans.backend()),
      slots_(is_host() ? 1 : kDeviceSlots),
      stream_(plans.backend().create_stream(StreamKind::kCallerThread)) {
  // All of this lane's plans share one arena, which must not move once an executor knows it.
  arena_.reserve(plans_.arena_bytes(kind_));
  if (is_host()) return;
  copies_in_ = plans.backend().create_stream();
  copies_out_ = plans.backend().create_stream();
}

const char* Lane::input_name(size_t input) const {
  const size_t count = shape_.inputs.size();
  return input < count ? kind_.task->inputs[input].name : draw_inputs(shape_)[input - count].name;
}

uint64_t Lane::input_bytes(size_t input, int64_t rows) const {
  const size_t count = shape_.inputs.size();
  return input < count ? static_cast<uint64_t>(rows) * shape_.inputs[input].bytes()
                       : draw_inputs(shape_)[input - count].bytes;
}

void Lane::make_slot(Slot& slot) {
  Backend& backend = plans_.backend();
  const auto most = static_cast<uint64_t>(plans_.max_rows());
  for (size_t i = 0; i < inputs(); ++i)
    slot.in.emplace_back(backend, input_bytes(i, plans_.max_rows()));
  if (is_host()) return;  // the plan reads what is staged, and whoever takes results reads its own
  for (size_t i = 0; i < inputs(); ++i)
    slot.device_in.emplace_back(backend, input_bytes(i, plans_.max_rows()));
  for (const TaskColumn& column : shape_.columns) {
    slot.device_out.emplace_back(backend, most * column.row.bytes());
    slot.out.emplace_back(backend, most * column.row.bytes());
  }
}

Executor& Lane::executor(Slot& slot, int64_t rows) {
  std::unique_ptr<Executor>& found = slot.executors[rows];
  if (found) return *found;
  std::map<std::string, void*> in;
  for (size_t i = 0; i < inputs(); ++i)
    in[input_name(i)] = is_host() ? slot.in[i].data() : slot.device_in[i].data();
  found = std::make_unique<Executor>(plans_.plan(kind_, rows), plans_.backend(), store_, arena_,
                                     *stream_, in);
  return *found;
}

// The piece's rows, zeros behind them, and what its draws are named by.
void Lane::fill(Slot& slot, const LaneJob& job) {
  const Piece& piece = slot.piece;
  for (size_t i = 0; i < shape_.inputs.size(); ++i) {
    const uint64_t used = input_bytes(i, static_cast<int64_t>(piece.count));
    job.fill(i, piece.first, piece.count, slot.in[i].data());
    std::memset(slot.in[i].as<std::byte>() + used, 0, input_bytes(i, piece.plan_rows) - used);
  }
  if (!shape_.draws) return;
  const uint64_t row = job.first_row + piece.first;
  kernels::StepState state{};
  state.seed = job.seed;
  state.step = row >> 32;
  state.first_row = static_cast<uint32_t>(row);
  std::memcpy(slot.in[shape_.inputs.size()].data(), &state, sizeof state);
  if (shape_.has_temperature)
    std::memcpy(slot.in.back().data(), &job.temperature, sizeof job.temperature);
}

void Lane::start(Slot& slot, const LaneJob& job, const Piece& piece) {
  if (slot.executors.empty()) make_slot(slot);
  slot.piece = piece;
  fill(slot, job);
  is_host() ? executor(slot, piece.plan_rows).run(plans_.options().capture) : start_on_device(slot);
}

// The slot's last piece has been waited for, so its buffers are free. All executors share the
// arena, hence the results leave it on the computing stream, before the next piece overwrites them.
void Lane::start_on_device(Slot& slot) {
  Executor& run = executor(slot, slot.piece.plan_rows);
  for (size_t i = 0; i < inputs(); ++i)
    copies_in_->copy_in(slot.device_in[i].data(), slot.in[i].data(),
                        input_bytes(i, slot.piece.plan_rows));
  slot.copied_in = copies_in_->record_event();
  stream_->wait_for(*slot.copied_in);
  run.run(plans_.options().capture);
  for (size_t i = 0; i < shape_.columns.size(); ++i) {
    const TensorView out = run.output(shape_.columns[i].output->name);
    stream_->copy_within(slot.device_out[i].data(), out.data, out.desc.bytes());
  }
  slot.computed = stream_->record_event();
  copies_out_->wait_for(*slot.computed);
  for (size_t i = 0; i < shape_.columns.size(); ++i)
    copies_out_->copy_out(slot.out[i].data(), slot.device_out[i].data(),
                          run.output(shape_.columns[i].output->name).desc.bytes());
  slot.done = copies_out_->record_event();
}

void Lane::finish(Slot& slot, const LaneJob& job) {
  if (slot.piece.count == 0) return;
  is_host() ? stream_->synchronize() : slot.done->wait();
  Executor& run = executor(slot, slot.piece.plan_rows);
  for (size_t i = 0; i < shape_.columns.size(); ++i) {
    result_.out[i] = run.output(shape_.columns[i].output->name);
    if (!is_host()) result_.out[i].data = slot.out[i].data();
  }
  job.take(slot.piece.first, slot.piece.count, result_);
  slot.piece.count = 0;
}

void Lane::run(const LaneJob& job, RowPieces& pieces) {
  size_t turn = 0;
  while (!job.is_over()) {
    const std::optional<Piece> piece = pieces.next();
    if (!piece) break;
    Slot& slot = slots_[turn++ % slots_.size()];
    finish(slot, job);
    start(slot, job, *piece);
  }
  for (size_t i = 0; i < slots_.size(); ++i) finish(slots_[turn++ % slots_.size()], job);
}

uint64_t Lane::bytes() const {
  uint64_t sum = arena_.bytes();
  for (const Slot& slot : slots_) {
    for (const Buffer& in : slot.device_in) sum += in.bytes();
    for (const Buffer& out : slot.device_out) sum += out.bytes();
  }
  return sum;
}

}  // namespace diabolo
