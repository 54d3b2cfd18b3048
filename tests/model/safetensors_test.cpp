// Safetensors files: what is written comes back, and damage of any kind is noticed (R2).
#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/expect_error.h"
#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "base/sanitized.h"
#include "model/safetensors_format.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

template <class T>
std::span<const std::byte> bytes(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::vector<std::byte> read(const SafetensorsFile& file, const std::string& name) {
  const auto* tensor = file.find(name);
  if (tensor == nullptr) throw std::runtime_error(name);
  std::vector<std::byte> out(tensor->desc.bytes());
  file.read(*tensor, out);
  return out;
}

// Everything that a loader does.
void load(const std::string& path, FileSystem* fs = nullptr) {
  const auto file = SafetensorsFile::open(path, {.fs = fs});
  for (const auto& tensor : file.tensors()) read(file, tensor.name);
}

class SafetensorsTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.file("model.safetensors"); }

  // A file of 16 KiB or so with several types, an empty tensor, a scalar and metadata.
  std::string write_sample() {
    std::mt19937 random(5);
    std::vector<float> weight(62 * 60);
    for (float& value : weight) value = static_cast<float>(random()) / 4e9f;
    const std::vector<uint8_t> odd = {1, 2, 3};
    const std::vector<double> scalar = {2.5};
    const std::vector<uint16_t> half(20, 0x3c00);
    SafetensorsWriter writer;
    writer.set_metadata("config", "[model]\nname = \"a \\ b\"\ttab \x01 \xc3\xa9");
    writer.set_metadata("empty", "");
    writer.add("encoder.0.weight", TensorDesc(DType::kF32, {62, 60}), bytes(weight));
    writer.add("odd \"name\"", TensorDesc(DType::kU8, {3}), bytes(odd));
    writer.add("none", TensorDesc(DType::kF32, {0, 5}), std::span<const std::byte>());
    writer.add("scalar", TensorDesc(DType::kF64, {}), bytes(scalar));
    writer.add("half", TensorDesc(DType::kBf16, {4, 5}), bytes(half));
    hash_ = writer.write(path());
    weight_ = weight;
    return content_of(path());
  }

  TemporaryFolder folder_;
  std::string hash_;
  std::vector<float> weight_;
};

TEST_F(SafetensorsTest, ComesBack) {
  const std::string content = write_sample();
  EXPECT_GT(content.size(), 15'000u);
  const auto file = SafetensorsFile::open(path());
  EXPECT_TRUE(file.is_verified());
  EXPECT_EQ(file.content_hash(), hash_);
  EXPECT_THAT(file.metadata(),
              ElementsAre(Pair("config", "[model]\nname = \"a \\ b\"\ttab \x01 \xc3\xa9"),
                          Pair("empty", "")));
  EXPECT_EQ(file.tensors().size(), 5u);
  EXPECT_EQ(file.require("half", TensorDesc(DType::kBf16, {4, 5})).desc.bytes(), 40u);
  EXPECT_TRUE(std::ranges::equal(read(file, "encoder.0.weight"), bytes(weight_)));
  EXPECT_EQ(read(file, "odd \"name\"").size(), 3u);
  EXPECT_EQ(read(file, "none").size(), 0u);
  EXPECT_EQ(read(file, "scalar").size(), 8u);
  EXPECT_EQ(file.find("other"), nullptr);
  file.verify();
}

// What upstream readers want: the data begin at a multiple of 8, each tensor at one of its type.
TEST_F(SafetensorsTest, TensorsAreAligned) {
  write_sample();
  const auto file = SafetensorsFile::open(path());
  EXPECT_EQ(file.tensors().front().offset % 8, 0u);
  for (const auto& tensor : file.tensors())
    EXPECT_EQ(tensor.offset % size_bytes(tensor.desc.dtype()), 0u) << tensor.name;
}

TEST_F(SafetensorsTest, NamesWhatIsMissing) {
  write_sample();
  const auto file = SafetensorsFile::open(path());
  const Error missing = error_of([&] { file.require("bias", TensorDesc(DType::kF32, {3})); });
  EXPECT_EQ(missing.code(), ErrorCode::kModel);
  EXPECT_THAT(missing.what(), HasSubstr("lacks the tensor bias f32[3]"));
  EXPECT_THAT(error_of([&] {
                file.require("half", TensorDesc(DType::kF16, {4, 5}));
              }).what(),
              HasSubstr("expected f16[4,5], found bf16[4,5]"));
  EXPECT_EQ(error_of([&] { file.require_metadata("threshold"); }).code(), ErrorCode::kModel);
  EXPECT_EQ(error_of([&] { SafetensorsFile::open(folder_.file("none")); }).code(),
            ErrorCode::kModel);
}

TEST_F(SafetensorsTest, EveryFlippedBitIsNoticed) {
  std::string content = write_sample();
  const size_t step = testing::kIsSanitized ? 9 : 1;  // each byte, and fuzz_safetensors tries more
  for (size_t bit = 0; bit < content.size() * 8; bit += step) {
    const char mask = static_cast<char>(1 << (bit % 8));
    content[bit / 8] = static_cast<char>(content[bit / 8] ^ mask);
    MemoryFileSystem fs(content);
    bool was_noticed = false;
    try {
      load("m", &fs);
    } catch (const Error& error) {
      was_noticed = error.code() == ErrorCode::kModel &&
                    std::string_view(error.what()).find('\n') == std::string_view::npos;
    }
    ASSERT_TRUE(was_noticed) << "bit " << bit % 8 << " of byte " << bit / 8;
    content[bit / 8] = static_cast<char>(content[bit / 8] ^ mask);
  }
  MemoryFileSystem fs(content);
  load("m", &fs);
}

TEST_F(SafetensorsTest, EveryTruncationAndEveryAdditionIsNoticed) {
  const std::string content = write_sample();
  for (size_t size = 0; size < content.size(); ++size) {
    MemoryFileSystem fs(std::string_view(content).substr(0, size));
    ASSERT_EQ(error_of([&] { SafetensorsFile::open("m", {.fs = &fs}); }).code(), ErrorCode::kModel)
        << size;
  }
  const std::string longer = content + '\0';
  MemoryFileSystem fs(longer);
  EXPECT_EQ(error_of([&] { load("m", &fs); }).code(), ErrorCode::kModel);
}

// verify finds what open cannot.
TEST_F(SafetensorsTest, VerifyReadsEverything) {
  std::string content = write_sample();
  content.back() = static_cast<char>(content.back() ^ 1);
  put(path(), content);
  const auto file = SafetensorsFile::open(path());
  EXPECT_THAT(error_of([&] { file.verify(); }).what(), HasSubstr("is damaged: tensor odd"));
}

TEST_F(SafetensorsTest, WithoutHashOnlyOnDemand) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   )";
  put(path(), length_field(header.size()) + header + "hi");
  const Error error = error_of([&] { SafetensorsFile::open(path()); });
  EXPECT_EQ(error.code(), ErrorCode::kModel);
  EXPECT_THAT(error.what(), HasSubstr("--allow-unverified"));
  const auto file = SafetensorsFile::open(path(), {.allow_unverified = true});
  EXPECT_FALSE(file.is_verified());
  EXPECT_EQ(read(file, "a").size(), 2u);
  EXPECT_EQ(file.content_hash().size(), 32u);
  file.verify();
}

// A tensor without a hash in an otherwise hashed file must not pass as verified.
TEST_F(SafetensorsTest, ATensorWithoutItsHashIsUnverified) {
  std::string header = cat(kHashPrefix, std::string(kHashDigits, '0'),
                           R"("},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})");
  header.replace(kHashPrefix.size(), kHashDigits, header_hash(header));
  put(path(), length_field(header.size()) + header + "hi");
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(path()); }).what(), HasSubstr("has no hash"));
  EXPECT_FALSE(SafetensorsFile::open(path(), {.allow_unverified = true}).is_verified());
}

TEST_F(SafetensorsTest, EveryReadFailureIsAModelError) {
  write_sample();
  FaultyFileSystem counting;
  load(path(), &counting);
  for (int nth = 1; nth <= counting.calls(); ++nth) {
    for (const Fault& fault : faults_at(nth)) {
      SCOPED_TRACE(describe(fault));
      FaultyFileSystem fs(fault);
      try {
        load(path(), &fs);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kModel) << error.what();
      }
    }
  }
}

// A save that fails leaves the model that was there, loadable.
TEST_F(SafetensorsTest, EveryWriteFailureKeepsAWholeModel) {
  write_sample();
  const std::vector<float> values(100, 1.5f);
  const auto save = [&](FileSystem& fs) {
    SafetensorsWriter writer;
    writer.add("a", TensorDesc(DType::kF32, {100}), bytes(values));
    writer.write(path(), fs);
  };
  FaultyFileSystem counting;
  save(counting);
  for (int nth = 1; nth <= counting.calls(); ++nth) {
    for (const Fault& fault : faults_at(nth)) {
      SCOPED_TRACE(describe(fault));
      FaultyFileSystem fs(fault);
      try {
        save(fs);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kResource) << error.what();
      }
      load(path());
    }
  }
}

}  // namespace
}  // namespace diabolo
