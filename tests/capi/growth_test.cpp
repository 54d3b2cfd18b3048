// Programs that were built with an older or a newer diabolo.h than the library: every struct in
// every size that it can come in.
#include <cstring>
#include <functional>
#include <limits>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

using Bytes = std::vector<unsigned char>;

enum class Way { kTaken, kFilled };

struct Struct {
  const char* name;
  size_t first_bytes;  // in the first version that had it; never changes
  Bytes good;          // as this header has it, struct_size set
  Way way;
  std::function<diabolo_status(void*)> call;
};

template <class T>
Bytes bytes_of(const T& value) {
  Bytes out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

// The struct with `bytes` bytes, as many of them as it has, then `rest`.
Bytes resized(const Struct& entry, uint64_t bytes, unsigned char rest = 0) {
  Bytes out = entry.good;
  out.resize(bytes, rest);
  std::memcpy(out.data(), &bytes, sizeof bytes);
  return out;
}

class Growth : public SmallModel {
 protected:
  std::vector<Struct> structs();

  diabolo_status train(const diabolo_train_options* options, diabolo_train_result* result) {
    diabolo_model* made = nullptr;
    const diabolo_status status = diabolo_train(context, &rows, options, &made, result);
    EXPECT_EQ(diabolo_model_destroy(made), DIABOLO_OK);
    return status;
  }
  diabolo_status run_file(const diabolo_file_options* options, diabolo_file_result* result) {
    return diabolo_run_file(model, DIABOLO_ENCODE, input.c_str(), output.c_str(), options, result);
  }

  diabolo_output codes_output() {
    auto out = sized<diabolo_output>();
    out.dtype = DIABOLO_F32;
    out.data = codes.data();
    out.room = codes.size();
    return out;
  }

  void SetUp() override {
    std::FILE* file = std::fopen(input.c_str(), "wb");
    std::fwrite(values.data(), sizeof(float), values.size(), file);
    std::fclose(file);
    ASSERT_EQ(diabolo_model_save(model, saved.c_str()), DIABOLO_OK);
  }

  const Folder folder;
  const std::string input = folder.file("rows.raw"), output = folder.file("codes.npy"),
                    saved = folder.file("model");
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  std::vector<float> codes = std::vector<float>(kRows * kCodeSize);
};

diabolo_explanation one_reason() {
  auto out = sized<diabolo_explanation>();
  out.worst = 1;
  return out;
}

std::vector<Struct> Growth::structs() {
  auto cpu = sized<diabolo_context_options>();
  cpu.device = "cpu";
  return {
      {"context options", 48, bytes_of(cpu), Way::kTaken,
       [](void* s) {
         diabolo_context* made = nullptr;
         const auto status =
             diabolo_context_create(static_cast<const diabolo_context_options*>(s), &made);
         EXPECT_EQ(diabolo_context_destroy(made), DIABOLO_OK);
         return status;
       }},
      {"device info", 160, bytes_of(sized<diabolo_device_info>()), Way::kFilled,
       [](void* s) { return diabolo_context_info(context, static_cast<diabolo_device_info*>(s)); }},
      {"rows", 64, bytes_of(rows), Way::kTaken,
       [this](void* s) {
         return diabolo_encode(model, static_cast<diabolo_rows*>(s), codes.data(), codes.size());
       }},
      {"row options", 72, bytes_of(sized<diabolo_row_options>()), Way::kTaken,
       [this](void* s) {
         return diabolo_run_rows(model, DIABOLO_ENCODE, &rows, static_cast<diabolo_row_options*>(s),
                                 codes.data(), codes.size());
       }},
      {"output", 32, bytes_of(codes_output()), Way::kTaken,
       [this](void* s) {
         const diabolo_rows* in[] = {&rows};
         const diabolo_output* out[] = {static_cast<diabolo_output*>(s)};
         return diabolo_run(model, DIABOLO_ENCODE, in, 1, nullptr, out, 1);
       }},
      {"explanation", 56, bytes_of(one_reason()), Way::kTaken,
       [this](void* s) {
         return diabolo_explain(model, &rows, nullptr, codes.data(), codes.size(),
                                static_cast<diabolo_explanation*>(s));
       }},
      {"evaluate options", 72, bytes_of(sized<diabolo_evaluate_options>()), Way::kTaken,
       [this](void* s) {
         return diabolo_evaluate(model, &rows, static_cast<diabolo_evaluate_options*>(s), nullptr);
       }},
      {"evaluation", 64, bytes_of(sized<diabolo_evaluation>()), Way::kFilled,
       [this](void* s) {
         return diabolo_evaluate(model, &rows, nullptr, static_cast<diabolo_evaluation*>(s));
       }},
      {"validation", 64, bytes_of(rows), Way::kTaken,
       [this](void* s) {
         diabolo_train_options options = quick_training();
         options.validation = static_cast<diabolo_rows*>(s);
         return train(&options, nullptr);
       }},
      {"load options", 16, bytes_of(sized<diabolo_load_options>()), Way::kTaken,
       [this](void* s) {
         diabolo_model* made = nullptr;
         const auto status = diabolo_model_load(context, saved.c_str(),
                                                static_cast<diabolo_load_options*>(s), &made);
         EXPECT_EQ(diabolo_model_destroy(made), DIABOLO_OK);
         return status;
       }},
      {"model info", 112, bytes_of(sized<diabolo_model_info>()), Way::kFilled,
       [](void* s) { return diabolo_model_inspect(model, static_cast<diabolo_model_info*>(s)); }},
      {"model changes", 48, bytes_of(sized<diabolo_model_changes>()), Way::kTaken,
       [](void* s) {
         diabolo_model* made = nullptr;
         const auto status =
             diabolo_model_with(model, static_cast<diabolo_model_changes*>(s), &made);
         EXPECT_EQ(diabolo_model_destroy(made), DIABOLO_OK);
         return status;
       }},
      {"train options", 120, bytes_of(quick_training()), Way::kTaken,
       [this](void* s) { return train(static_cast<diabolo_train_options*>(s), nullptr); }},
      {"train result", 40, bytes_of(sized<diabolo_train_result>()), Way::kFilled,
       [this](void* s) {
         const diabolo_train_options options = quick_training();
         return train(&options, static_cast<diabolo_train_result*>(s));
       }},
      {"file options", 112, bytes_of(sized<diabolo_file_options>()), Way::kTaken,
       [this](void* s) { return run_file(static_cast<diabolo_file_options*>(s), nullptr); }},
      {"file result", 48, bytes_of(sized<diabolo_file_result>()), Way::kFilled,
       [this](void* s) { return run_file(nullptr, static_cast<diabolo_file_result*>(s)); }},
  };
}

// A buffer of the size that the struct says, so that a sanitizer sees a byte too many.
diabolo_status call_with(const Struct& entry, Bytes& given) {
  given.shrink_to_fit();
  const Bytes before = given;
  const diabolo_status status = entry.call(given.data());
  if (entry.way == Way::kTaken) {
    EXPECT_EQ(given, before) << entry.name;
  }
  return status;
}

TEST_F(Growth, AnOlderProgramsStructsAreTaken) {
  for (const Struct& entry : structs())
    for (const uint64_t bytes : {entry.first_bytes, entry.good.size()}) {
      Bytes given = resized(entry, bytes);
      EXPECT_EQ(call_with(entry, given), DIABOLO_OK)
          << entry.name << " " << bytes << ": " << diabolo_last_error();
    }
}

TEST_F(Growth, ANewerProgramsStructsAreTakenWhereTheyAskForNothingNew) {
  for (const Struct& entry : structs()) {
    const uint64_t bytes = entry.good.size() + 8;
    Bytes given = resized(entry, bytes);
    EXPECT_EQ(call_with(entry, given), DIABOLO_OK) << entry.name << ": " << diabolo_last_error();
    Bytes new_field = resized(entry, bytes, 0xa5);
    const diabolo_status status = call_with(entry, new_field);
    if (entry.way == Way::kFilled) {
      EXPECT_EQ(status, DIABOLO_OK) << entry.name << ": " << diabolo_last_error();
      EXPECT_EQ(Bytes(new_field.end() - 8, new_field.end()), Bytes(8, 0)) << entry.name;
    } else {
      EXPECT_EQ(status, DIABOLO_USAGE) << entry.name;
      EXPECT_NE(std::strstr(diabolo_last_error(), "a field that this library does not have"),
                nullptr)
          << diabolo_last_error();
    }
  }
}

TEST_F(Growth, OtherSizesAreRefused) {
  for (const Struct& entry : structs())
    for (const uint64_t bytes : {uint64_t{0}, uint64_t{entry.first_bytes - 1}, uint64_t{4097},
                                 std::numeric_limits<uint64_t>::max()}) {
      Bytes given = entry.good;
      std::memcpy(given.data(), &bytes, sizeof bytes);
      EXPECT_EQ(call_with(entry, given), DIABOLO_USAGE) << entry.name << " " << bytes;
      EXPECT_NE(std::strstr(diabolo_last_error(), ".struct_size: expected"), nullptr)
          << diabolo_last_error();
    }
}

// Bytes beyond the size that the caller knows are the caller's.
TEST_F(Growth, NothingIsFilledBeyondTheCallersSize) {
  for (const Struct& entry : structs()) {
    if (entry.way != Way::kFilled) continue;
    Bytes given(entry.good.size() + 64, 0xa5);
    const uint64_t bytes = entry.first_bytes;
    std::memcpy(given.data(), &bytes, sizeof bytes);
    EXPECT_EQ(entry.call(given.data()), DIABOLO_OK) << entry.name << ": " << diabolo_last_error();
    for (size_t i = bytes; i < given.size(); ++i)
      ASSERT_EQ(given[i], 0xa5) << entry.name << " " << i;
    const Bytes untouched(bytes - 8, 0xa5);
    EXPECT_NE(std::memcmp(given.data() + 8, untouched.data(), untouched.size()), 0) << entry.name;
  }
}

}  // namespace
}  // namespace diabolo_test
