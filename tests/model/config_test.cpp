// The list of configuration keys, and what is made from it.
#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "model/added_parts.h"
#include "model/block.h"
#include "model/config_toml.h"
#include "model/presets.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

std::string message_of(const std::function<void()>& call, ErrorCode code = ErrorCode::kUsage) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// A value of the key's type and range that is not the one it has.
ConfigValue other_value(const ConfigKey& key, const ConfigValue& now) {
  switch (key.type) {
    case ConfigType::kBool:
      return !std::get<bool>(now);
    case ConfigType::kInt:
      return std::get<int64_t>(now) == static_cast<int64_t>(key.low)
                 ? static_cast<int64_t>(key.low) + 1
                 : static_cast<int64_t>(key.low);
    case ConfigType::kFloat:
      return std::get<double>(now) == key.low ? key.high : key.low;
    case ConfigType::kText:
      return std::get<std::string>(now) + "x";
    case ConfigType::kChoice:
      return std::string(std::get<std::string>(now) == key.choices.front() ? key.choices.back()
                                                                           : key.choices.front());
    case ConfigType::kIntList:
      return std::vector<int64_t>{3, 2};
    case ConfigType::kTextList:
      return std::vector<std::string>{"dense 3", "dense 2 tanh"};
  }
  return {};
}

TEST(Config, EveryKeyIsSetReadAndSurvivesJson) {
  std::set<std::string> paths;
  for (const ConfigKey& key : config_keys()) {
    SCOPED_TRACE(key.path());
    EXPECT_TRUE(paths.insert(key.path()).second);
    Config config;
    const ConfigValue wanted = other_value(key, key.get(config));
    set_config(config, key.path(), wanted);
    EXPECT_EQ(key.get(config), wanted);
    const Config back = config_from_json(config_json(config));
    for (const ConfigKey& each : config_keys()) EXPECT_EQ(each.get(back), each.get(config));
  }
}

TEST(Config, EveryRangeIsKept) {
  for (const ConfigKey& key : config_keys()) {
    SCOPED_TRACE(key.path());
    Config config;
    if (key.type == ConfigType::kInt) {
      const auto below = static_cast<int64_t>(key.low) - 1;
      EXPECT_THAT(message_of([&] { set_config(config, key.path(), below); }), HasSubstr(key.name));
    }
    if (key.type == ConfigType::kFloat)
      message_of([&] { set_config(config, key.path(), std::nan("")); });
    if (key.type == ConfigType::kChoice) {
      EXPECT_THAT(message_of([&] { set_config(config, key.path(), std::string("nonsense")); }),
                  HasSubstr("one of"));
    }
    if (key.type != ConfigType::kBool) message_of([&] { set_config(config, key.path(), true); });
  }
}

TEST(Config, TextAfterSet) {
  Config config;
  set_config_text(config, "model.encoder.hidden", "[300, 20]");
  EXPECT_EQ(config.model.encoder.hidden, (std::vector<int64_t>{300, 20}));
  set_config_text(config, "optimizer.learning_rate", "1");
  EXPECT_EQ(config.optimizer.learning_rate, 1.0);
  set_config_text(config, "model.decoder.tied", "true");
  EXPECT_TRUE(config.model.decoder.tied);
  set_config_text(config, "train.validation", "0.1");
  EXPECT_EQ(config.train.validation, "0.1");
  set_config_text(config, "data.scale", "unit");
  EXPECT_EQ(config.data.scale, Scale::kUnit);
  set_config_text(config, "data.scale", "auto");
  EXPECT_FALSE(config.data.scale.has_value());
  for (const char* text : {"", "[1,", "[[1]]", "[0]", "\"a\"", "99999999999999999999", "{}"})
    message_of([&] { set_config_text(config, "model.encoder.hidden", text); });
}

TEST(Config, UnknownKeysNameTheNearest) {
  Config config;
  EXPECT_THAT(message_of([&] { set_config_text(config, "model.encoder.hiden", "[1]"); }),
              HasSubstr("\"model.encoder.hidden\""));
  EXPECT_THAT(message_of([&] { set_config_text(config, "epoch", "1"); }),
              HasSubstr("\"train.epochs\""));
  EXPECT_THAT(message_of([&] { set_config_text(config, "colour.of.the.sky", "1"); }),
              testing::EndsWith("; diabolo train --help-config lists them"));
  const auto json = nlohmann::json::parse(R"({"train": {"epochz": 3}})");
  EXPECT_THAT(message_of([&] { config_from_json(json); }), HasSubstr("\"train.epochz\" is no key"));
}

TEST(Config, HostileJsonIsRefused) {
  for (const char* text :
       {"[]", "3", R"({"train": 3})", R"({"train": {"epochs": null}})",
        R"({"train": {"epochs": {"a": 1}}})", R"({"model": {"encoder": {"hidden": [[1]]}}})",
        R"({"model": {"encoder": {"hidden": [1.5]}}})", R"({"train": {"seed": -1}})",
        R"({"train": {"seed": 18446744073709551615}})", R"({"train": {"epochs": "3"}})"}) {
    SCOPED_TRACE(text);
    message_of([&] { config_from_json(nlohmann::json::parse(text)); });
  }
}

TEST(Config, ResolvingFollowsTheScale) {
  const Config unit = resolved(preset_config("denoising"), Scale::kUnit);
  EXPECT_EQ(unit.model.decoder.output, kernels::Activation::kSigmoid);
  EXPECT_EQ(unit.model.corruption.clip, ClipKind::kUnit);
  const Config standard = resolved(preset_config("denoising"), Scale::kStandard);
  EXPECT_EQ(standard.model.decoder.output, kernels::Activation::kIdentity);
  EXPECT_EQ(standard.model.corruption.clip, ClipKind::kNone);
  Config chosen;
  chosen.data.scale = Scale::kNone;
  EXPECT_EQ(resolved(chosen, Scale::kUnit).data.scale, Scale::kNone);
}

TEST(Config, CombinationsThatMeanNothingAreRefused) {
  Config bce;
  bce.model.loss.kind = kernels::Loss::kBce;
  EXPECT_THAT(message_of([&] { resolved(bce, Scale::kStandard); }), HasSubstr("bce"));
  resolved(bce, Scale::kUnit);
  bce.model.decoder.output = kernels::Activation::kSigmoid;
  for (const Scale scale : {Scale::kMinmax, Scale::kNone}) resolved(bce, scale);
  Config tied;
  tied.model.decoder = {.mirror = false, .hidden = {7}, .output = {}, .tied = true};
  EXPECT_THAT(message_of([&] { resolved(tied, Scale::kUnit); }), HasSubstr("tied"));
}

TEST(Config, AnOptionIsAKeyLikeAnyOther) {
  const auto applies = [](const Config& config) { return config.model.code.size == 3; };
  const auto option = [](ConfigType type, OptionValue standard) {
    return ModelOption{"model.code", "later", "for a test", type, 0, 9, {"near", "far"}, standard};
  };
  struct Case {
    ModelOption option;
    const char *good, *bad, *expected;
  };
  const Case cases[] = {
      {option(ConfigType::kFloat, {.number = 2}), "0.5", "10", "a number from 0 to 9"},
      {option(ConfigType::kInt, {.number = 2}), "5", "0.5", "an integer from 0 to 9"},
      {option(ConfigType::kBool, {.number = 1}), "false", "0", "true or false"},
      {option(ConfigType::kChoice, {.text = "near"}), "far", "farther", "one of near, far"},
      {option(ConfigType::kIntList, {.list = {8, 5}}), "[8,5,5]", "[8,50]", "integers from 0 to 9"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.expected);
    const AddedKeys added({each.option.key(applies)});
    const ConfigKey& key = *find_config_key("model.code.later");
    Config config;
    config.model.code.size = 3;
    const ConfigValue standard = key.get(config);
    EXPECT_FALSE(stored_config_json(config)["model"]["code"].contains("later"));
    set_config_text(config, key.path(), each.good);
    EXPECT_NE(key.get(config), standard);
    EXPECT_EQ(key.get(config_from_json(stored_config_json(config))), key.get(config));
    Config again;
    assign(parse_config_toml(config_toml(config), "c.toml"), again);
    EXPECT_EQ(key.get(again), key.get(config));
    EXPECT_THAT(message_of([&] { set_config_text(config, key.path(), each.bad); }),
                HasSubstr(each.expected));
    config.model.code.size = 4;
    EXPECT_THAT(message_of([&] { resolved(config, Scale::kUnit); }), HasSubstr("means nothing"));
  }
}

// Codes and terms bring keys of their own, which the list does not see side by side.
TEST(Config, JsonLeavesOutWhatMeansNothing) {
  Config config;
  EXPECT_FALSE(config_json(config)["model"]["code"].contains("beta"));
  config.model.code.kind = "variational";
  EXPECT_EQ(config_json(config)["model"]["code"]["beta"], 1);
  config.model.code.kind = "plain";
  set_config(config, "model.code.beta", 0.5);
  EXPECT_EQ(config_json(config)["model"]["code"]["beta"], 0.5) << "said: a mistake to be seen";
}

TEST(Config, KeysAreUnique) {
  std::set<std::string> paths;
  for (const ConfigKey& key : config_keys())
    EXPECT_TRUE(paths.insert(key.path()).second) << key.path();
}

TEST(Config, AKeyStaysWhereItIs) {
  const ConfigKey* const first = find_config_key("data.train");
  const ConfigKey* const last = &config_keys().back();
  changeable_config_keys().push_back(ConfigKey(*last));
  EXPECT_EQ(find_config_key("data.train"), first);
  EXPECT_EQ(last->path(), config_keys().back().path());
  changeable_config_keys().pop_back();
}

TEST(Config, LayersAreLinesAndEachMistakeIsNamed) {
  Config config;
  config.model.encoder.hidden = {};
  const auto message = [&](const std::string& line) {
    config.model.encoder.layers = {"dense 7", line};
    return message_of([&] { resolved(config, Scale::kUnit); });
  };
  EXPECT_THAT(message("dens 7"), HasSubstr("model.encoder.layers: \"dens 7\": unknown layer "
                                           "\"dens\"; did you mean \"dense\"?"));
  EXPECT_THAT(message(""), HasSubstr("expected a layer"));
  EXPECT_THAT(message("dense"), HasSubstr("expected its width"));
  EXPECT_THAT(message("dense 0"), HasSubstr("width: expected numbers such as 3x5 from 1 to"));
  EXPECT_THAT(message("dense 2x2x2x2x2"), HasSubstr("found \"2x2x2x2x2\""));
  EXPECT_THAT(message("dense 7 width 8"), HasSubstr("width is said twice"));
  EXPECT_THAT(message("dense width"), HasSubstr("found nothing"));
  EXPECT_THAT(message("dense 7 tanhh"), HasSubstr("did you mean \"tanh\"?"));
  EXPECT_THAT(message("dense 7 tanh relu"), HasSubstr("one activation"));
  config.model.encoder.hidden = {5};
  EXPECT_THAT(message("dense 7"), HasSubstr("model.encoder.hidden: expected none beside"));
  config.model.encoder = {.layers = {" dense  width 7  linear"}, .hidden = {}};
  config.model.decoder.layers = {"dense 5"};
  EXPECT_THAT(message_of([&] { resolved(config, Scale::kUnit); }), HasSubstr("mirror = false"));
  EXPECT_EQ(LayerLine::parse(config.model.encoder.layers[0], "").text(), "dense 7 linear");
}

// The widths of a preset were not asked for.
TEST(Config, LayersStandInForThePresetsWidths) {
  for (const char* preset : {"dense", "deep", "vae"}) {
    Config config = preset_config(preset);
    config.model.encoder.layers = {"dense 7"};
    EXPECT_NO_THROW(resolved(config, Scale::kUnit)) << preset;
    config.model.encoder.hidden = {7, 5};
    EXPECT_THAT(message_of([&] { resolved(config, Scale::kUnit); }),
                HasSubstr("model.encoder.hidden: expected none beside"))
        << preset;
  }
}

TEST(Config, IntegersKeepTheirDigits) {
  Config config;
  set_config(config, "train.seed", int64_t{1} << 53);
  EXPECT_THAT(message_of([&] { set_config(config, "train.seed", (int64_t{1} << 53) + 1); }),
              HasSubstr("train.seed: expected an integer from 0 to 9007199254740992"));
}

TEST(Config, KeysThatMeanNothingBesideOthersAreSaid) {
  Config config = preset_config("denoising");
  EXPECT_TRUE(idle_keys(config).empty());
  config.optimizer.momentum = 0.5;
  config.schedule.step_epochs = 3;
  config.model.corruption.amount = 0.25;
  EXPECT_THAT(idle_keys(config),
              testing::ElementsAre(
                  "optimizer.momentum = 0.5 means nothing with optimizer.kind = \"adam\"",
                  "schedule.step_epochs = 3 means nothing with schedule.kind = \"constant\""));
  config.optimizer.kind = kernels::Optimizer::kSgd;
  config.schedule.kind = ScheduleKind::kStep;
  EXPECT_TRUE(idle_keys(config).empty());
  config.model.corruption.kind = CorruptionKind::kNone;
  EXPECT_EQ(idle_keys(config).size(), 1u);
}

TEST(Presets, AreWhatTheirNamesSay) {
  EXPECT_EQ(preset_config("dense").model.encoder.hidden, (std::vector<int64_t>{512, 256}));
  EXPECT_EQ(preset_config("deep").model.encoder.hidden, (std::vector<int64_t>{1000, 500, 250}));
  EXPECT_EQ(preset_config("denoising").train.epochs, 10);
  for (const Preset& preset : presets()) EXPECT_EQ(preset.make().model.preset, preset.name);
  EXPECT_THAT(message_of([] { preset_config("dence"); }), HasSubstr("\"dense\""));
}

}  // namespace
}  // namespace diabolo
