// Configurations as TOML: what is read, what is written, what is refused and where.
#include "model/config_toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/presets.h"

namespace diabolo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Config read(std::string_view text) {
  Config config;
  assign(parse_config_toml(text, "c.toml"), config);
  return config;
}

std::string refusal(std::string_view text) {
  try {
    parse_config_toml(text, "c.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_THAT(error.what(), AllOf(StartsWith("c.toml: "), Not(HasSubstr("\n"))));
    return error.what();
  }
  ADD_FAILURE() << "taken: " << text.substr(0, 80);
  return "";
}

TEST(ConfigToml, WrittenConfigurationsReadBackTheSame) {
  for (const Preset& preset : presets()) {
    Config config = preset.make();
    config.data.train = "a \"b\"\\\n\t'é.npy";
    config.data.shape = {28, 28};
    config.optimizer.learning_rate = 0.1 + 0.2;
    for (const bool with_meanings : {false, true})
      EXPECT_EQ(config_json(read(config_toml(config, with_meanings))), config_json(config));
  }
}

TEST(ConfigToml, EveryKeyIsWrittenUnderItsTable) {
  const std::string text = config_toml(Config{}, true);
  for (const ConfigKey& key : config_keys()) {
    EXPECT_THAT(text, HasSubstr(cat("\n", key.name, " = "))) << key.path();
    EXPECT_THAT(text, HasSubstr(key.meaning));
    EXPECT_THAT("\n" + text, HasSubstr(cat("\n[", key.table, "]\n")));
  }
}

TEST(ConfigToml, ValuesOfEveryType) {
  const Config config = read(
      "# a comment with { and [[[\n"
      "[model.encoder]\nhidden = [3, 2,\n 1]\n"
      "[model]\ndecoder.tied = true\ncode.size = 2\n"
      "[data]\ntrain = '../../../../../../../../../../{x}.npy'\n"
      "[optimizer]\nlearning_rate = 1\n");
  EXPECT_EQ(config.model.encoder.hidden, (std::vector<int64_t>{3, 2, 1}));
  EXPECT_TRUE(config.model.decoder.tied);
  EXPECT_EQ(config.model.code.size, 2);
  EXPECT_EQ(config.data.train, "../../../../../../../../../../{x}.npy");
  EXPECT_EQ(config.optimizer.learning_rate, 1.0);
}

TEST(ConfigToml, ErrorsNameLineKeyAndNearestKey) {
  EXPECT_THAT(refusal("[train]\nepochs = 3\nbatchsize = 4\n"),
              AllOf(StartsWith("c.toml: line 3: "), HasSubstr("train.batchsize"),
                    HasSubstr("train.batch_size")));
  EXPECT_THAT(refusal("\n[model.code]\nsize = 0\n"),
              AllOf(StartsWith("c.toml: line 3: "), HasSubstr("model.code.size")));
  EXPECT_THAT(refusal("[model.code]\nsize = \"big\"\n"), HasSubstr("integer"));
  EXPECT_THAT(refusal("[train]\nseed = 1979-05-27\n"), HasSubstr("date"));
  EXPECT_THAT(refusal("[model.encoder]\nhidden = [1, \"a\"]\n"), HasSubstr("list of integers"));
  EXPECT_THAT(refusal("[train\n"), HasSubstr("line 1"));
  EXPECT_THAT(refusal("[train]\nepochs = 1\nepochs = 2\n"), HasSubstr("line 3"));
  EXPECT_THAT(refusal("[optimizer]\nlearning_rate = nan\n"), HasSubstr("learning_rate"));
  EXPECT_THAT(refusal("\"a\\nb\" = 1"), HasSubstr("line 1: unknown key \"a?b\""));
  EXPECT_THAT(refusal(std::string(100000, 'a') + " = 1"), HasSubstr("too many characters"));
}

TEST(ConfigToml, WhatWouldNestDeeplyIsRefusedBeforeItIsParsed) {
  const auto repeated = [](std::string_view part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
  };
  EXPECT_THAT(refusal(repeated("a.", 400000) + "a = 1"), HasSubstr("too many parts"));
  EXPECT_THAT(refusal("[" + repeated("a.", 400000) + "a]"), HasSubstr("too many parts"));
  EXPECT_THAT(refusal("a = " + repeated("[", 500000)), HasSubstr("too deeply"));
  EXPECT_THAT(refusal("a = " + repeated("{a=", 300000)), HasSubstr("inline tables"));
  EXPECT_THAT(refusal("a = \"\"\"\n" + repeated("a.", 400)), HasSubstr("multi-line"));
  EXPECT_THAT(refusal("a = '''x'''"), HasSubstr("multi-line"));
  EXPECT_THAT(refusal(std::string(kMaxConfigBytes + 1, '\n')), HasSubstr("at most"));
}

}  // namespace
}  // namespace diabolo
