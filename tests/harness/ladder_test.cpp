// The testing ladder: every case of src/selftest/cases on every kernel that accepts it, on
// every device of the machine. A case's name is its filter:
//   ladder_test --gtest_filter='*dense_forward/relu f32 7x13x31 uniform*'
// Without a GPU the CUDA kernels are skipped with the reason; with DIABOLO_REQUIRE_CUDA=1 that is a
// failure. Builds with sanitizers and emulated devices, which are slow, run a part: the quick cases
// and a quarter of the others, and of the ways in which an emulated device can look (targets.h) one
// for each case. Where a device is emulated, the CPU's kernels, which other builds run, have the
// quick cases only. DIABOLO_LADDER=all runs all there too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "backend/forwarding_backend.h"
#include "kernels/cuda/cublaslt_library.h"
#include "ops/add.h"
#include "ops/registry.h"
#include "selftest/check.h"
#include "selftest/selftest.h"
#ifdef DIABOLO_HARNESS
#include "cuda_host/cuda_host.h"
#endif

namespace diabolo {
namespace {

using selftest::Case;
using selftest::CaseData;
using selftest::Expected;
using selftest::Target;

#ifdef DIABOLO_HARNESS
constexpr bool kDeviceIsEmulated = true;

// The threads of an emulated block run in each of three orders; with ASan, which takes as long
// again for each, and in cases that are not quick in one of them, by the case and the kernel.
#ifdef DIABOLO_HARNESS_RACE
constexpr int kSchedules = 3;
#else
constexpr int kSchedules = 1;
#endif
void choose_schedule(unsigned number) {
  using Order = cuda_host::Schedule::Order;
  constexpr Order kOrders[] = {Order::kFifo, Order::kLifo, Order::kRandom};
  cuda_host::set_schedule({kOrders[number % 3], number});
}
#else
#ifdef DIABOLO_PTX  // launches take turns in the orders (tests/ptx/device/launcher.cpp)
constexpr bool kDeviceIsEmulated = true;
#else
constexpr bool kDeviceIsEmulated = false;
#endif
constexpr int kSchedules = 1;
void choose_schedule(unsigned) {}
#endif

#ifdef DIABOLO_LADDER_THIN
constexpr bool kIsThin = true;
#else
constexpr bool kIsThin = false;
#endif

bool runs_all() {
  const char* wanted = std::getenv("DIABOLO_LADDER");
  return !kIsThin || (wanted != nullptr && std::string(wanted) == "all");
}

// The same everywhere.
unsigned hash_of_name(const std::string& name) {
  unsigned hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash >> 16;
}

// Which quarter of the ladder a case belongs to.
unsigned quarter_of(const std::string& name) {
  return hash_of_name(name) % 4;
}

bool is_in_this_build(const Case& test_case) {
  if (runs_all()) return true;
  if (kDeviceIsEmulated && test_case.is_large) return false;  // see is_wanted
  return test_case.is_quick || quarter_of(test_case.name) == 0;
}

struct Device {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Stream> stream;
};

Device open_device(std::unique_ptr<Backend> backend) {
  auto stream = backend->create_stream();
  return {std::move(backend), std::move(stream)};
}

const std::vector<Device>& devices() {
  static const std::vector<Device> all = [] {
    std::vector<Device> found;
    found.push_back(open_device(create_host_backend()));
    if (!list_cuda_devices().devices.empty()) found.push_back(open_device(create_cuda_backend()));
    return found;
  }();
  return all;
}

bool is_wanted(const Case& test_case, const Kernel& kernel) {
  const bool is_of_device = kernel.space == Space::kCuda;
  if (kDeviceIsEmulated && !is_of_device && !test_case.is_quick && !runs_all()) return false;
  if (!test_case.is_large) return true;
  return !kernel.is_reference && !(kDeviceIsEmulated && is_of_device);
}

// Calls f(kernel, target) for each that accepts the case; returns how many there were.
template <class F>
int for_each_kernel(const Case& test_case, F&& f) {
  int count = 0;
  for (const Device& device : devices()) {
    for (const Kernel& kernel : test_case.op->kernels) {
      if (!is_wanted(test_case, kernel)) continue;
      const auto targets = selftest::targets_of(*device.backend, *device.stream);
      const bool is_slow = kDeviceIsEmulated && kernel.space == Space::kCuda && !runs_all();
      for (const Target& target : targets) {
        const auto index = static_cast<unsigned>(&target - targets.data());
        if (is_slow && index != quarter_of(test_case.name + kernel.name)) continue;
        if (!selftest::refusal(test_case, kernel, target.device).empty()) continue;
        ++count;
        const bool is_ordered = kernel.space == Space::kCuda && (test_case.is_quick || runs_all());
        const int schedules = is_ordered ? kSchedules : 1;
        for (int k = 0; k < schedules; ++k) {
          choose_schedule(hash_of_name(test_case.name + kernel.name) + static_cast<unsigned>(k));
          f(kernel, target);
        }
        if (kernel.is_reference) break;  // it asks nothing of the device
      }
    }
  }
  return count;
}

class CaseTest : public testing::Test {
 public:
  explicit CaseTest(Case test_case) : case_(std::move(test_case)) {}

  void TestBody() override {
    const CaseData data = data_of(case_);
    std::map<bool, Expected> expected;  // by whether operands may be rounded to tf32
    const int count = for_each_kernel(case_, [&](const Kernel& kernel, const Target& target) {
      const bool tf32 = target.rounds_to_tf32();
      if (!expected.contains(tf32)) expected[tf32] = expected_of(case_, data, tf32);
      const auto result = check_kernel(case_, data, expected[tf32], kernel, target);
      EXPECT_EQ(result.failure, "") << kernel.name << " on " << target.device.name;
      if (case_.has_rows.empty() || kernel.needs_policy_fast) return;
      if (case_.in[0].desc.extent(0) < 21) return;
      EXPECT_EQ(check_rows(case_, data, kernel, target), "")
          << kernel.name << " on " << target.device.name;
    });
    const bool may_be_the_cpus = kDeviceIsEmulated && !runs_all();
    EXPECT_TRUE(count > 0 || case_.is_large || may_be_the_cpus) << "no kernel accepts it";
  }

 private:
  Case case_;
};

const bool kCasesAreRegistered = [] {
  for (const OpDef* op : all_ops()) {
    const selftest::OpCases* cases = selftest::find_cases(*op);
    if (cases == nullptr) continue;  // LadderList says so
    for (Case& test_case : cases_of(*cases)) {
      if (!is_in_this_build(test_case)) continue;
      const std::string name = test_case.name;
      testing::RegisterTest(
          "Ladder", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
          [test_case = std::move(test_case)]() -> CaseTest* { return new CaseTest(test_case); });
    }
  }
  return true;
}();

TEST(LadderList, EveryOpHasCasesForEveryKernelType) {
  std::set<std::string> names;
  for (const OpDef* op : all_ops()) {
    const selftest::OpCases* cases = selftest::find_cases(*op);
    ASSERT_NE(cases, nullptr) << op->name;
    const std::vector<Case> all = cases_of(*cases);
    EXPECT_GE(all.size(), 5u) << op->name;
    bool has_quick = false;
    for (const Case& test_case : all) {
      EXPECT_EQ(test_case.op, op) << test_case.name;
      EXPECT_TRUE(names.insert(test_case.name).second) << test_case.name << " is there twice";
      has_quick |= test_case.is_quick;
    }
    EXPECT_TRUE(has_quick) << op->name;
  }
}

// A kernel that no case reaches is not tested, whatever the table says.
TEST(LadderList, EveryKernelOfThisMachineHasACaseThatItAccepts) {
  for (const Device& device : devices()) {
    for (const OpDef* op : all_ops()) {
      const std::vector<Case> all = cases_of(*selftest::find_cases(*op));
      for (const Kernel& kernel : op->kernels) {
        if (kernel.space != device.backend->info().space) continue;
        std::set<std::string> reasons = {"no cases"};
        const auto targets = selftest::targets_of(*device.backend, *device.stream);
        for (size_t k = 0; k < all.size() * targets.size() && !reasons.contains(""); ++k)
          reasons.insert(selftest::refusal(all[k / targets.size()], kernel,
                                           targets[k % targets.size()].device));
        if (reasons.contains("")) continue;
        const std::string& missing = kernels::cuda::cublaslt_library().why_not;
        if (!missing.empty() && reasons.contains(missing)) continue;
        const std::string name = kernel.name;
        const bool is_of_bf16 = name.find("bf16") != std::string::npos;
        EXPECT_TRUE(is_of_bf16 && device.backend->info().space == Space::kHost)
            << name << ": " << *reasons.rbegin();
      }
    }
  }
}

TEST(LadderDevices, Cuda) {
  const CudaDevices cuda = list_cuda_devices();
  if (!cuda.devices.empty()) return;
  const char* required = std::getenv("DIABOLO_REQUIRE_CUDA");
  if (required != nullptr && std::string(required) == "1") FAIL() << cuda.why_none;
  GTEST_SKIP() << "CUDA kernels are not run: " << cuda.why_none;
}

// The same bits for any number of threads, where rows are independent of their batch.
TEST(LadderThreads, ForwardOpsGiveTheSameBitsForAnyNumberOfThreads) {
  if (kDeviceIsEmulated && !runs_all()) GTEST_SKIP() << "other builds run the CPU's kernels";
  const auto one = create_host_backend(1), all = create_host_backend();
  const auto stream_of_one = one->create_stream(), stream_of_all = all->create_stream();
  const Target on_one{*one, *stream_of_one, one->info()}, on_all{*all, *stream_of_all, all->info()};
  int count = 0;
  for (const OpDef* op : all_ops()) {
    for (const Case& test_case : cases_of(*selftest::find_cases(*op))) {
      if (test_case.has_rows.empty() || test_case.in[0].desc.extent(0) < 16) continue;
      if (!is_in_this_build(test_case)) continue;
      const CaseData data = data_of(test_case);
      for (const Kernel& kernel : op->kernels) {
        if (kernel.is_reference || !refusal(test_case, kernel, one->info()).empty()) continue;
        EXPECT_EQ(outputs_of(test_case, data, kernel, on_one),
                  outputs_of(test_case, data, kernel, on_all))
            << kernel.name << " on " << test_case.name;
        ++count;
      }
    }
  }
  EXPECT_GT(count, 10);
}

template <class Word>
void unsign_nans(std::vector<std::byte>& bytes, Word magnitude, Word infinity) {
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    word = static_cast<Word>(word & magnitude);
    if (word <= infinity) continue;
    word = static_cast<Word>(infinity | (infinity >> 1));
    std::memcpy(bytes.data() + i, &word, sizeof word);
  }
}

// outputs_of with one NaN for all: of two that meet in a product, x86 keeps the sign of the first,
// and compilers order factors as they like.
std::vector<std::vector<std::byte>> outputs_with_one_nan(const Case& test_case,
                                                         const CaseData& data, const Kernel& kernel,
                                                         const Target& target) {
  auto outputs = outputs_of(test_case, data, kernel, target);
  for (size_t k = 0; k < outputs.size(); ++k) {
    const DType dtype = test_case.out[k].desc.dtype();
    if (dtype == DType::kF32) unsign_nans<uint32_t>(outputs[k], 0x7fffffff, 0x7f800000);
    if (dtype == DType::kBf16) unsign_nans<uint16_t>(outputs[k], 0x7fff, 0x7f80);
  }
  return outputs;
}

// What a kernel of the host makes of a case, on each target that it accepts: the names of those
// whose bits are not the first's.
std::string differing(const Case& test_case, const CaseData& data, const Kernel& kernel,
                      std::span<const Target> targets) {
  std::vector<std::vector<std::byte>> first;
  std::string names;
  for (const Target& target : targets) {
    if (!refusal(test_case, kernel, target.device).empty()) continue;
    auto outputs = outputs_with_one_nan(test_case, data, kernel, target);
    if (first.empty())
      first = std::move(outputs);
    else if (outputs != first)
      names += cat(" ", target.device.name, " (", target.device.cpu.threads, " threads)");
  }
  return names;
}

// Every way in which the host can run a kernel: on one thread and on three, on each instruction
// set. The large cases are work for three threads.
struct HostWays {
  std::unique_ptr<Backend> one = create_host_backend(1), three = create_host_backend(3);
  std::unique_ptr<Stream> of_one = one->create_stream(), of_three = three->create_stream();

  // Those whose bits shall be the same: each instruction set by itself, or all.
  std::vector<std::vector<Target>> groups(bool by_instruction_set) {
    const std::vector<Target> alone = selftest::targets_of(*one, *of_one);
    const std::vector<Target> shared = selftest::targets_of(*three, *of_three);
    std::vector<std::vector<Target>> groups;
    for (size_t i = 0; i < alone.size(); ++i) {
      if (groups.empty() || by_instruction_set) groups.emplace_back();
      groups.back().push_back(alone[i]);
      groups.back().push_back(shared.at(i));
    }
    return groups;
  }
};

// What a product sums up goes by the instruction set, and where it is the library's by the threads.
bool is_library_product(const OpDef& op) {
  return std::string_view(op.name).starts_with("dense_");
}
bool is_product(const OpDef& op) {
  return is_library_product(op) || std::string_view(op.name).starts_with("conv2d_");
}

TEST(LadderThreads, OwnLoopsGiveTheSameBitsOnEveryInstructionSetAndAnyNumberOfThreads) {
  if (kDeviceIsEmulated && !runs_all()) GTEST_SKIP() << "other builds run the CPU's kernels";
  HostWays ways;
  int large = 0;
  for (const OpDef* op : all_ops()) {
    if (is_library_product(*op)) continue;
    for (const Case& test_case : cases_of(*selftest::find_cases(*op))) {
      if (!is_in_this_build(test_case)) continue;
      const CaseData data = data_of(test_case);
      for (const Kernel& kernel : op->kernels) {
        if (kernel.is_reference || kernel.space != Space::kHost) continue;
        for (const std::vector<Target>& targets : ways.groups(is_product(*op)))
          EXPECT_EQ(differing(test_case, data, kernel, targets), "")
              << kernel.name << " on " << test_case.name;
        large += test_case.is_large ? 1 : 0;
      }
    }
  }
  EXPECT_GT(large, 5);
}

// The check can fail: a kernel that writes how many threads it has.
TEST(LadderThreads, SeesAKernelThatGoesByItsThreads) {
  HostWays ways;
  Kernel kernel = kAdd.kernels.back();
  kernel.prepare = [](const Call& call, const DeviceInfo& device, void*) -> kernels::Launch {
    return [out = call.out[0], threads = device.cpu.threads](void*) {
      std::memset(out.as<std::byte>(), threads, static_cast<size_t>(out.desc.bytes()));
    };
  };
  const Case test_case = cases_of(selftest::kAddCases)[0];
  EXPECT_NE(differing(test_case, data_of(test_case), kernel, ways.groups(false).front()), "");
}

TEST(Selftest, TableHasARowForEveryKernel) {
  auto host = create_host_backend();
  Backend* backends[] = {host.get()};
  SelftestOptions options;
  options.quick_only = true;
  const auto rows = run_selftest(backends, options);
  size_t kernels = 0;
  for (const OpDef* op : all_ops()) kernels += op->kernels.size();
  EXPECT_EQ(rows.size(), kernels);
  for (const SelftestRow& row : rows) {
    EXPECT_NE(row.verdict, SelftestVerdict::kFail) << row.kernel << ": " << row.reason;
    EXPECT_EQ(row.verdict == SelftestVerdict::kSkip, row.cases == 0) << row.kernel;
    EXPECT_EQ(row.verdict == SelftestVerdict::kSkip, !row.reason.empty()) << row.kernel;
  }
}

// A machine whose kernels never run: what they should have written stays as it was.
class IdleBackend : public ForwardingBackend {
 public:
  explicit IdleBackend(Backend& real) : ForwardingBackend(real) {}
  std::unique_ptr<Stream> create_stream(StreamKind kind) override {
    return std::make_unique<IdleStream>(ForwardingBackend::create_stream(kind));
  }

 private:
  class IdleStream : public Stream {
   public:
    explicit IdleStream(std::unique_ptr<Stream> real) : real_(std::move(real)) {}
    void submit(std::function<void(void*)>) override {}
    void copy_in(void* device, const void* host, uint64_t bytes) override {
      real_->copy_in(device, host, bytes);
    }
    void copy_out(void* host, const void* device, uint64_t bytes) override {
      real_->copy_out(host, device, bytes);
    }
    void copy_within(void* to, const void* from, uint64_t bytes) override {
      real_->copy_within(to, from, bytes);
    }
    void fill(void* device, uint8_t value, uint64_t bytes) override {
      real_->fill(device, value, bytes);
    }
    std::unique_ptr<Event> record_event() override { return real_->record_event(); }
    void wait_for(const Event& event) override { real_->wait_for(event); }
    void synchronize() override { real_->synchronize(); }

   private:
    std::unique_ptr<Stream> real_;
  };
};

TEST(Selftest, AKernelThatIsWrongFailsWithTheNameOfTheCase) {
  auto host = create_host_backend();
  IdleBackend idle(*host);
  Backend* backends[] = {&idle};
  SelftestOptions options;
  options.quick_only = true;
  for (const SelftestRow& row : run_selftest(backends, options)) {
    if (row.cases == 0) continue;
    EXPECT_EQ(row.verdict, SelftestVerdict::kFail) << row.kernel;
    EXPECT_EQ(row.reason.find(row.op + "/"), 0u) << row.reason;
  }
}

TEST(Selftest, AFilterWithoutAMatchIsAnError) {
  auto host = create_host_backend();
  Backend* backends[] = {host.get()};
  SelftestOptions options;
  options.filter = "no such case";
  try {
    run_selftest(backends, options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace diabolo
