// Properties of plans, on random inputs: the memory plan never lets two living things share a byte,
// an executor gives the same bits with capture and without, in any arena, and a plan that cannot be
// made says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "graph/executor.h"
#include "graph/memory_plan.h"
#include "graph/plan.h"
#include "graph/random_net.h"

namespace diabolo {
namespace {

std::vector<Lifetime> random_lifetimes() {
  std::vector<Lifetime> lifetimes;
  const int count = *rc::gen::inRange(0, 40);
  for (int k = 0; k < count; ++k) {
    const int first = *rc::gen::inRange(0, 20);
    const auto bytes = static_cast<uint64_t>(*rc::gen::inRange(0, 5000));
    lifetimes.push_back({bytes, first, first + *rc::gen::inRange(0, 10)});
  }
  return lifetimes;
}

uint64_t padded(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

bool share_a_byte(const std::vector<Lifetime>& lifetimes, const MemoryPlan& plan) {
  for (size_t a = 0; a < lifetimes.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      const bool in_time =
          lifetimes[a].first <= lifetimes[b].last && lifetimes[b].first <= lifetimes[a].last;
      const bool in_space = plan.offsets[a] < plan.offsets[b] + lifetimes[b].bytes &&
                            plan.offsets[b] < plan.offsets[a] + lifetimes[a].bytes;
      if (in_time && in_space && lifetimes[a].bytes > 0 && lifetimes[b].bytes > 0) return true;
    }
  }
  return false;
}

// The most bytes that live at one step: no plan can do with less.
uint64_t lower_bound(const std::vector<Lifetime>& lifetimes, uint64_t alignment) {
  uint64_t most = 0;
  for (int step = 0; step < 40; ++step) {
    uint64_t living = 0;
    for (const Lifetime& lifetime : lifetimes)
      if (lifetime.first <= step && step <= lifetime.last)
        living += padded(lifetime.bytes, alignment);
    most = std::max(most, living);
  }
  return most;
}

TEST(MemoryPlan, NothingThatLivesAtOnceSharesAByte) {
  EXPECT_TRUE(rc::check("no overlap", [] {
    const auto lifetimes = random_lifetimes();
    const uint64_t alignment = uint64_t{1} << *rc::gen::inRange(0, 10);
    const MemoryPlan plan = plan_memory(lifetimes, alignment);
    RC_ASSERT(plan.offsets.size() == lifetimes.size());
    RC_ASSERT(!share_a_byte(lifetimes, plan));
    for (size_t k = 0; k < lifetimes.size(); ++k) {
      RC_ASSERT(plan.offsets[k] % alignment == 0u);
      RC_ASSERT(plan.offsets[k] + lifetimes[k].bytes <= plan.peak_bytes);
    }
    RC_ASSERT(plan.peak_bytes >= lower_bound(lifetimes, alignment));
    const uint64_t all = std::accumulate(
        lifetimes.begin(), lifetimes.end(), uint64_t{0},
        [&](uint64_t sum, const Lifetime& l) { return sum + padded(l.bytes, alignment); });
    RC_ASSERT(plan.peak_bytes <= all);
    RC_ASSERT(plan_memory(lifetimes, alignment).offsets == plan.offsets);
  }));
}

// Greedy is no optimum, but close: over many random plans it stays within a tenth of the bound that
// no plan can beat.
TEST(MemoryPlan, IsNearTheLowerBound) {
  double taken = 0, bound = 0;
  EXPECT_TRUE(rc::check("near the bound", [&] {
    const auto lifetimes = random_lifetimes();
    taken += static_cast<double>(plan_memory(lifetimes).peak_bytes);
    bound += static_cast<double>(lower_bound(lifetimes, 256));
  }));
  EXPECT_LT(taken, 1.1 * bound);
}

TEST(MemoryPlan, ThingsThatFollowEachOtherShareTheirBytes) {
  const std::vector<Lifetime> lifetimes = {{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 5}};
  EXPECT_EQ(plan_memory(lifetimes).peak_bytes, 1024u);
}

TEST(MemoryPlan, TheCheckSeesAnOverlap) {
  const std::vector<Lifetime> lifetimes = {{1000, 0, 2}, {1000, 2, 3}};
  EXPECT_TRUE(share_a_byte(lifetimes, {{0, 512}, 1512}));
  EXPECT_FALSE(share_a_byte(lifetimes, {{0, 1024}, 2024}));
}

TEST(MemoryPlan, SizesBeyondMemoryAreAnErrorOfTheEnvironment) {
  const uint64_t huge = uint64_t{1} << 62;
  const std::vector<Lifetime> lifetimes = {{huge, 0, 1}, {huge, 0, 1}, {huge, 0, 1}};
  try {
    plan_memory(lifetimes);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResource);
  }
}

// --- the executor ------------------------------------------------------------------------------

struct Gradients {
  std::vector<float> grads, losses;
  bool operator==(const Gradients&) const = default;
};

// One host for all networks.
struct Host {
  std::unique_ptr<Backend> backend = create_host_backend(1);
  std::unique_ptr<Stream> stream = backend->create_stream();
};
Host& host() {
  static Host the_host;
  return the_host;
}

// One network on the host: its gradients by a plan.
class NetRun {
 public:
  NetRun(const NetSpec& net, DType dtype, const Policy& policy, std::byte arena_content)
      : graph_(net, dtype),
        store_(*host().backend, parameters_of(net),
               step_states(parameters_of(net), dtype, {.kind = kernels::Optimizer::kSgd})),
        plan_(Plan::compile(graph_.graph(), host().backend->info(), policy)),
        arena_(*host().backend) {
    arena_.reserve(plan_.arena_bytes());
    std::memset(arena_.data(), std::to_integer<int>(arena_content), arena_.bytes());
    fill_parameters();
    for (const Value& value : graph_.graph().values())
      if (value.role == Role::kInput) fill_input(value);
    std::map<std::string, void*> bound;
    for (auto& [name, bytes] : inputs_) bound[name] = bytes.data();
    executor_ =
        std::make_unique<Executor>(plan_, *host().backend, store_, arena_, *host().stream, bound);
  }

  Gradients run(Capture capture, int times) {
    for (int k = 0; k < times; ++k) executor_->run(capture);
    host().stream->synchronize();
    Gradients result;
    const TensorView grads = store_.state(store_names::kGrads);
    result.grads.assign(grads.as<float>(), grads.as<float>() + grads.desc.elems());
    for (size_t k = 0; k < graph_.loss_count(); ++k)
      result.losses.push_back(*executor_->output(cat("loss ", k)).as<float>());
    return result;
  }

  const Plan& plan() const { return plan_; }

 private:
  void fill_parameters() {
    uint32_t purpose = 10;
    for (const ParameterSpec& spec : store_.parameters()) {
      const TensorView view = store_.parameter(spec.name);
      for (int64_t k = 0; k < spec.desc.elems(); ++k)
        view.as<float>()[k] =
            0.8f * kernels::normal_at({17, purpose, 0}, 0, static_cast<uint64_t>(k));
      ++purpose;
    }
    store_.refresh_low(*host().stream);
    auto* state = store_.state(store_names::kStepState).as<kernels::StepState>();
    state->seed = 5;
    state->step = 2;
  }

  void fill_input(const Value& value) {
    auto& bytes = inputs_[value.name];
    bytes.resize(value.desc.bytes());
    const auto purpose = static_cast<uint32_t>(value.name.size());
    for (int64_t k = 0; k < value.desc.elems(); ++k) {
      const float x = 0.8f * kernels::normal_at({18, purpose, 0}, 0, static_cast<uint64_t>(k));
      const kernels::Bf16 low = kernels::to_bf16(x);
      const auto at = static_cast<size_t>(k);
      if (value.desc.dtype() == DType::kBf16)
        std::memcpy(bytes.data() + at * sizeof(low), &low, sizeof(low));
      else
        std::memcpy(bytes.data() + at * sizeof(x), &x, sizeof(x));
    }
  }

  NetGraph graph_;
  ParameterStore store_;
  Plan plan_;
  Arena arena_;
  std::map<std::string, std::vector<std::byte>> inputs_;
  std::unique_ptr<Executor> executor_;
};

constexpr std::byte kZero{0}, kNan{0xff};

// Equal bits whatever the arena held before (every value is written before it is read, and no two
// living ones overlap), with capture on and off, and run after run.
TEST(Executor, ArenaContentAndCaptureChangeNoBit) {
  EXPECT_TRUE(rc::check("equal bits", [] {
    const NetSpec net = random_net();
    RC_LOG() << net;
    const DType dtype = *rc::gen::element(DType::kF32, DType::kBf16);
    const Gradients once = NetRun(net, dtype, {}, kZero).run(Capture::kOff, 1);
    for (const float g : once.grads) RC_ASSERT(std::isfinite(g));
    RC_ASSERT((once == NetRun(net, dtype, {}, kNan).run(Capture::kOff, 1)));
    RC_ASSERT((once == NetRun(net, dtype, {}, kNan).run(Capture::kOff, 3)));
    RC_ASSERT((once == NetRun(net, dtype, {}, kNan).run(Capture::kOn, 3)));
  }));
}

TEST(Executor, FusionChangesNoBitOfTheReference) {
  EXPECT_TRUE(rc::check("fused = unfused", [] {
    const NetSpec net = random_net();
    RC_LOG() << net;
    const Policy fused{.reference_only = true}, plain{.fuse = false, .reference_only = true};
    RC_ASSERT((NetRun(net, DType::kF32, fused, kNan).run(Capture::kOn, 2) ==
               NetRun(net, DType::kF32, plain, kNan).run(Capture::kOn, 2)));
  }));
}

// The ladder bounds each kernel; here whole chains of up to 20 of them stay together. 1e-4 of the
// largest gradient: 6e-8 times the condition of such a chain, which on these nets is below 1e3.
TEST(Executor, FastKernelsAgreeWithTheReference) {
  EXPECT_TRUE(rc::check("fast = reference", [] {
    const NetSpec net = random_net();
    RC_LOG() << net;
    const Gradients reference =
        NetRun(net, DType::kF32, {.reference_only = true}, kNan).run(Capture::kOn, 2);
    const Gradients fast = NetRun(net, DType::kF32, {}, kNan).run(Capture::kOn, 2);
    float largest = 1;
    for (const float g : reference.grads) largest = std::max(largest, std::fabs(g));
    for (size_t k = 0; k < fast.grads.size(); ++k)
      RC_ASSERT(std::fabs(fast.grads[k] - reference.grads[k]) <= 1e-4f * largest);
  }));
}

TEST(Executor, APlanForAnotherDeviceIsRefused) {
  NetSpec net;
  net.layers = {{1}};
  const NetGraph graph(net, DType::kF32);
  const Plan plan = Plan::compile(graph.graph(), *device_from_name("cpu"), {});
  for (const Step& step : plan.steps()) EXPECT_EQ(step.kernel->space, Space::kHost);
  Graph host_only;
  const ValueId a = host_only.add_input("a", {DType::kF64, {3}});
  host_only.add(kAdd, AddAttrs{}, {a, a}, "double sum");
  try {
    Plan::compile(host_only, *device_from_name("sm_90"), {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    // Every kernel of the op, and why not it.
    for (const Kernel& kernel : kAdd.kernels)
      EXPECT_THAT(error.what(), testing::HasSubstr(cat(kernel.name, ": ")));
    EXPECT_THAT(error.what(), testing::HasSubstr("double sum"));
  }
}

TEST(Plan, EachStepSaysWhyTheKernelsBeforeItRefused) {
  NetSpec net;
  net.batch = 2;
  net.in = 3;
  net.layers = {{3}, {3}};
  const NetGraph graph(net, DType::kF32);
  const Plan plan =
      Plan::compile(graph.graph(), *device_from_name("cpu"), {.reference_only = true});
  for (const Step& step : plan.steps()) {
    EXPECT_TRUE(step.kernel->is_reference);
    const Node& node = plan.graph().node(step.node);
    EXPECT_EQ(step.rejected.size() + 1, node.op->kernels.size()) << node.name;
    for (const Rejection& rejection : step.rejected) EXPECT_NE(rejection.reason, "");
  }
}

// What only a policy allows: kernels whose rows depend on their batch, rounding to tf32.
TEST(Plan, ThePolicyRulesOverKernels) {
  NetSpec net;
  net.batch = 4096;
  net.in = 4096;
  net.layers = {{4096}, {4096}};
  const NetGraph graph(net, DType::kF32);
  const DeviceInfo gpu = *device_from_name("sm_90");
  const auto refused_for_rows = [](const Plan& plan) {
    int count = 0;
    for (const Step& step : plan.steps()) {
      for (const Rejection& rejection : step.rejected)
        count += rejection.kernel->needs_policy_fast &&
                 rejection.reason == "its rows depend on their batch";
    }
    return count;
  };
  const Plan strict = Plan::compile(graph.graph(), gpu, {});
  EXPECT_GT(refused_for_rows(strict), 0);
  for (const Step& step : strict.steps()) EXPECT_FALSE(step.kernel->needs_policy_fast);
  EXPECT_EQ(refused_for_rows(Plan::compile(graph.graph(), gpu, {.fast = true})), 0);
  EXPECT_FALSE(strict.device().cuda.allows_tf32);
  EXPECT_TRUE(Plan::compile(graph.graph(), gpu, {.allows_tf32 = true}).device().cuda.allows_tf32);
}

// Every parameter begins where vectors of any width may: at a multiple of 64 elements.
TEST(BlobLayout, AlignsEveryParameter) {
  const std::vector<ParameterSpec> odd = {{"a", {DType::kF32, {3, 5}}},
                                          {"b", {DType::kF32, {1}}},
                                          {"c", {DType::kF32, {64}}},
                                          {"d", {DType::kF32, {65}}}};
  const BlobLayout layout = BlobLayout::of(odd);
  EXPECT_EQ(layout.offsets, (std::vector<uint64_t>{0, 64, 128, 192}));
  EXPECT_EQ(layout.elems, 320u);
}

}  // namespace
}  // namespace diabolo
