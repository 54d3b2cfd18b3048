// What a kind of code may be beside floats of the encoder's last layer, by one that this file alone
// knows: integers, which decode, with a state of the model and a key of its own.
#include <gmock/gmock.h>

#include <cmath>

#include "infer/inference.h"
#include "jobs/encode_pipeline.h"
#include "model/added_parts.h"
#include "model/model_graph.h"
#include "model/task.h"
#include "train/stateful_part.h"
#include "train/train_test.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

constexpr size_t kRows = 300, kFeatures = 12, kCode = 3;
constexpr int kHalf = 8;  // levels on each side of the centre

struct LevelsAttrs {
  float step = 1;
};

template <class In, class Out, void (*convert)(const In*, const float*, Out*, int64_t, float)>
constexpr Kernel kernel(const char* name) {
  return {.name = name,
          .space = Space::kHost,
          .is_reference = true,
          .in_place = {},
          .accepts = [](const Call&, const DeviceInfo&) -> std::string { return ""; },
          .scratch_bytes = glue::no_scratch,
          .prepare = [](const Call& call, const DeviceInfo&, void*) -> kernels::Launch {
            const TensorDesc& desc = call.in[0].desc;
            return [in = glue::input<In>(call, 0), centre = glue::input<float>(call, 1),
                    out = glue::output<Out>(call, 0), rows = desc.extent(0), width = desc.extent(1),
                    step = call.attrs.as<LevelsAttrs>().step](void*) {
              for (int64_t row = 0; row < rows; ++row)
                convert(in + row * width, centre, out + row * width, width, step);
            };
          }};
}

void to_levels(const float* x, const float* centre, uint16_t* level, int64_t n, float step) {
  for (int64_t k = 0; k < n; ++k)
    level[k] = std::isfinite(x[k] - centre[k])
                   ? static_cast<uint16_t>(std::clamp(
                         static_cast<int>(std::lround((x[k] - centre[k]) / step)) + kHalf, 0,
                         2 * kHalf - 1))
                   : uint16_t{0xffff};
}
void from_levels(const uint16_t* level, const float* centre, float* x, int64_t n, float step) {
  for (int64_t k = 0; k < n; ++k)
    x[k] = level[k] < 2 * kHalf
               ? centre[k] + static_cast<float>(static_cast<int>(level[k]) - kHalf) * step
               : std::nanf("");
}

constexpr std::array kToKernels = {kernel<float, uint16_t, to_levels>("reference.to_levels")};
constexpr std::array kFromKernels = {kernel<uint16_t, float, from_levels>("reference.from_levels")};

template <DType type>
std::vector<TensorDesc> as_type(const Attrs&, std::span<const TensorDesc> in) {
  return {TensorDesc(type, in[0].extents())};
}
constexpr OpDef kToLevels = {"to_levels",    as_type<DType::kU16>, nullptr,
                             stateful::cost, stateful::describe,   kToKernels};
constexpr OpDef kFromLevels = {"from_levels",  as_type<DType::kF32>, nullptr,
                               stateful::cost, stateful::describe,   kFromKernels};

ModelOption step() {
  return {.table = "model.code",
          .name = "step",
          .meaning = "between levels",
          .low = 1e-3,
          .high = 1e3,
          .standard = {.number = 0.5}};
}
std::vector<ModelOption> options() {
  return {step()};
}

StateSpec centre_spec(int64_t width) {
  return {"code.centre", TensorDesc(DType::kF32, {width}), StateKind::kOfModel, Init{0.25f}};
}
std::vector<StateSpec> states(const ModelConfig&, const Layer& last) {
  return {centre_spec(last.out_width())};
}

CodeRow row(const ModelConfig&, const Layer& last) {
  return {TensorDesc(DType::kU16, {last.out_width()}), 2 * kHalf};
}

ValueId add(ModelGraph& model, const OpDef& op, ValueId x) {
  const int64_t width = model.graph().value(x).desc.extent(1);
  const LevelsAttrs attrs{static_cast<float>(step().number(model.config()))};
  return model.graph().add(op, attrs, {x, model.state(centre_spec(width))}, "levels")[0];
}
ValueId use(const CodeBuild& build) {
  return add(build.model, kToLevels, build.code);
}
ValueId decode(ModelGraph& model, ValueId code) {
  return add(model, kFromLevels, code);
}

// Floats while it is trained, around which the centre follows.
TrainedCode trained(const CodeBuild& build) {
  ModelGraph& model = build.model;
  const ValueId centre = model.state(centre_spec(static_cast<int64_t>(kCode)));
  if (model.is_training())
    model.add_next_state(centre,
                         model.graph().add(stateful::kRunningMean, stateful::NoAttrs{},
                                           {build.code, centre}, "centre")[0],
                         "centre");
  return {build.code, build.code};
}

constexpr CodeDef kLevels = {.name = "levels",
                             .what = "sixteen levels a number",
                             .options = options,
                             .states = states,
                             .row = row,
                             .use = use,
                             .decode = decode,
                             .train = trained};

class Levels : public TrainTest {
 protected:
  Levels() {
    set_config_text(config_, "model.code.kind", "levels");
    set_config_text(config_, "model.code.step", "0.4");
  }

  RawRows rows() const {
    return {DType::kF32, false, std::as_bytes(std::span(data_.values)), kRows};
  }
  template <class Number>
  Error error_of_decoding(const Inference& inference, DType type, std::vector<Number> codes) {
    std::vector<float> out(codes.size() / kCode * kFeatures);
    try {
      inference.decode(
          {.dtype = type, .bytes = std::as_bytes(std::span(codes)), .rows = codes.size() / kCode},
          out);
    } catch (const Error& error) {
      return error;
    }
    return Error(ErrorCode::kOk, "");
  }

  WithCode part_{kLevels};
  Config config_ = small_config();
};

TEST_F(Levels, IntegersComeOutAndDecode) {
  const ModelFile model = run(config_, *data_.data).model;
  const Inference inference(*backend_, model, {});
  EXPECT_EQ(inference.code_size(), static_cast<int64_t>(kCode));
  EXPECT_EQ(inference.columns(kEncodeTask)[0].dtype(), DType::kU16);
  std::vector<uint16_t> codes(kRows * kCode);
  inference.run(kEncodeTask, rows(), std::array{TaskResults(DType::kU16, std::span(codes))});
  EXPECT_LT(*std::ranges::max_element(codes), 2 * kHalf);
  EXPECT_NE(*std::ranges::max_element(codes), *std::ranges::min_element(codes));
  std::vector<float> whole(kRows * kFeatures), decoded(whole.size());
  inference.reconstruct(rows(), whole);
  inference.decode({DType::kU16, false, std::as_bytes(std::span(codes)), kRows}, decoded);
  EXPECT_EQ(decoded, whole);
  // As files of numbers have them.
  const std::vector<float> floats(codes.begin(), codes.end());
  inference.decode({DType::kF32, false, std::as_bytes(std::span(floats)), kRows}, decoded);
  EXPECT_EQ(decoded, whole);
  const std::vector<int64_t> longs(codes.begin(), codes.end());
  inference.decode({DType::kI64, false, std::as_bytes(std::span(longs)), kRows}, decoded);
  EXPECT_EQ(decoded, whole);
}

TEST_F(Levels, OtherNumbersAreRefusedByRowAndColumn) {
  const Inference inference(*backend_, run(config_, *data_.data).model, {});
  const auto refused = [&](DType type, auto codes, const char* what) {
    const Error error = error_of_decoding(inference, type, codes);
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr(what));
  };
  refused(DType::kU16, std::vector<uint16_t>{1, 2, 3, 4, 16, 6},
          "row 1, column 1 of the codes is 16; expected an integer from 0 to 15");
  refused(DType::kI32, std::vector<int32_t>{1, 2, -1}, "is -1; expected");
  refused(DType::kU64, std::vector<uint64_t>{1, 2, ~uint64_t{0}}, "is 18446744073709551615");
  refused(DType::kF32, std::vector<float>{1, 2.5f, 3}, "column 1 of the codes is 2.5");
  refused(DType::kF32, std::vector<float>{1, 2, std::nanf("")}, "column 2 of the codes is nan");
  EXPECT_EQ(error_of_decoding(inference, DType::kU8, std::vector<uint8_t>{1, 2, 15}).code(),
            ErrorCode::kOk);
  std::vector<float> floats(kRows * kCode);
  try {
    inference.encode(rows(), floats);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("codes: expected room for u16, found f32"));
  }
}

// What is not finite has no level, and nothing that looks like one.
TEST_F(Levels, NumbersThatAreNotFiniteHaveNoCode) {
  ModelFile model = run(config_, *data_.data).model;
  model.states[0][1] = std::nanf("");
  const Inference inference(*backend_, model, {});
  std::vector<uint16_t> codes(kRows * kCode);
  std::vector<float> whole(kRows * kFeatures);
  const std::array results = {TaskResults(DType::kU16, std::span(codes))};
  try {
    inference.run(kEncodeTask, rows(), results);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("row 0, column 1 of the codes is NaN"));
  }
  EXPECT_THROW(inference.reconstruct(rows(), whole), Error);
  std::vector<RowState> states(kRows);
  inference.run(kEncodeTask, rows(), results,
                {.on_bad_value = BadValue::kSkip, .states = std::span(states)});
  EXPECT_THAT(states, testing::Each(RowState::kBadResult));
  EXPECT_THAT(codes, testing::Each(0xffff));
}

// Its centre is in the file, moves with the steps, and what is used is of that.
TEST_F(Levels, ItsStateIsTheModels) {
  const ModelFile model = run(config_, *data_.data).model;
  ASSERT_EQ(model.states.size(), 1u);
  EXPECT_NE(model.states[0], std::vector<float>(kCode, 0.25f));
  const TemporaryFolder folder;
  write_model(model, folder / "m.diabolo");
  EXPECT_EQ(load_model(folder / "m.diabolo").states, model.states);
  std::vector<std::string> names;
  for (const StateSpec& state : model.network().states()) names.push_back(state.name);
  EXPECT_THAT(names, testing::ElementsAre("code.centre"));
}

// A type of floats that the model asks for says nothing of integers.
TEST_F(Levels, FilesHoldIntegersAndDecode) {
  config_.output.code_dtype = DType::kF16;
  const ModelFile model = run(config_, *data_.data).model;
  const TemporaryFolder folder;
  const auto through = [&](const Task& task, const Dataset& input, const char* output) {
    PipelineOptions options;
    options.task = &task;
    options.output = folder / output;
    options.output_format = "npy";
    EXPECT_EQ(run_pipeline(*backend_, model, input, options).rows_written, kRows);
    return open_dataset(folder / output);
  };
  const auto codes = through(kEncodeTask, *data_.data, "codes.npy");
  EXPECT_EQ(codes->x().row, TensorDesc(DType::kU16, {kCode}));
  const auto decoded = through(kDecodeTask, *codes, "rows.npy");
  const auto whole = through(kReconstructTask, *data_.data, "whole.npy");
  std::vector<float> a(kRows * kFeatures), b(a.size());
  decoded->read(0, 0, kRows, std::as_writable_bytes(std::span(a)));
  whole->read(0, 0, kRows, std::as_writable_bytes(std::span(b)));
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace diabolo
