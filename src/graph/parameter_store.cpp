#include "graph/parameter_store.h"

#include "base/checked.h"
#include "base/error.h"
#include "kernels/common/scalar.h"
#include "ops/training.h"

namespace diabolo {

BlobLayout BlobLayout::of(std::span<const ParameterSpec> parameters) {
  BlobLayout layout;
  for (const ParameterSpec& spec : parameters) {
    layout.offsets.push_back(layout.elems);
    const auto padded = checked_align_up<uint64_t>(static_cast<uint64_t>(spec.desc.elems()), 64);
    const auto sum = padded ? checked_add(layout.elems, *padded) : std::nullopt;
    if (!sum || *sum > (uint64_t{1} << 59))
      throw Error(ErrorCode::kResource, cat("the parameters up to ", spec.name, " ",
                                            spec.desc.text(), " do not fit any memory"));
    layout.elems = *sum;
  }
  return layout;
}

TensorDesc BlobLayout::desc(DType dtype) const {
  return TensorDesc(dtype, {static_cast<int64_t>(elems)});
}

std::vector<StateSpec> product_states(std::span<const ParameterSpec> parameters, DType products) {
  if (products != DType::kBf16) return {};
  return {{store_names::kLow, BlobLayout::of(parameters).desc(DType::kBf16)}};
}

std::vector<StateSpec> step_states(std::span<const ParameterSpec> parameters, DType products,
                                   const kernels::OptimizerRule& rule) {
  const TensorDesc blob = BlobLayout::of(parameters).desc(DType::kF32);
  std::vector<StateSpec> states = product_states(parameters, products);
  states.push_back({store_names::kGrads, blob});
  if (has_m(rule)) states.push_back({store_names::kM, blob, StateKind::kOfOptimizer});
  if (has_v(rule)) states.push_back({store_names::kV, blob, StateKind::kOfOptimizer});
  states.push_back({store_names::kStepState, step_state_desc()});
  states.push_back({store_names::kScalars, step_scalars_desc()});
  states.push_back({store_names::kLosses, step_losses_desc()});
  return states;
}

ParameterStore::ParameterStore(Backend& backend, std::vector<ParameterSpec> parameters,
                               std::span<const StateSpec> states, std::shared_ptr<float> master)
    : backend_(backend), parameters_(std::move(parameters)), layout_(BlobLayout::of(parameters_)) {
  for (const ParameterSpec& spec : parameters_)
    DIABOLO_CHECK(spec.desc.dtype() == DType::kF32, spec.name, " ", spec.desc.text());
  DIABOLO_CHECK(!master || backend.info().space == Space::kHost, "a store of its own memory");
  const TensorDesc blob = layout_.desc(DType::kF32);
  entries_.emplace(store_names::kMaster, master ? Entry{blob, {}, master} : zeroed(blob));
  for (const StateSpec& spec : states) add_state(spec);
}

ParameterStore::Entry ParameterStore::zeroed(const TensorDesc& desc) const {
  Entry entry{desc, Buffer(backend_, desc.bytes()), {}};
  const auto stream = backend_.create_stream(StreamKind::kCallerThread);
  stream->fill(entry.buffer.data(), 0, desc.bytes());
  stream->synchronize();
  return entry;
}

void ParameterStore::add_state(const StateSpec& spec) {
  DIABOLO_CHECK(!entries_.contains(spec.name), spec.name);
  // The graph, which knows no kinds, goes by the name.
  DIABOLO_CHECK((spec.kind == StateKind::kOfModel) == !spec.name.starts_with('@'), spec.name);
  DIABOLO_CHECK(spec.kind == StateKind::kOfRun || spec.desc.dtype() == DType::kF32, spec.name, " ",
                spec.desc.text());
  entries_.emplace(spec.name, zeroed(spec.desc));
  states_.push_back(spec);
}

TensorView ParameterStore::state(const std::string& name) const {
  const auto found = entries_.find(name);
  DIABOLO_CHECK(found != entries_.end(), "the store has no ", name);
  const Entry& entry = found->second;
  return {entry.desc, entry.shared ? entry.shared.get() : entry.buffer.data()};
}

namespace {

// The part of a blob that is parameter `index`.
TensorView part_of(const TensorView& blob, uint64_t offset_elems, const TensorDesc& extents) {
  const TensorDesc desc(blob.desc.dtype(), extents.extents());
  return {desc, static_cast<char*>(blob.data) + offset_elems * size_bytes(desc.dtype())};
}

}  // namespace

TensorView ParameterStore::view(const Value& value) const {
  if (value.role == Role::kState) {
    const TensorView found = state(value.name);
    DIABOLO_CHECK(found.desc == value.desc, value.name, " is ", found.desc.text(), ", wanted ",
                  value.desc.text());
    return found;
  }
  const bool is_gradient = value.role == Role::kGradient;
  DIABOLO_CHECK(is_gradient || value.role == Role::kParameter, value.name, " is a ",
                name(value.role));
  const bool is_low = value.desc.dtype() == DType::kBf16;
  const char* blob = is_gradient ? store_names::kGrads
                     : is_low    ? store_names::kLow
                                 : store_names::kMaster;
  for (size_t k = 0; k < parameters_.size(); ++k) {
    if (parameters_[k].name != value.name) continue;
    const TensorView found = part_of(state(blob), layout_.offsets[k], parameters_[k].desc);
    DIABOLO_CHECK(found.desc == value.desc, value.name, " is ", found.desc.text(), ", wanted ",
                  value.desc.text());
    return found;
  }
  DIABOLO_CHECK(false, "the store has no parameter ", value.name);
  return {};
}

TensorView ParameterStore::parameter(const std::string& name, DType dtype) const {
  for (const ParameterSpec& spec : parameters_) {
    if (spec.name == name)
      return view({TensorDesc(dtype, spec.desc.extents()), name, Role::kParameter});
  }
  DIABOLO_CHECK(false, "the store has no parameter ", name);
  return {};
}

void ParameterStore::write(const TensorView& target, const void* host, Stream& stream) const {
  stream.copy_in(target.data, host, target.desc.bytes());
  stream.synchronize();
}

void ParameterStore::read(const TensorView& source, void* host, Stream& stream) const {
  stream.copy_out(host, source.data, source.desc.bytes());
  stream.synchronize();
}

void ParameterStore::refresh_low(Stream& stream) const {
  if (!entries_.contains(store_names::kLow)) return;
  std::vector<float> master(layout_.elems);
  read(state(store_names::kMaster), master.data(), stream);
  std::vector<kernels::Bf16> low(layout_.elems);
  for (size_t k = 0; k < low.size(); ++k) low[k] = kernels::to_bf16(master[k]);
  write(state(store_names::kLow), low.data(), stream);
}

uint64_t ParameterStore::bytes() const {
  uint64_t sum = 0;
  for (const auto& [name, entry] : entries_) sum += entry.desc.bytes();
  return sum;
}

}  // namespace diabolo
