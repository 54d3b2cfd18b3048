// A configuration key that comes later opens what is there today, and a file that uses one that
// this version lacks is refused by its name.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "model/config_toml.h"
#include "model/model_file.h"
#include "train/training_fixture.h"
#include "train/training_identity.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;

const std::string kFixtures = DIABOLO_FIXTURES;

// A key of some later version while it lives: for codes of three numbers. A real one has a field of
// its own; this one shares that of schedule.step_factor, which no schedule here reads.
class LaterKey {
 public:
  LaterKey() {
    ConfigKey key = *find_config_key("schedule.step_factor");
    key.table = "model.code";
    key.name = "later";
    key.applies = [](const Config& config) { return config.model.code.size == 3; };
    changeable_config_keys().push_back(key);
  }
  ~LaterKey() { changeable_config_keys().pop_back(); }
  LaterKey(LaterKey&&) = delete;
};

Config with_later(double value) {
  Config config = resolved(small_config(), Scale::kStandard);
  config.schedule.step_factor = value;
  return config;
}

TEST(LaterKey, IsHeldOnlyWhereItAppliesAndSaysSomething) {
  const nlohmann::json before = stored_config_json(with_later(0.1));
  const std::string identity = training_identity(with_later(0.1), "rows");
  const std::string changed = training_identity(with_later(0.2), "rows");
  const LaterKey key;
  EXPECT_EQ(stored_config_json(with_later(0.1)), before);
  EXPECT_TRUE(is_identity_of(identity, with_later(0.1), "rows"));
  EXPECT_EQ(stored_config_json(with_later(0.2))["model"]["code"]["later"], 0.2);
  EXPECT_NE(training_identity(with_later(0.2), "rows"), changed);
  Config other = with_later(0.2);
  other.model.code.size = 4;  // where it does not apply
  EXPECT_FALSE(stored_config_json(other)["model"]["code"].contains("later"));
  EXPECT_THAT(config_toml(other), ::testing::Not(HasSubstr("later")));
  EXPECT_THAT(config_toml(with_later(0.1)), HasSubstr("later = 0.1"));
  EXPECT_THAT(config_toml(other, true), HasSubstr("later = 0.2"));
  EXPECT_THROW(resolved(other, Scale::kStandard), Error) << "asked for, and means nothing";
  EXPECT_NO_THROW(resolved(with_later(0.2), Scale::kStandard));
}

TEST(LaterKey, ModelsOfTodayOpen) {
  const LaterKey key;
  for (const char* model : {"images", "whole"})
    EXPECT_EQ(load_model(kFixtures + "/" + model).config.schedule.step_factor, 0.1) << model;
}

TEST(LaterKey, RunDirectoriesAndCheckpointsOfTodayGoOn) {
  const LaterKey key;
  const TemporaryFolder folder;
  std::filesystem::copy(kFixtures + "/run", folder / "run");
  Config config;
  assign(read_config_toml(folder / "run/config.toml"), config);
  TrainOptions options;
  options.directory = open_run_directory(folder / "run", RunUse::kResume);
  options.resume = true;
  TrainCallbacks callbacks;
  callbacks.progress = [](const TrainProgress& now) { return now.epoch < 30; };
  const auto rows = open_dataset(kFixtures + "/rows.npy");
  const auto held = open_dataset(kFixtures + "/held.npy");
  const auto backend = create_host_backend(1);
  EXPECT_GE(train(*backend, config, *rows, held.get(), options, callbacks).epochs, 29);
}

TEST(LaterKey, AModelThatUsesItIsRefusedByItsNameWhereItIsUnknown) {
  const TemporaryFolder folder;
  const FloatData data(planar_rows(60, 12, 1), 12);
  ModelFile model =
      train(*create_host_backend(1), small_config(), *data.data, nullptr, {}, {}).model;
  const auto save = [&](double value) {
    const LaterKey key;
    model.config.schedule.step_factor = value;
    save_model(model, folder / "model.safetensors");
  };
  save(0.1);
  EXPECT_NO_THROW(load_model(folder / "model.safetensors"));
  save(0.2);
  try {
    load_model(folder / "model.safetensors");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kModel);
    EXPECT_THAT(error.what(), HasSubstr(folder / "model.safetensors: configuration: "));
    EXPECT_THAT(error.what(), HasSubstr("\"model.code.later\" is no key of this version"));
  }
}

}  // namespace
}  // namespace diabolo
