#include "run/inference.h"

#include <algorithm>
#include <cstring>

#include "data/wide.h"
#include "kernels/common/scalar.h"
#include "run/device_inference.h"
#include "run/inference_lane.h"

namespace diabolo {

namespace {

void require_size(const char* what, uint64_t expected, uint64_t found) {
  if (expected != found)
    throw Error(ErrorCode::kUsage,
                cat(what, ": expected ", expected, " numbers, found room for ", found));
}

// Results of a chunk as floats.
void copy_floats(const TensorView& from, uint64_t elems, float* to) {
  if (from.desc.dtype() == DType::kF32) {
    std::memcpy(to, from.data, elems * sizeof(float));
    return;
  }
  const auto* low = from.as<kernels::Bf16>();
  for (uint64_t i = 0; i < elems; ++i) to[i] = kernels::to_float(low[i]);
}

}  // namespace

struct Inference::Pool {
  Pool(Backend& backend_in, const ModelFile& model, const Network& network,
       const InferenceOptions& options)
      : config(model.config.model), plans(backend_in, config, network, options) {
    const std::unique_ptr<Stream> stream = backend_in.create_stream(StreamKind::kCallerThread);
    store = std::make_unique<ParameterStore>(backend_in, network.parameters(),
                                             store_options(options.precision));
    for (size_t i = 0; i < model.parameters.size(); ++i)
      store->write(store->parameter(store->parameters()[i].name), model.parameters[i].data(),
                   *stream);
    store->refresh_low(*stream);
    add_scaling(*store, network, model.scaling, *stream);
    device = std::make_unique<DeviceInference>(plans, *store);
  }

  // Takes an idle lane or makes one; whoever is done gives it back.
  std::unique_ptr<Lane> take(const LaneKind& kind) {
    {
      const std::lock_guard lock(mutex);
      std::vector<std::unique_ptr<Lane>>& free = idle[kind];
      if (!free.empty()) {
        std::unique_ptr<Lane> lane = std::move(free.back());
        free.pop_back();
        return lane;
      }
    }
    return std::make_unique<Lane>(plans, *store, kind);
  }
  void give_back(const LaneKind& kind, std::unique_ptr<Lane> lane) {
    const std::lock_guard lock(mutex);
    idle[kind].push_back(std::move(lane));
  }

  // Threads that wait for work. All calls together have as many as one can use beside its own
  // thread; a call that finds none, or may not start one, does its rows alone.
  std::vector<std::unique_ptr<Stream>> take_helpers(int most) {
    std::vector<std::unique_ptr<Stream>> taken;
    const std::lock_guard lock(mutex);
    for (; most > 0; --most) {
      if (helpers.empty() && !make_helper()) break;
      taken.push_back(std::move(helpers.back()));
      helpers.pop_back();
    }
    return taken;
  }
  bool make_helper() {
    if (helpers_made + 1 >= plans.most_lanes()) return false;
    try {
      helpers.push_back(plans.backend().create_stream(StreamKind::kHelperThread));
    } catch (const Error&) {
      return false;
    }
    ++helpers_made;
    return true;
  }
  void give_back(std::vector<std::unique_ptr<Stream>> taken) {
    const std::lock_guard lock(mutex);
    for (auto& helper : taken) helpers.push_back(std::move(helper));
  }

  // A lane that failed is not given back, and ends the call.
  void work(const LaneKind& kind, const LaneJob& job, RowPieces& pieces) {
    if (pieces.none_left()) return;
    try {
      std::unique_ptr<Lane> lane = take(kind);
      lane->run(job, pieces);
      give_back(kind, std::move(lane));
    } catch (...) {
      pieces.stop();
      throw;
    }
  }

  // On the caller's thread and, where there is enough to do, on helpers.
  void run(const LaneKind& kind, const LaneJob& job) {
    RowPieces pieces(job.rows, plans.row_counts(), plans.most_lanes());
    std::vector<std::unique_ptr<Stream>> taken = take_helpers(pieces.lanes() - 1);
    std::exception_ptr failure;
    const auto guarded = [&](const auto& part) {
      try {
        part();
      } catch (...) {
        if (!failure) failure = std::current_exception();
      }
    };
    guarded([&] {
      for (const auto& helper : taken) helper->submit([&](void*) { work(kind, job, pieces); });
      work(kind, job, pieces);
    });
    for (const auto& helper : taken) guarded([&] { helper->synchronize(); });
    give_back(std::move(taken));
    if (failure) std::rethrow_exception(failure);
  }

  ModelConfig config;
  LanePlans plans;
  std::unique_ptr<ParameterStore> store;
  std::mutex mutex;
  std::map<LaneKind, std::vector<std::unique_ptr<Lane>>> idle;
  std::unique_ptr<DeviceInference> device;
  std::vector<std::unique_ptr<Stream>> helpers;  // idle ones
  int helpers_made = 0;
};

int64_t usual_max_rows(const DeviceInfo& device) {
  return device.space == Space::kHost ? LanePlans::kMostHostRows : 4096;
}

namespace {

InferenceOptions completed(InferenceOptions options, const DeviceInfo& device) {
  if (options.max_rows == 0) options.max_rows = usual_max_rows(device);
  return options;
}

}  // namespace

Inference::Inference(Backend& backend, const ModelFile& model, const InferenceOptions& options)
    : backend_(backend),
      network_(model.network()),
      scaling_(model.scaling),
      wide_scaling_(with_wide(model.scaling)),
      options_(completed(options, backend.info())),
      pool_(std::make_unique<Pool>(backend_, model, network_, options_)) {}

Inference::~Inference() = default;

DeviceInference& Inference::on_device() const {
  return *pool_->device;
}

uint64_t Inference::bytes() const {
  const std::lock_guard lock(pool_->mutex);
  uint64_t sum = pool_->store->bytes() + pool_->device->bytes();
  for (const auto& [kind, lanes] : pool_->idle)
    for (const auto& lane : lanes) sum += lane->bytes();
  return sum;
}

// Bytes go to the device as they are; all else becomes scaled floats on the way in.
Source Inference::source_of(const RawRows& in) const {
  const bool is_bytes = in.dtype == DType::kU8 && !in.is_scaled;
  require_size("rows", in.rows * static_cast<uint64_t>(features()) * size_bytes(in.dtype),
               in.bytes.size());
  return is_bytes ? Source::kRawU8 : Source::kScaled;
}

void Inference::fill(const RawRows& in, uint64_t first, uint64_t count, void* staging) const {
  const auto width = static_cast<uint64_t>(features());
  const uint64_t row_bytes = width * size_bytes(in.dtype);
  const std::span<const std::byte> raw = in.bytes.subspan(first * row_bytes, count * row_bytes);
  if (in.is_scaled || in.dtype == DType::kU8) {
    std::memcpy(staging, raw.data(), raw.size());
    return;
  }
  const std::span<float> out(static_cast<float*>(staging), count * width);
  scale_rows(is_wide(in.dtype) ? wide_scaling_ : scaling_, in.dtype, raw, out);
}

void Inference::encode(const RawRows& in, std::span<float> codes) const {
  const auto width = static_cast<uint64_t>(code_size());
  const Source source = source_of(in);
  require_size("codes", in.rows * width, codes.size());
  LaneJob job;
  job.rows = in.rows;
  job.fill = [&](uint64_t first, uint64_t count, void* staging) {
    fill(in, first, count, staging);
  };
  job.take = [&](uint64_t first, uint64_t count, const ChunkResult& result) {
    copy_floats(result.out[0], count * width, codes.data() + first * width);
  };
  pool_->run({Mode::kEncode, source, 0}, job);
}

void Inference::decode(std::span<const float> codes, std::span<float> rows) const {
  const auto code_width = static_cast<uint64_t>(code_size());
  const auto width = static_cast<uint64_t>(features());
  LaneJob job;
  job.rows = codes.size() / code_width;
  require_size("codes", job.rows * code_width, codes.size());
  require_size("rows", job.rows * width, rows.size());
  job.fill = [&](uint64_t first, uint64_t count, void* staging) {
    std::memcpy(staging, codes.data() + first * code_width, count * code_width * sizeof(float));
  };
  job.take = [&](uint64_t first, uint64_t count, const ChunkResult& result) {
    const std::span<float> out = rows.subspan(first * width, count * width);
    copy_floats(result.out[0], out.size(), out.data());
    unscale_rows(scaling_, out);
  };
  pool_->run({Mode::kDecode, Source::kScaled, 0}, job);
}

void Inference::reconstruct_scaled(const RawRows& in, std::span<float> rows) const {
  const auto width = static_cast<uint64_t>(features());
  const Source source = source_of(in);
  require_size("rows", in.rows * width, rows.size());
  LaneJob job;
  job.rows = in.rows;
  job.fill = [&](uint64_t first, uint64_t count, void* staging) {
    fill(in, first, count, staging);
  };
  job.take = [&](uint64_t first, uint64_t count, const ChunkResult& result) {
    copy_floats(result.out[0], count * width, rows.data() + first * width);
  };
  pool_->run({Mode::kReconstruct, source, 0}, job);
}

void Inference::reconstruct(const RawRows& in, std::span<float> rows) const {
  reconstruct_scaled(in, rows);
  unscale_rows(scaling_, rows);
}

void Inference::score(const RawRows& in, const Scores& out) const {
  const auto worst = static_cast<uint64_t>(std::max<int64_t>(0, out.worst));
  const Source source = source_of(in);
  require_size("scores", in.rows, out.score.size());
  require_size("worst features", in.rows * worst, out.index.size());
  require_size("errors of the worst features", in.rows * worst, out.error.size());
  LaneJob job;
  job.rows = in.rows;
  job.fill = [&](uint64_t first, uint64_t count, void* staging) {
    fill(in, first, count, staging);
  };
  job.take = [&](uint64_t first, uint64_t count, const ChunkResult& result) {
    std::memcpy(out.score.data() + first, result.out[0].data, count * sizeof(float));
    if (worst == 0) return;
    std::memcpy(out.index.data() + first * worst, result.out[1].data,
                count * worst * sizeof(uint32_t));
    copy_floats(result.out[2], count * worst, out.error.data() + first * worst);
  };
  pool_->run({Mode::kScore, source, out.worst}, job);
}

}  // namespace diabolo
