// State of the model: it comes back from its file, is used, and a void step leaves it as it was.
// (resume_test.cpp: it survives a kill; fake_device_test.cpp: on a device too.)
#include <gmock/gmock.h>

#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "infer/inference.h"
#include "model/added_parts.h"
#include "model/model_graph.h"
#include "ops/add.h"
#include "ops/mean_abs.h"
#include "train/stateful_part.h"
#include "train/train_session.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

class ModelStateTest : public ::testing::Test {
 protected:
  TrainResult run() { return train(*backend_, small_config(), *data_.data, nullptr, {}, {}); }
  std::vector<float> codes_of(const ModelFile& model) {
    std::vector<float> codes(300 * 3);
    Inference(*backend_, model, {})
        .encode({DType::kF32, false, std::as_bytes(std::span(data_.values)), 300}, codes);
    return codes;
  }
  std::string message_of_loading(const std::string& path) {
    try {
      load_model(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kModel);
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(1);
  FloatData data_{planar_rows(300, 12, 1), 12};
};

TEST_F(ModelStateTest, ComesBackFromItsFileAndIsUsed) {
  const WithCentre part;
  ModelFile model = run().model;
  ASSERT_EQ(model.states.size(), 1u);
  EXPECT_THAT(model.states[0], Each(::testing::Ne(0.25f))) << "as it began";
  save_model(model, folder_ / "model");
  const ModelFile back = load_model(folder_ / "model");
  EXPECT_EQ(back.states, model.states);
  EXPECT_EQ(codes_of(back), codes_of(model));
  model.states[0][1] += 1;
  EXPECT_NE(codes_of(back), codes_of(model));
}

TEST_F(ModelStateTest, AFileWithTooMuchOrTooLittleIsRefusedByName) {
  std::optional<WithCentre> part(std::in_place);
  write_model(run().model, folder_ / "with");
  part.emplace(false);
  write_model(run().model, folder_ / "without");
  EXPECT_THAT(message_of_loading(folder_ / "with"),
              HasSubstr("the tensor encoder.2.mean is none of"));
  part.emplace();
  EXPECT_THAT(message_of_loading(folder_ / "without"), HasSubstr("encoder.2.mean"));
  part.reset();
  EXPECT_THAT(message_of_loading(folder_ / "with"), HasSubstr("unknown layer \"centre\""));
}

// The state after `steps` steps, the last of which reads rows that are not finite where it is
// `void`.
StateValues states_after(Backend& backend, const Dataset& rows, uint64_t steps, bool ends_void) {
  Config config = resolved(small_config(), default_scale(rows));
  const Network network = Network::of(config.model, 12);
  TrainData data = load_train_data(config, rows, nullptr, {});
  TrainSession session(backend, config, network, data, {});
  session.set_parameters(initial_parameters(network, 1));
  session.begin_epoch(0, 0, 0);
  const auto step = [&] {
    session.launch(1);
    return session.wait_for_oldest().has_halted;
  };
  for (uint64_t k = 0; k < steps; ++k) EXPECT_FALSE(step());
  if (ends_void) {
    std::vector<float> bad(data.train.bytes.size() / sizeof(float),
                           std::numeric_limits<float>::infinity());
    std::memcpy(const_cast<std::byte*>(data.train.bytes.data()), bad.data(),
                data.train.bytes.size());
    EXPECT_TRUE(step());
    EXPECT_TRUE(step()) << "and none after it";
  }
  return session.states();
}

TEST_F(ModelStateTest, AVoidStepLeavesItAsItWas) {
  const WithCentre part;
  const auto after = [&](uint64_t steps, bool ends_void) {
    return states_after(*backend_, *data_.data, steps, ends_void);
  };
  EXPECT_EQ(after(3, true), after(3, false));
  EXPECT_NE(after(4, false), after(3, false));
}

// A state of a penalty that doubles with each step, from 1e38.
StateSpec doubling_spec() {
  return {"doubling.x", TensorDesc(DType::kF32, {1}), StateKind::kOfModel, Init{1e38f}};
}
std::vector<ValueId> build_doubling(const TermBuild& build) {
  ModelGraph& model = build.model;
  const ValueId x = model.state(doubling_spec());
  if (model.is_training())
    model.add_next_state(x, model.graph().add(kAdd, AddAttrs{}, {x, x}, "twice")[0], "doubling");
  return {weighed(build, model.graph().add(kMeanAbs, MeanAbsAttrs{}, {build.code}, "size")[0])};
}
constexpr TermDef kDoubling = {
    .name = "doubling", .build = build_doubling, .states = [](const ModelConfig&, const Network&) {
      return std::vector{doubling_spec()};
    }};

// Else its file would not open.
TEST_F(ModelStateTest, OneThatWouldBecomeInfiniteEndsTheTraining) {
  const WithPenalty part(kDoubling);
  Config config = small_config();
  set_config_text(config, "model.penalty.doubling", "0.1");
  TrainOptions options;
  options.directory = open_run_directory(folder_ / "run", RunUse::kNew);
  try {
    train(*backend_, config, *data_.data, nullptr, options, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDiverged);
    EXPECT_THAT(error.what(), HasSubstr("the model's state of step 2"));
  }
  EXPECT_THAT(load_model(folder_ / "run").states[0], Each(2e38f));
}

TEST(ModelState, IsWrittenByNothingButItsUpdate) {
  Graph graph;
  const TensorDesc desc(DType::kF32, {3});
  const ValueId x = graph.add_input("x", desc);
  const ValueId mean = graph.add_state("code.mean", desc);
  const std::array in = {x, mean};
  const std::array out = {mean};
  EXPECT_THROW(graph.add_into(kAdd, AddAttrs{}, in, out, "next"), InternalError);
}

}  // namespace
}  // namespace diabolo
