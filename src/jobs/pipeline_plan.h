// What a run from file to file comes to before its first row is read: if it may be, the type and
// shape of its output, what it is told apart by, and how its rows are cut into blocks.
#pragma once

#include "jobs/encode_pipeline.h"
#include "jobs/row_output.h"

namespace diabolo {

// Blocks that go round: one being read, one computed, one written, one to spare.
inline constexpr uint64_t kPipelineBlocks = 4;

// Throws what run_pipeline says of inputs, options and outputs that cannot be.
void require_pipeline(const ModelFile& model, const Dataset& input, const PipelineOptions& options);

std::vector<TaskColumn> result_columns(const ModelFile& model, const PipelineOptions& options);
RowOutputOptions output_options(const ModelFile& model, const Dataset& input,
                                const PipelineOptions& options, std::string identity = {});
// Of each of the task's inputs, the field of its role. Throws Error: kUsage where there is none,
// kData where it is not what the task reads.
std::vector<size_t> input_fields(const Task& task, const Dataset& input, const TensorDesc& row,
                                 const Network& network);
// The field of ids that goes through to the output, if the input has one and the output is CSV; the
// same of the numbers that rows bring, for which there is also room where rows may be left out.
std::optional<size_t> carried_ids(const Dataset& input, const PipelineOptions& options);
std::optional<size_t> carried_numbers(const Dataset& input, const PipelineOptions& options);
// The type that floats are stored in: as asked; else of codes the model's, but in CSV, of rows in a
// raw file the training's, and f32. Throws Error{kUsage} where such a file could not be read back.
DType output_dtype(const ModelFile& model, const PipelineOptions& options);
// Says of what a raw file holds that it is not what reading it takes it for.
void say_raw_type(const ModelFile& model, const PipelineOptions& options);
// Everything that decides the bytes of the output, as one hash.
std::string pipeline_identity(const Backend& backend, const ModelFile& model, const Dataset& input,
                              const PipelineOptions& options);

// By the threads that compute, right before they do.
bool is_read_in_parts(const Dataset& input, Space space);
uint64_t block_rows(const PipelineOptions& options, const Dataset& input, Space space);
// A block goes through a device in pieces, of which one is copied in while another computes.
InferenceOptions inference_options(const PipelineOptions& options, const Dataset& input,
                                   const DeviceInfo& device);

}  // namespace diabolo
