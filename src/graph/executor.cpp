#include "graph/executor.h"

#include "base/error.h"
#include "kernels/cuda/cuda.h"

namespace diabolo {

void Arena::reserve(uint64_t bytes) {
  if (bytes > buffer_.bytes()) {
    buffer_ = Buffer();  // first give back, then take
    buffer_ = Buffer(backend_, bytes);
  }
}

Executor::Executor(const Plan& plan, Backend& backend, const ParameterStore& store,
                   const Arena& arena, Stream& stream, const std::map<std::string, void*>& inputs)
    : plan_(plan), backend_(backend), stream_(stream), zeroed_(backend, plan.zeroed_bytes()) {
  if (plan.device().space != backend.info().space)
    throw Error(ErrorCode::kDevice, cat("the plan is for ", plan.device().name, ", the device is ",
                                        backend.info().name));
  DIABOLO_CHECK(arena.bytes() >= plan.arena_bytes(), arena.bytes(), " < ", plan.arena_bytes());
  bind(store, arena, inputs);
  if (zeroed_.bytes() > 0) stream_.fill(zeroed_.data(), 0, zeroed_.bytes());
  prepare(arena);
}

void Executor::bind(const ParameterStore& store, const Arena& arena,
                    const std::map<std::string, void*>& inputs) {
  const std::span<const Value> values = plan_.graph().values();
  views_.resize(values.size());
  for (size_t v = 0; v < values.size(); ++v) {
    const Value& value = values[v];
    views_[v].desc = value.desc;
    if (value.alias_of != kNoValue) {
      views_[v].data = views_[static_cast<size_t>(value.alias_of)].data;
    } else if (value.role == Role::kInput) {
      const auto found = inputs.find(value.name);
      DIABOLO_CHECK(found != inputs.end(), "input ", value.name, " is not bound");
      views_[v].data = found->second;
    } else if (value.role == Role::kTemporary || value.role == Role::kOutput) {
      const uint64_t offset = plan_.offset(static_cast<ValueId>(v));
      if (offset != Plan::kNotInArena) views_[v].data = static_cast<char*>(arena.data()) + offset;
    } else {
      views_[v] = store.view(value);
    }
  }
}

namespace {

void require_prepare(bool is_there, const Kernel& kernel) {
  if (!is_there)
    throw Error(ErrorCode::kDevice,
                cat("this build cannot run ", kernel.name, " (configure with -DDIABOLO_CUDA=ON)"));
}

}  // namespace

// A step's call with all that it refers to.
struct Executor::Bound {
  std::vector<TensorView> in, out;
  std::vector<kernels::Parts> parts;
  void* scratch = nullptr;
  void* zeroed = nullptr;

  Call call(const Plan& plan, size_t step) const {
    Call made = plan.call(step, in, out);
    made.zeroed = zeroed;
    made.parts = parts;
    return made;
  }
};

Executor::Bound Executor::bound(const Step& step, const Arena& arena) const {
  const Node& node = plan_.graph().node(step.node);
  Bound made;
  for (const ValueId id : node.in) made.in.push_back(views_[static_cast<size_t>(id)]);
  for (const ValueId id : node.out) made.out.push_back(views_[static_cast<size_t>(id)]);
  made.scratch = static_cast<char*>(arena.data()) + step.scratch_offset;
  if (step.zeroed_bytes > 0) made.zeroed = static_cast<char*>(zeroed_.data()) + step.zeroed_offset;
  return made;
}

void Executor::prepare(const Arena& arena) {
  const std::span<const Step> steps = plan_.steps();
  std::vector<Bound> all;
  for (const Step& step : steps) all.push_back(bound(step, arena));
  for (size_t k = 0; k < steps.size(); ++k) {
    if (steps[k].parts_reader < 0) continue;
    const auto left = steps[k].kernel->parts(all[k].call(plan_, k), plan_.device(), all[k].scratch);
    auto& read = all[static_cast<size_t>(steps[k].parts_reader)].parts;
    read.insert(read.end(), left.begin(), left.end());
  }
  for (size_t k = 0; k < steps.size(); ++k) {
    const Kernel& kernel = *steps[k].kernel;
    const Call call = all[k].call(plan_, k);
    if (steps[k].joins_next) {
      const Join& join = *steps[k + 1].kernel->join;
      require_prepare(join.prepare != nullptr, kernel);
      launches_.push_back(
          join.prepare(call, all[k + 1].call(plan_, k + 1), plan_.device(), all[k].scratch));
      ++k;
    } else {
      require_prepare(kernel.prepare != nullptr, kernel);
      launches_.push_back(kernel.prepare(call, plan_.device(), all[k].scratch));
    }
  }
}

void Executor::launch_all(void* native) const {
  for (const kernels::Launch& launch : launches_) launch(native);
}

void Executor::run(Capture capture) {
  if (capture == Capture::kOff || !has_run_) {
    has_run_ = true;
    submit();
    return;
  }
  if (!replay_) replay_ = backend_.record(stream_, [this](void* native) { launch_all(native); });
  replay_->launch(stream_);
}

void Executor::run_many(int times) {
  DIABOLO_CHECK(times >= 1, times);
  if (!has_run_) {
    run(Capture::kOff);
    if (--times == 0) return;
  }
  if (times == 1) return run();
  std::unique_ptr<Replay>& replay = replays_of_many_[times];
  if (!replay) {
    replay = backend_.record(stream_, [this, times](void* native) {
      for (int k = 0; k < times; ++k) launch_all(native);
    });
  }
  replay->launch(stream_);
}

void Executor::submit() {
  try {
    stream_.submit([this](void* native) { launch_all(native); });
  } catch (const kernels::cuda::LaunchError& error) {
    throw Error(ErrorCode::kDevice, error.what());
  }
}

TensorView Executor::output(const std::string& name) const {
  const ValueId id = plan_.graph().find(name, Role::kOutput);
  DIABOLO_CHECK(id != kNoValue, "the plan has no output ", name);
  return views_[static_cast<size_t>(id)];
}

}  // namespace diabolo
