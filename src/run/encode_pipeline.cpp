#include "run/encode_pipeline.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "backend/host/host_threads.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/seconds.h"
#include "data/coarse_rows.h"
#include "data/row_fit.h"
#include "data/unit_floats.h"
#include "run/fitting_inference.h"
#include "run/handover_queue.h"
#include "run/output_check.h"
#include "run/row_output.h"

namespace diabolo {

namespace {

// Blocks that go round: one being read, one computed, one written, one to spare.
constexpr int kBlocks = 4;
constexpr uint64_t kPiecesOfBlock = 4;
constexpr uint64_t kBlockBytes = uint64_t{16} << 20;  // of input; bounds memory for wide rows
// Handing a block over takes tens of microseconds: one should compute for longer, but stay in the
// cache that the threads share.
constexpr uint64_t kUsualRows = 4096;
constexpr uint64_t kUsualBytes = uint64_t{1} << 20;

// Rows on their way from the reader over the model to the writer. Memory is kept for the next
// round.
struct Block {
  uint64_t first = 0, rows_read = 0;  // of the input: where it begins and, as a count, ends
  uint64_t rows = 0;                  // kept
  std::vector<std::byte> raw;
  std::vector<float> values;  // results
  std::vector<uint32_t> index;
  std::vector<float> error;
  std::vector<RowState> states;   // where rows may be left out
  std::vector<uint64_t> numbers;  // then: of the rows kept, in the input
};

// Moves the rows that are kept, `width` numbers each, to the front.
template <class Number>
void keep_rows(std::vector<Number>& values, const Block& block, uint64_t width) {
  for (uint64_t i = 0; i < block.numbers.size(); ++i) {
    if (block.numbers[i] == block.first + i) continue;
    const auto from =
        values.begin() + static_cast<ptrdiff_t>((block.numbers[i] - block.first) * width);
    std::copy_n(from, width, values.begin() + static_cast<ptrdiff_t>(i * width));
  }
  values.resize(block.numbers.size() * width);
}

// Rows that were left out go.
void drop_rows(Block& block, uint64_t width, uint64_t worst) {
  block.numbers.clear();
  for (uint64_t i = 0; i < block.states.size(); ++i)
    if (block.states[i] == RowState::kGood) block.numbers.push_back(block.first + i);
  if (block.numbers.size() == block.rows) return;
  keep_rows(block.values, block, width);
  keep_rows(block.index, block, worst);
  keep_rows(block.error, block, worst);
  block.rows = block.numbers.size();
}

TensorDesc output_row(const ModelFile& model, const PipelineOptions& options) {
  const TaskOutput& output = options.task->outputs.front();
  if (output.width == RowWidth::kOne) return TensorDesc(output.dtype, std::span<const int64_t>{});
  if (output.width == RowWidth::kFeatures)
    return TensorDesc(options.output_dtype, model.row.extents());
  return TensorDesc(options.output_dtype, {model.network().code_size});
}

void check_input(const ModelFile& model, const Dataset& input, const PipelineOptions& options) {
  if (options.worst > 0 && outputs_of(*options.task, 0).size() == options.task->outputs.size())
    throw Error(ErrorCode::kUsage, cat("worst features: ", options.task->name, " names none"));
  if (options.worst > model.features())
    throw Error(ErrorCode::kUsage, cat("worst features: expected at most ", model.features(),
                                       ", which a row has, found ", options.worst));
  if (!options.task->reads_codes) return require_rows_fit(model.row, input);
  require_rows_fit(TensorDesc(DType::kF32, {model.network().code_size}), input, " (codes)");
}

// What tells one model from another: the hash of its file, or of the file that it would be in.
std::string model_identity(const ModelFile& model) {
  return model.hash.empty() ? model_file_hash(model) : model.hash;
}

// Everything that decides the bytes of the output, as one hash.
std::string identity_of(const Backend& backend, const ModelFile& model, const Dataset& input,
                        const PipelineOptions& options) {
  const std::string text =
      cat(options.task->number - 1, " ", input.identity(), " ", input.text(), " ",
          model_identity(model), " ", name(options.output_dtype), " ", options.output_format, " ",
          name(options.on_bad_value), " ", options.worst, " ", name(options.inference.precision),
          " ", options.inference.fast_policy, " ",
          backend.info().space == Space::kHost ? "cpu" : backend.info().name);
  return hash_of(text).hex();
}

RowOutputOptions output_options(const Dataset& input, const ModelFile& model,
                                const PipelineOptions& options) {
  RowOutputOptions out;
  out.path = options.output;
  out.format = options.output_format;
  out.row = output_row(model, options);
  out.worst = options.worst;
  out.resume = options.resume;
  out.rows = input.rows();
  out.may_skip = options.on_bad_value == BadValue::kSkip;
  return out;
}

ResultRows results_of(const Block& block) {
  return {block.values, block.index, block.error, block.numbers};
}

// One run: a thread that reads, the caller's that computes, a thread that writes.
class Pipeline {
 public:
  Pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
           const PipelineOptions& options);
  PipelineResult run();

 private:
  FileSystem& fs() const { return options_.fs ? *options_.fs : real_file_system(); }
  void read_all();
  void read_blocks();
  bool read_block(Block& block, uint64_t first);
  void compute_all();
  RowRules rules(Block& block) const;
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
  RowOutput output_;
  std::vector<Block> blocks_ = std::vector<Block>(kBlocks);
  HandoverQueue<Block*> free_, read_, computed_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::exception_ptr read_failure_;  // comes after whatever the rows read before it have to say
  Clock::time_point start_ = Clock::now();
  PipelineResult result_;
};

RowOutputOptions with_identity(RowOutputOptions options, std::string identity) {
  options.identity = std::move(identity);
  return options;
}

uint64_t block_rows(const PipelineOptions& options, const Dataset& input) {
  const uint64_t row_bytes = std::max<uint64_t>(1, input.x().row.bytes());
  const uint64_t usual = std::max(kUsualRows, kUsualBytes / row_bytes);
  const uint64_t asked = options.batch_rows > 0 ? static_cast<uint64_t>(options.batch_rows) : usual;
  return std::clamp<uint64_t>(kBlockBytes / row_bytes, 1, asked);
}

// A block goes through a device in pieces, of which one is copied in while another computes.
InferenceOptions inference_options(const PipelineOptions& options, const Dataset& input,
                                   const DeviceInfo& device) {
  InferenceOptions out = options.inference;
  if (out.max_rows == 0) out.max_rows = usual_max_rows(device);
  const uint64_t pieces = device.space == Space::kHost ? 1 : kPiecesOfBlock;
  const uint64_t piece_rows = (block_rows(options, input) + pieces - 1) / pieces;
  out.max_rows = std::min(out.max_rows, static_cast<int64_t>(piece_rows));
  return out;
}

Pipeline::Pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
                   const PipelineOptions& options)
    : model_(model),
      input_(input),
      options_(options),
      block_rows_(block_rows(options, input)),
      inference_(backend, model, inference_options(options, input, backend.info()), options.log),
      output_(with_identity(output_options(input, model, options),
                            identity_of(backend, model, input, options)),
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

bool Pipeline::read_block(Block& block, uint64_t first) {
  const uint64_t row_bytes = input_.x().row.bytes();
  const uint64_t wanted =
      input_.rows() ? std::min(block_rows_, *input_.rows() - first) : block_rows_;
  if (wanted == 0) return false;
  block.raw.resize(wanted * row_bytes);
  const uint64_t count = input_.read(0, first, wanted, block.raw);
  block.raw.resize(count * row_bytes);
  block.first = first;
  block.rows_read = first + count;
  block.rows = count;
  return count > 0;
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
  while (const auto block = free_.pop()) {
    if (!read_block(**block, first)) break;
    first = (*block)->rows_read;
    const bool is_last = (*block)->raw.size() < block_rows_ * input_.x().row.bytes();
    read_.push(*block);
    if (is_last) break;
  }
}

RowRules Pipeline::rules(Block& block) const {
  RowRules out;
  out.on_bad_value = options_.on_bad_value;
  out.place = {input_.name(), block.first};
  out.result_type = options_.output_dtype;
  if (options_.on_bad_value != BadValue::kSkip) return out;
  block.states.resize(block.rows);
  out.states = block.states;
  return out;
}

void Pipeline::compute(Block& block, const Inference& inference) {
  const RawRows in{input_.x().row.dtype(), false, block.raw, block.rows};
  const auto worst = static_cast<uint64_t>(options_.worst);
  const auto width = static_cast<uint64_t>(output_row(model_, options_).elems());
  block.values.resize(block.rows * width);
  block.index.resize(block.rows * worst);
  block.error.resize(block.rows * worst);
  const RowRules row_rules = rules(block);
  const TaskResults results[kMostTaskOutputs] = {std::span(block.values), std::span(block.index),
                                                 std::span(block.error)};
  inference.run(*options_.task, in, results, row_rules, {.worst = options_.worst});
  if (!row_rules.states.empty()) drop_rows(block, width, worst);
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
  for (uint64_t i = 0; i < block.rows; ++i)
    if (static_cast<double>(block.values[i]) > *model_.threshold) ++result_.above_threshold;
}

void Pipeline::write_all() {
  Clock::time_point last_checkpoint = Clock::now();
  const auto progress = [&] {
    return Progress{result_.rows_read, result_.rows_written, result_.above_threshold};
  };
  while (const auto block = computed_.pop()) {
    if ((*block)->rows > 0) output_.write(results_of(**block));
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
  check_input(model, input, options);
  require_output_is_free(options.output, input.name(), options.model_path,
                         options.fs ? *options.fs : real_file_system());
  if (options.resume && input.is_stream())
    throw Error(ErrorCode::kUsage, input.name() +
                                       ": a stream cannot be read again from the "
                                       "middle; leave out --resume");
  if (!options.task->reads_codes) {
    warn_of_unit_floats(input, model.row, model.scaling, options.log);
    warn_of_coarse_rows(input, model.scaling, options.log);
  }
  return Pipeline(backend, model, input, options).run();
}

PipelineEstimate estimate_pipeline(const ModelFile& model, const Dataset& input,
                                   const PipelineOptions& options) {
  check_input(model, input, options);
  require_output_is_free(options.output, input.name(), options.model_path,
                         options.fs ? *options.fs : real_file_system());
  PipelineEstimate out;
  out.rows = input.rows();
  out.row = output_row(model, options);
  out.output_bytes = output_bytes(output_options(input, model, options));
  for (const auto& values : model.parameters) out.weight_bytes += values.size() * sizeof(float);
  const uint64_t row_bytes =
      input.x().row.bytes() + static_cast<uint64_t>(out.row.elems()) * sizeof(float) +
      static_cast<uint64_t>(options.worst) * (sizeof(uint32_t) + sizeof(float)) +
      (options.on_bad_value == BadValue::kSkip ? sizeof(RowState) + sizeof(uint64_t) : 0);
  const uint64_t rows = block_rows(options, input);
  out.buffer_bytes = kBlocks * row_bytes * (out.rows ? std::min(rows, *out.rows) : rows);
  return out;
}

}  // namespace diabolo
