#include "jobs/encode_pipeline.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "backend/host/host_threads.h"
#include "base/seconds.h"
#include "data/coarse_rows.h"
#include "data/row_fit.h"
#include "data/unit_floats.h"
#include "infer/fitting_inference.h"
#include "jobs/handover_queue.h"
#include "jobs/pipeline_block.h"
#include "jobs/pipeline_plan.h"

namespace diabolo {

namespace {

// One run: a thread that reads, the caller that computes, a thread that writes. Rows of which few
// are read as cheaply as many are read by the threads of the model, into the cache where they
// compute: the first thread then only cuts them into blocks.
class Pipeline {
 public:
  Pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
           const PipelineOptions& options);
  PipelineResult run();

 private:
  void read_all();
  void read_blocks();
  uint64_t read_rows(Block& block, BlockReader& reader, uint64_t first) const;
  void fetch(Block& block, uint64_t first, uint64_t count, std::span<std::byte> to) const;
  void compute_all();
  RowRules rules(Block& block) const;
  std::vector<RawRows> inputs(Block& block);
  void compute(Block& block, const Inference& inference);
  void write_all();
  void count_scores(const Block& block);
  bool report(uint64_t rows_read);
  void fail();
  template <class Work>
  void guarded(Work work);

  const ModelFile& model_;
  const Dataset& input_;
  const PipelineOptions& options_;
  uint64_t block_rows_;
  FittingInference inference_;
  bool is_read_in_parts_;             // by the threads that compute, right before they do
  std::vector<size_t> input_fields_;  // of the task's inputs
  std::optional<size_t> id_field_;    // of the input, where the output has room for ids
  std::optional<size_t> row_field_;   // the same of the numbers that rows bring
  RowOutput output_;
  std::vector<Block> blocks_ = std::vector<Block>(kPipelineBlocks);
  HandoverQueue<Block*> free_, read_, computed_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::exception_ptr read_failure_;  // comes after whatever the rows read before it have to say
  Clock::time_point start_ = Clock::now();
  PipelineResult result_;
};

Pipeline::Pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
                   const PipelineOptions& options)
    : model_(model),
      input_(input),
      options_(options),
      block_rows_(block_rows(options, input, backend.info().space)),
      inference_(backend, model, inference_options(options, input, backend.info()), options.log),
      is_read_in_parts_(is_read_in_parts(input, backend.info().space)),
      input_fields_(input_fields(*options.task, input, model.row, model.network())),
      id_field_(carried_ids(input, options)),
      row_field_(carried_numbers(input, options)),
      output_(
          output_options(model, input, options, pipeline_identity(backend, model, input, options)),
          options.fs ? *options.fs : real_file_system()) {
  result_.resumed_rows = output_.resumed().rows_read;
  result_.rows_read = output_.resumed().rows_read;
  result_.rows_written = output_.resumed().rows_written;
  result_.above_threshold = output_.resumed().rows_counted;
}

// The first failure ends all three.
void Pipeline::fail() {
  {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
  for (auto* queue : {&free_, &read_, &computed_}) queue->abort();
}

template <class Work>
void Pipeline::guarded(Work work) {
  try {
    work();
  } catch (...) {
    fail();
  }
}

uint64_t Pipeline::read_rows(Block& block, BlockReader& reader, uint64_t first) const {
  if (is_read_in_parts_) return std::min(block_rows_, *input_.rows() - first);
  reader.next(block.input);
  if (id_field_) block.ids.swap(block.input.columns[*id_field_].texts);
  if (row_field_) {
    const std::span<const std::byte> numbers = block.input.columns[*row_field_].bytes;
    block.given.resize(block.input.rows);
    std::memcpy(block.given.data(), numbers.data(), numbers.size());
  }
  return block.input.rows;
}

void Pipeline::fetch(Block& block, uint64_t first, uint64_t count, std::span<std::byte> to) const {
  std::vector<FieldRows> wanted = {{0, to, {}}};
  if (id_field_) wanted.push_back({*id_field_, {}, std::span(block.ids).subspan(first, count)});
  if (row_field_)
    wanted.push_back(
        {*row_field_, std::as_writable_bytes(std::span(block.given).subspan(first, count)), {}});
  input_.read(block.first + first, count, wanted);
}

void Pipeline::read_all() {
  try {
    read_blocks();
  } catch (...) {
    read_failure_ = std::current_exception();
  }
  read_.close();
}

void Pipeline::read_blocks() {
  uint64_t first = output_.resumed().rows_read;
  std::vector<FieldRole> roles;
  for (const TaskInput& each : options_.task->inputs) roles.push_back(each.role);
  if (id_field_) roles.push_back(FieldRole::kId);
  if (row_field_) roles.push_back(FieldRole::kRow);
  BlockReader reader(input_, block_rows_, roles, first);
  while (const auto block = free_.pop()) {
    Block& next = **block;
    next.first = first;
    next.rows = read_rows(next, reader, first);
    next.rows_read = first += next.rows;
    if (next.rows == 0) break;
    read_.push(&next);
  }
}

RowRules Pipeline::rules(Block& block) const {
  RowRules out;
  out.on_bad_value = options_.on_bad_value;
  out.place = BlockPlace::of(input_, block.first);
  out.result_type = output_dtype(model_, options_);
  if (options_.on_bad_value != BadValue::kSkip) return out;
  block.states.resize(block.rows);
  out.states = block.states;
  return out;
}

// The first, of role x, brings the ids.
std::vector<RawRows> Pipeline::inputs(Block& block) {
  std::vector<RawRows> in;
  if (is_read_in_parts_ && id_field_) block.ids.resize(block.rows);
  if (is_read_in_parts_ && row_field_) block.given.resize(block.rows);
  for (const size_t field : input_fields_) {
    RawRows& rows = in.emplace_back();
    rows.dtype = input_.fields()[field].row.dtype();
    rows.rows = block.rows;
    if (!is_read_in_parts_)
      rows.bytes = block.input.columns[field].bytes;
    else if (field == 0)
      rows.fetch = [&](uint64_t first, uint64_t count, std::span<std::byte> to) {
        fetch(block, first, count, to);
      };
    else
      rows.fetch = [&, field](uint64_t first, uint64_t count, std::span<std::byte> to) {
        input_.read(field, block.first + first, count, to);
      };
  }
  return in;
}

void Pipeline::compute(Block& block, const Inference& inference) {
  const std::vector<RawRows> in = inputs(block);
  const std::span<const TaskColumn> columns = inference.columns(*options_.task, options_.worst);
  block.columns.resize(columns.size());
  std::vector<TaskResults> results;
  for (size_t i = 0; i < columns.size(); ++i) {
    block.columns[i].resize(block.rows * columns[i].row_bytes());
    results.emplace_back(columns[i].dtype(), std::span(block.columns[i]));
  }
  const RowRules row_rules = rules(block);
  inference.run(*options_.task, in, results, row_rules,
                {.worst = options_.worst,
                 .rows = block.rows,
                 .seed = options_.seed,
                 .first_row = block.first,
                 .temperature = options_.temperature});
  if (!row_rules.states.empty()) block.drop_rows();
}

void Pipeline::compute_all() {
  while (const auto block = read_.pop()) {
    if ((*block)->rows > 0)
      inference_.run([&](const Inference& inference) { compute(**block, inference); });
    const uint64_t rows_read = (*block)->rows_read;
    computed_.push(*block);
    if (report(rows_read)) continue;
    result_.is_cancelled = true;
    free_.abort();  // the reader ends; what it has read is left
    break;
  }
  computed_.close();
}

bool Pipeline::report(uint64_t rows_read) {
  if (!options_.progress) return true;
  PipelineProgress progress;
  progress.rows = rows_read;
  progress.total_rows = input_.rows();
  const auto done = static_cast<double>(rows_read - result_.resumed_rows);
  progress.rows_per_s = done / std::max(seconds_since(start_), 1e-9);
  return options_.progress(progress);
}

void Pipeline::count_scores(const Block& block) {
  if (!options_.task->has_threshold || !model_.threshold) return;
  if (block.rows == 0) return;
  const auto* scores = reinterpret_cast<const float*>(block.columns.front().data());
  for (uint64_t i = 0; i < block.rows; ++i)
    if (static_cast<double>(scores[i]) > *model_.threshold) ++result_.above_threshold;
}

void Pipeline::write_all() {
  Clock::time_point last_checkpoint = Clock::now();
  const auto progress = [&] {
    return Progress{result_.rows_read, result_.rows_written, result_.above_threshold};
  };
  while (const auto block = computed_.pop()) {
    if ((*block)->rows > 0) output_.write((*block)->results());
    count_scores(**block);
    result_.rows_read = (*block)->rows_read;
    result_.rows_written += (*block)->rows;
    free_.push(*block);
    if (seconds_since(last_checkpoint) < options_.checkpoint_seconds) continue;
    if (!input_.is_stream()) output_.checkpoint(progress());
    last_checkpoint = Clock::now();
  }
  if (result_.is_cancelled && !input_.is_stream()) output_.checkpoint(progress());
}

PipelineResult Pipeline::run() {
  for (Block& block : blocks_) free_.push(&block);
  std::thread reader, writer;
  guarded([&] {
    const SignalsBlocked blocked;  // they are for the threads of whoever calls us
    try {
      reader = std::thread([this] { guarded([this] { read_all(); }); });
      writer = std::thread([this] { guarded([this] { write_all(); }); });
    } catch (const std::system_error& error) {
      throw Error(ErrorCode::kResource, cat("cannot start a thread: ", error.what(),
                                            "; raise the limit on threads (ulimit -u)"));
    }
  });
  guarded([this] { compute_all(); });
  if (reader.joinable()) reader.join();
  if (writer.joinable()) writer.join();
  for (const auto& failure : {failure_, read_failure_})
    if (failure) std::rethrow_exception(failure);
  if (!result_.is_cancelled) {
    if (result_.rows_written < result_.rows_read)
      options_.log.warning(input_.name(),
                           ": rows with bad values or results that are not finite are left out: ",
                           result_.rows_read - result_.rows_written, "; ", output_.numbers_place(),
                           " has the numbers of the others");
    output_.finish(result_.rows_written);
  }
  result_.seconds = seconds_since(start_);
  result_.batch_rows = static_cast<uint64_t>(inference_.max_rows());
  return result_;
}

}  // namespace

PipelineResult run_pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
                            const PipelineOptions& options) {
  require_pipeline(model, input, options);
  if (options.resume && input.is_stream())
    throw Error(ErrorCode::kUsage, input.name() +
                                       ": a stream cannot be read again from the "
                                       "middle; leave out --resume");
  if (input.find(FieldRole::kId) && !carried_ids(input, options))
    options.log.warning(options.output, ": has no room for the ids of the rows; .csv has");
  if (input.find(FieldRole::kRow) && !carried_numbers(input, options))
    options.log.warning(options.output, ": has no room for the numbers of the rows; .csv has");
  say_reading(input, options.log);
  say_raw_type(model, options);
  if (!options.task->inputs.empty() && !options.task->reads_codes()) {
    require_columns_fit(model.texts.feature_names, input, options.log);
    warn_of_unit_floats(input, model.row, model.scaling, options.log);
    warn_of_coarse_rows(input, model.scaling, options.log);
  }
  return Pipeline(backend, model, input, options).run();
}

}  // namespace diabolo
