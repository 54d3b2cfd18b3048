// Networks, initial weights, and model files.
#include "model/model.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "diabolo/diabolo.h"
#include "infer/inference.h"
#include "model/safetensors.h"
#include "model/task.h"
#include "model/training_graph.h"
#include "ops/activate.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

TEST(Network, IsMirroredAndCounted) {
  const Config config = resolved(Config{}, Scale::kUnit);
  const Network network = Network::of(config.model, 784);
  EXPECT_EQ(network.parameter_count(),
            2u * (784 * 512 + 512 * 256 + 256 * 32) + (512 + 256 + 32) + (256 + 512 + 784));
  std::vector<std::string> texts;
  for (const ParameterSpec& spec : network.parameters())
    texts.push_back(spec.name + " " + spec.desc.text());
  EXPECT_THAT(texts,
              testing::ElementsAre("encoder.0.weight f32[784,512]", "encoder.0.bias f32[512]",
                                   "encoder.1.weight f32[512,256]", "encoder.1.bias f32[256]",
                                   "encoder.2.weight f32[256,32]", "encoder.2.bias f32[32]",
                                   "decoder.0.weight f32[32,256]", "decoder.0.bias f32[256]",
                                   "decoder.1.weight f32[256,512]", "decoder.1.bias f32[512]",
                                   "decoder.2.weight f32[512,784]", "decoder.2.bias f32[784]"));
  EXPECT_EQ(network.encoder.back().activation, kernels::Activation::kIdentity);
  EXPECT_EQ(network.decoder.back().activation, kernels::Activation::kSigmoid);
}

TEST(Network, TiedWeightsAreThereOnce) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.decoder.tied = true;
  const Network network = Network::of(config.model, 784);
  EXPECT_EQ(network.parameters().size(), 9u);
  EXPECT_EQ(network.decoder[0].parameters[0].name, "encoder.2.weight");
  EXPECT_TRUE(network.decoder[0].is_tied);
}

// A decoder that is no mirror has no weights to share, however it is said.
TEST(Network, TiedWeightsNeedTheMirrorOfTheEncoder) {
  Config config = resolved(Config{}, Scale::kUnit);
  auto& model = config.model;
  model.encoder = {.layers = {"dense 64"}, .hidden = {}};
  model.decoder.tied = true;
  model.decoder.mirror = false;
  const auto refused = [&](std::vector<int64_t> hidden) {
    model.decoder.hidden = std::move(hidden);
    EXPECT_THROW(Network::of(resolved(config, Scale::kUnit).model, 784), Error)
        << model.decoder.hidden.size();
  };
  refused({});
  refused({63});
  refused({64, 64});
  model.encoder.hidden = EncoderConfig().hidden;  // which lines leave in place
  refused({256, 512});
  model.decoder.hidden = {64};
  EXPECT_TRUE(Network::of(resolved(config, Scale::kUnit).model, 784).decoder[0].is_tied);
  model.decoder.mirror = true;
  model.decoder.hidden = {256, 512};
  EXPECT_THROW(resolved(config, Scale::kUnit), Error) << "lines are there, widths mean nothing";
}

std::vector<std::string> lines_of(const std::vector<Layer>& layers) {
  std::vector<std::string> lines;
  for (const Layer& layer : layers)
    lines.push_back(cat(layer.line.text(), " -> ", kernels::name(layer.activation)));
  return lines;
}

TEST(Network, LinesSayWhatWidthsSay) {
  Config config = resolved(Config{}, Scale::kUnit);
  const Network widths = Network::of(config.model, 784);
  config.model.encoder.hidden = {};
  config.model.encoder.layers = {"dense 512", "dense 256"};
  const Network lines = Network::of(resolved(config, Scale::kUnit).model, 784);
  EXPECT_EQ(lines_of(lines.encoder), lines_of(widths.encoder));
  EXPECT_EQ(lines_of(lines.decoder), lines_of(widths.decoder));
  EXPECT_EQ(initial_parameters(lines, 1), initial_parameters(widths, 1));
}

TEST(Network, AMirrorGivesBackShapesAndActivations) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.encoder = {.layers = {"dense 4x5 tanh", "dense 6 linear"}, .hidden = {}};
  config.model.code.size = 3;
  const Network network = Network::of(config.model, Extents{7, 2});
  EXPECT_THAT(lines_of(network.encoder),
              testing::ElementsAre("dense 4x5 tanh -> tanh", "dense 6 linear -> identity",
                                   "dense 3 -> identity"));
  EXPECT_THAT(lines_of(network.decoder),
              testing::ElementsAre("dense 6 linear -> identity", "dense 4x5 tanh -> tanh",
                                   "dense 7x2 -> sigmoid"));
}

// A block without weights, for as long as it is there.
class WithPass {
 public:
  WithPass() { changeable_block_defs().push_back(&kBlock); }
  ~WithPass() { changeable_block_defs().pop_back(); }
  WithPass(const WithPass&) = delete;

 private:
  static LayerLine mirror(const Layer&) { return {.block = &kBlock}; }
  static constexpr BlockDef kBlock = {.name = "pass",
                                      .what = "rows as they are",
                                      .options = {},
                                      .has_weights = false,
                                      .shape = [](Layer& layer) { layer.out = layer.in; },
                                      .build = [](const LayerBuild& build) { return build.x; },
                                      .mirror = mirror};
};

TEST(Network, AMirrorKeepsTheActivationsThatLayersWithoutWeightsPassOn) {
  const WithPass part;
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.encoder = {.layers = {"dense 9 tanh", "pass", "dense 5 gelu", "pass"}, .hidden = {}};
  const auto decoder = Network::of(config.model, 20).decoder;
  EXPECT_THAT(lines_of(decoder), testing::ElementsAre("dense 5 gelu -> gelu", "pass -> identity",
                                                      "dense 9 tanh -> tanh", "pass -> identity",
                                                      "dense 20 -> sigmoid"));
  for (const Layer& layer : decoder)
    EXPECT_EQ(LayerLine::parse(layer.line.text(), "").text(), layer.line.text());
}

// In training the loss takes it in; where the model is used it is a node.
TEST(Network, ALastLayerWithoutWeightsHasTheOutputsActivation) {
  const WithPass part;
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.encoder = {.layers = {"pass", "dense 5"}, .hidden = {}};
  const Network network = Network::of(config.model, 20);
  EXPECT_THAT(
      lines_of(network.decoder),
      testing::ElementsAre("dense 5 -> relu", "dense 20 linear -> identity", "pass -> sigmoid"));
  const auto passes = [](const Graph& graph) {
    return std::ranges::count_if(graph.nodes(),
                                 [](const Node& node) { return node.op == &kActivate; });
  };
  EXPECT_EQ(passes(task_graph(kReconstructTask, config.model, network, {.rows = 4})), 1);
  EXPECT_EQ(passes(task_graph(kScoreTask, config.model, network, {.rows = 4})), 1);
  EXPECT_EQ(passes(training_graph(config.model, network, {.rows = 4})), 0);
}

TEST(Network, LinesOfADecoderEndInARow) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.decoder.mirror = false;
  const auto decoder = [&](std::vector<std::string> lines) {
    config.model.decoder.layers = std::move(lines);
    return lines_of(Network::of(config.model, 784).decoder);
  };
  EXPECT_THAT(decoder({"dense 9 tanh"}),
              testing::ElementsAre("dense 9 tanh -> tanh", "dense 784 -> sigmoid"));
  EXPECT_THAT(decoder({"dense 9", "dense 28x28"}),
              testing::ElementsAre("dense 9 -> relu", "dense 28x28 -> sigmoid"));
  EXPECT_THROW(decoder({"dense 784 tanh"}), Error) << "its activation is model.decoder.output";
}

TEST(Network, SizesThatNoMachineHoldsAreRefused) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.encoder.hidden = {1 << 20, 1 << 20};
  EXPECT_THROW(Network::of(config.model, int64_t{1} << 40), Error);
  EXPECT_THROW(Network::of(config.model, 0), Error);
}

TEST(InitialParameters, AreUniformAsPyTorchs) {
  const Config config = resolved(Config{}, Scale::kUnit);
  const Network network = Network::of(config.model, 784);
  const auto parameters = initial_parameters(network, 3);
  EXPECT_EQ(parameters, initial_parameters(network, 3));
  EXPECT_NE(parameters, initial_parameters(network, 4));
  const auto check = [&](size_t index, double fan_in) {
    const double limit = 1 / std::sqrt(fan_in);
    double sum = 0, squares = 0;
    for (const float value : parameters[index]) {
      EXPECT_LE(std::abs(value), limit * 1.0000001);
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const auto n = static_cast<double>(parameters[index].size());
    EXPECT_NEAR(sum / n, 0, 5 * limit / std::sqrt(3 * n));
    EXPECT_NEAR(squares / n, limit * limit / 3, 5 * limit * limit / std::sqrt(n));
  };
  check(0, 784);
  check(1, 784);
  check(10, 512);
  check(11, 512);
}

class ModelFileTest : public testing::Test {
 protected:
  static ModelFile trained() {
    const auto backend = create_host_backend(1);
    const FloatData data(planar_rows(100, 12, 1), 12);
    Config config = small_config();
    config.model.encoder.hidden = {5};
    config.train.epochs = 1;
    return train(*backend, config, *data.data, nullptr, {}, {}).model;
  }
  std::string message_of(const std::string& path) {
    try {
      load_model(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kModel);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }
  // The model with its description changed by a JSON patch.
  std::string with_description(const std::function<void(nlohmann::json&)>& change) {
    const SafetensorsFile file = SafetensorsFile::open(path_);
    auto description = nlohmann::json::parse(file.require_metadata("diabolo.model"));
    change(description);
    SafetensorsWriter writer;
    writer.set_metadata("diabolo.model", description.dump());
    std::vector<std::vector<std::byte>> bytes;
    for (const auto& tensor : file.tensors()) {
      bytes.emplace_back(tensor.desc.bytes());
      file.read(tensor, bytes.back());
      writer.add(tensor.name, tensor.desc, bytes.back());
    }
    const std::string changed = folder_ / "changed.safetensors";
    writer.write(changed);
    return message_of(changed);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "model.safetensors";
  ModelFile model_ = trained();
};

TEST_F(ModelFileTest, ReloadedModelGivesTheSameBits) {
  save_model(model_, path_);
  const ModelFile back = load_model(path_);
  EXPECT_EQ(bits_of(back), bits_of(model_));
  EXPECT_EQ(back.hash, model_.hash);
  EXPECT_EQ(back.threshold, model_.threshold);
  EXPECT_EQ(back.row.text(), "f32[12]");
  EXPECT_EQ(back.scaling.shift, model_.scaling.shift);
  EXPECT_EQ(back.provenance.seed, 7u);
  EXPECT_EQ(config_json(back.config), config_json(model_.config));
  const auto backend = create_host_backend(2);
  const std::vector<float> rows = planar_rows(50, 12, 2);
  std::vector<float> first(150), second(150);
  const RawRows in{DType::kF32, false, std::as_bytes(std::span(rows)), 50};
  Inference(*backend, model_, {}).encode(in, first);
  Inference(*backend, back, {}).encode(in, second);
  EXPECT_EQ(first, second);
}

// What f32 cannot hold of a scaling comes back to the last bit, and is not there where it can.
TEST_F(ModelFileTest, AScalingOfWideRowsKeepsItsDigits) {
  EXPECT_TRUE(model_.scaling.wide.shift.empty());
  model_.row = TensorDesc(DType::kF64, {12});
  const auto all = [](double value) { return std::vector<double>(12, value); };
  model_.scaling.wide = {all(1e9 + 0.3), all(1e-9), all(0.7), all(1e9 + 0.1)};
  save_model(model_, path_);
  const Scaling back = load_model(path_).scaling;
  EXPECT_EQ(back.wide.shift, model_.scaling.wide.shift);
  EXPECT_EQ(back.wide.rest, model_.scaling.wide.rest);
  EXPECT_EQ(back.wide.scale, model_.scaling.wide.scale);
  EXPECT_EQ(back.wide.mean, model_.scaling.wide.mean);
  model_.scaling.wide.scale[3] = 0;
  save_model(model_, path_);
  EXPECT_NE(message_of(path_).find("preprocessing.wide_scale holds a 0"), std::string::npos);
}

// The first builds wrote no doubles, and rounded rows to f32.
TEST_F(ModelFileTest, AModelOfWideRowsWithoutDoublesRoundsThemFirst) {
  save_model(model_, path_);
  EXPECT_FALSE(load_model(path_).scaling.rounds_first);
  model_.row = TensorDesc(DType::kF64, {12});
  save_model(model_, path_);
  EXPECT_TRUE(load_model(path_).scaling.rounds_first);
  const std::vector<double> all(12, 1.0);
  model_.scaling.wide = {all, std::vector<double>(12, 0.0), all, all};
  save_model(model_, path_);
  EXPECT_FALSE(load_model(path_).scaling.rounds_first);
}

TEST_F(ModelFileTest, EveryFlippedBitAndEveryTruncationIsFound) {
  save_model(model_, path_);
  const std::string good = content_of(path_);
  for (size_t at = 0; at < good.size(); at += 13) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    std::ofstream(path_, std::ios::binary) << bad;
    message_of(path_);
    std::ofstream(path_, std::ios::binary) << good.substr(0, at);
    message_of(path_);
  }
}

TEST_F(ModelFileTest, HostileDescriptionsAreRefused) {
  save_model(model_, path_);
  const auto set = [&](const char* pointer, const nlohmann::json& value) {
    return with_description(
        [&](nlohmann::json& json) { json[nlohmann::json::json_pointer(pointer)] = value; });
  };
  EXPECT_THAT(set("/format_version", 2), HasSubstr("format_version"));
  EXPECT_THAT(set("/row/shape/0", 13), HasSubstr("f32[13]"));
  EXPECT_THAT(set("/row/shape/0", -1), HasSubstr("shape"));
  EXPECT_THAT(set("/row/shape/0", 9007199254740993), HasSubstr("shape"));
  EXPECT_THAT(set("/row/dtype", "f31"), HasSubstr("dtype"));
  EXPECT_THAT(set("/config/model/code/size", 1 << 20), HasSubstr("encoder.1.weight"));
  EXPECT_THAT(set("/config/model/code/size", 0), HasSubstr("model.code.size"));
  EXPECT_THAT(set("/config/model/code/nonsense", 0), HasSubstr("nonsense"));
  EXPECT_THAT(set("/config/data/scale", "auto"), HasSubstr("resolved"));
  EXPECT_THAT(with_description([](nlohmann::json& json) {
                auto& model = json["config"]["model"];
                model["encoder"]["layers"] = {"dense 5"};
                model["encoder"]["hidden"] = nlohmann::json::array();
                model["decoder"]["tied"] = true;
                model["decoder"]["mirror"] = false;
              }),
              HasSubstr("model.decoder.tied"));
  EXPECT_THAT(set("/scale", "nonsense"), HasSubstr("scal"));
  EXPECT_THAT(set("/threshold", 3), HasSubstr("threshold"));
  EXPECT_THAT(set("/provenance/rows", "many"), HasSubstr("rows"));
  EXPECT_THAT(with_description([](nlohmann::json& json) { json.erase("config"); }),
              HasSubstr("config"));
  EXPECT_THAT(with_description([](nlohmann::json& json) { json = 3; }), HasSubstr("object"));
  EXPECT_THAT(with_description([](nlohmann::json& json) {
                for (int i = 0; i < 40; ++i) json = nlohmann::json::array({json});
              }),
              HasSubstr("deep"));
}

TEST_F(ModelFileTest, WeightsMustBeFinite) {
  model_.parameters.writable(0)[3] = std::nanf("");
  save_model(model_, path_);
  EXPECT_THAT(message_of(path_), HasSubstr("encoder.0.weight"));
}

// What load_model says in a process that may take `room` bytes more: a code, or 100 for a success.
int code_of_loading_with(const std::string& path, uint64_t room) {
  const pid_t child = fork();
  if (child == 0) {
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const uint64_t most = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + room;
    const rlimit limit{most, most};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(101);
    try {
      (void)load_model(path);
    } catch (const Error& error) {
      _exit(static_cast<int>(error.code()));
    } catch (...) {
      _exit(102);
    }
    _exit(100);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(ModelFileTest, TooLittleMemoryIsNoFaultOfTheModel) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs address space of its own";
#endif
  model_.config.model.encoder.hidden = {3072, 3072};  // more than one of malloc's arenas has
  const std::vector<ParameterSpec> specs = model_.network().parameters();
  model_.parameters = ParameterValues(specs);
  std::ranges::fill(model_.parameters.writable_blob(), 0.5f);
  save_model(model_, path_);
  EXPECT_EQ(code_of_loading_with(path_, uint64_t{1} << 30), 100);
  EXPECT_EQ(code_of_loading_with(path_, 16 << 20), static_cast<int>(ErrorCode::kResource));
}

TEST_F(ModelFileTest, ARunDirectoryMeansItsModel) {
  std::filesystem::create_directory(folder_ / "run");
  save_model(model_, folder_ / "run/model.safetensors");
  EXPECT_EQ(bits_of(load_model(folder_ / "run")), bits_of(model_));
  EXPECT_THAT(message_of(folder_ / "absent"), HasSubstr("absent"));
}

// The C constants are the tasks' numbers, from 1 without a gap.
TEST(Tasks, AreTheVerbsOfTheLibrary) {
  EXPECT_EQ(kEncodeTask.number, DIABOLO_ENCODE);
  EXPECT_EQ(kDecodeTask.number, DIABOLO_DECODE);
  EXPECT_EQ(kReconstructTask.number, DIABOLO_RECONSTRUCT);
  EXPECT_EQ(kScoreTask.number, DIABOLO_SCORE);
  EXPECT_EQ(kGenerateTask.number, DIABOLO_GENERATE);
  std::set<std::string> names;
  int32_t number = 0;
  for (const Task* task : tasks()) {
    EXPECT_EQ(task->number, ++number) << task->name;
    EXPECT_EQ(find_task(task->number), task);
    EXPECT_EQ(find_task(task->name), task);
    EXPECT_TRUE(names.insert(task->name).second) << task->name;
  }
  EXPECT_EQ(find_task("train"), nullptr);
  EXPECT_EQ(find_task(number + 1), nullptr);
}

}  // namespace
}  // namespace diabolo
