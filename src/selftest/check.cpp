#include "selftest/check.h"

#include <deque>

#include "base/error.h"
#include "selftest/fill.h"
#include "selftest/guarded.h"

namespace diabolo::selftest {
namespace {

constexpr std::byte kNanGarbage{0xff};
constexpr std::byte kOtherGarbage{0x3c};  // small positive floats

// How the operands of one preparation lie.
struct Placement {
  bool is_shifted = false;
  const InPlace* in_place = nullptr;
};

// The operands of a case on a device, and the prepared call.
class Prepared {
 public:
  Prepared(const Case& test_case, const Kernel& kernel, const Target& target, Placement placement)
      : case_(test_case), stream_(target.stream), placement_(placement) {
    const auto shift = [&](const Operand& operand) {
      return placement.is_shifted ? alignment_bytes(operand) : 0;
    };
    for (const Operand& operand : case_.in)
      in_.emplace_back(target.backend, operand.desc.bytes(), shift(operand));
    for (const Operand& operand : case_.out)
      out_.emplace_back(target.backend, operand.desc.bytes(), shift(operand));
    for (size_t k = 0; k < in_.size(); ++k) in_views_.push_back({case_.in[k].desc, in_[k].data()});
    for (size_t k = 0; k < out_.size(); ++k)
      out_views_.push_back({case_.out[k].desc, place_of(k).data()});
    Call call{case_.attrs, in_views_, out_views_};
    scratch_.emplace_back(target.backend, kernel.scratch_bytes(call, target.device), 0);
    scratch_.emplace_front(target.backend,
                           kernel.zeroed_bytes ? kernel.zeroed_bytes(call, target.device) : 0, 0);
    scratch_.front().write_garbage(std::byte{}, stream_);  // once: a run leaves them zeroed
    call.zeroed = scratch_.front().data();
    launch_ = kernel.prepare(call, target.device, scratch_.back().data());
  }

  // One run on fresh operands; returns what is wrong beside the numbers, and the outputs.
  std::string run(const CaseData& data, std::byte garbage,
                  std::vector<std::vector<std::byte>>& outputs) {
    write(data, garbage);
    stream_.submit([this](void* native) { launch_(native); });
    for (auto* group : {&in_, &out_, &scratch_})
      for (Guarded& operand : *group) operand.read(stream_);
    stream_.synchronize();
    outputs.clear();
    for (size_t k = 0; k < out_.size(); ++k) outputs.push_back(place_of(k).content());
    return broken_promise(data);
  }

 private:
  // What an element is aligned to: the records of kernels keep the alignment of their fields.
  static uint64_t alignment_bytes(const Operand& operand) {
    if (operand.fill == Fill::kState || operand.fill == Fill::kHaltedState) return 8;
    return size_bytes(operand.desc.dtype());
  }

  bool is_overwritten(size_t input) const {
    return placement_.in_place && static_cast<size_t>(placement_.in_place->in) == input;
  }
  Guarded& place_of(size_t output) {
    const InPlace* pair = placement_.in_place;
    const bool is_shared = pair && static_cast<size_t>(pair->out) == output;
    return is_shared ? in_[static_cast<size_t>(pair->in)] : out_[output];
  }

  void write(const CaseData& data, std::byte garbage) {
    for (size_t k = 0; k < in_.size(); ++k) in_[k].write(data.in[k], stream_);
    for (size_t k = 0; k < out_.size(); ++k) {
      if (case_.out[k].fill == Fill::kGarbage)
        out_[k].write_garbage(garbage, stream_);
      else
        out_[k].write(data.out[k], stream_);
    }
    scratch_.back().write_garbage(garbage, stream_);
  }

  std::string broken_promise(const CaseData& data) const {
    for (size_t k = 0; k < in_.size(); ++k) {
      if (!in_[k].guards_are_intact()) return cat("writes outside input ", k);
      if (!is_overwritten(k) && in_[k].content() != data.in[k]) return cat("changes input ", k);
    }
    for (size_t k = 0; k < out_.size(); ++k)
      if (!out_[k].guards_are_intact()) return cat("writes outside output ", k);
    for (const Guarded& scratch : scratch_)
      if (!scratch.guards_are_intact()) return "writes outside its scratch";
    if (!scratch_.front().is_zeros()) return "leaves its zeroed bytes otherwise";
    return {};
  }

  const Case& case_;
  Stream& stream_;
  Placement placement_;
  std::deque<Guarded> in_, out_, scratch_;  // scratch: the zeroed bytes, the others
  std::vector<TensorView> in_views_, out_views_;
  kernels::Launch launch_;
};

// Prepares, runs twice, compares; adds to `result`.
void check_placement(const Case& test_case, const CaseData& data, const Expected& expected,
                     const Kernel& kernel, const Target& target, Placement placement,
                     CheckResult& result) {
  std::vector<std::vector<std::byte>> first, second;
  Prepared prepared(test_case, kernel, target, placement);
  std::string failure = prepared.run(data, kNanGarbage, first);
  if (failure.empty()) {
    const Comparison comparison = compare(test_case, expected, first);
    result.worst = std::max(result.worst, comparison.worst);
    failure = comparison.failure;
  }
  if (failure.empty()) failure = prepared.run(data, kOtherGarbage, second);
  if (failure.empty() && first != second)
    failure = "two runs on the same inputs and other garbage differ in bits";
  const char* mode = placement.in_place ? "in place" : placement.is_shifted ? "shifted" : "plain";
  if (!failure.empty()) result.failure = cat(mode, ": ", failure);
}

// Outputs that only write some of their elements cannot take another's memory as their start.
bool can_share(const Case& test_case, const InPlace& pair) {
  const auto in = static_cast<size_t>(pair.in), out = static_cast<size_t>(pair.out);
  return in < test_case.in.size() && out < test_case.out.size() &&
         test_case.in[in].desc == test_case.out[out].desc;
}

// Rows [first, first + count) of the case, as a case of its own.
Case rows_of(const Case& whole, const CaseData& data, int64_t first, int64_t count,
             CaseData& part) {
  Case result = whole;
  part = {};
  const auto cut = [&](Operand& operand, const std::vector<std::byte>& bytes) {
    std::vector<int64_t> extents(operand.desc.extents().begin(), operand.desc.extents().end());
    const auto row = operand.desc.bytes() / static_cast<uint64_t>(extents[0]);
    extents[0] = count;
    operand.desc = TensorDesc(operand.desc.dtype(), extents);
    const auto begin = bytes.begin() + static_cast<ptrdiff_t>(row * static_cast<uint64_t>(first));
    return std::vector<std::byte>(begin, begin + static_cast<ptrdiff_t>(operand.desc.bytes()));
  };
  for (size_t k = 0; k < whole.in.size(); ++k)
    part.in.push_back(whole.has_rows[k] ? cut(result.in[k], data.in[k]) : data.in[k]);
  for (size_t k = 0; k < whole.out.size(); ++k) part.out.push_back(cut(result.out[k], data.out[k]));
  return result;
}

// The index of the first output whose rows differ, or -1.
int first_difference(const Case& part, int64_t first,
                     const std::vector<std::vector<std::byte>>& whole,
                     const std::vector<std::vector<std::byte>>& rows) {
  for (size_t k = 0; k < rows.size(); ++k) {
    const auto row = part.out[k].desc.bytes() / static_cast<uint64_t>(part.out[k].desc.extent(0));
    const auto begin = static_cast<ptrdiff_t>(row * static_cast<uint64_t>(first));
    if (!std::equal(rows[k].begin(), rows[k].end(), whole[k].begin() + begin))
      return static_cast<int>(k);
  }
  return -1;
}

}  // namespace

std::string refusal(const Case& test_case, const Kernel& kernel, const DeviceInfo& device) {
  if (kernel.space != device.space) return "of another device";
  std::vector<TensorView> in, out;
  for (const Operand& operand : test_case.in) in.push_back({operand.desc, unbound()});
  for (const Operand& operand : test_case.out) out.push_back({operand.desc, unbound()});
  const std::string reason = kernel.accepts({test_case.attrs, in, out}, device);
  if (!reason.empty()) return reason;
  return kernel.prepare ? "" : "not in this build";
}

CheckResult check_kernel(const Case& test_case, const CaseData& data, const Expected& expected,
                         const Kernel& kernel, const Target& target) {
  std::vector<Placement> placements = {{}, {.is_shifted = true}};
  for (const InPlace& pair : kernel.in_place)
    if (can_share(test_case, pair)) placements.push_back({.in_place = &pair});
  CheckResult result;
  for (const Placement& placement : placements) {
    check_placement(test_case, data, expected, kernel, target, placement, result);
    if (!result.failure.empty()) break;
  }
  return result;
}

std::vector<std::vector<std::byte>> outputs_of(const Case& test_case, const CaseData& data,
                                               const Kernel& kernel, const Target& target) {
  std::vector<std::vector<std::byte>> outputs;
  Prepared(test_case, kernel, target, {}).run(data, kNanGarbage, outputs);
  return outputs;
}

std::string check_rows(const Case& test_case, const CaseData& data, const Kernel& kernel,
                       const Target& target) {
  const int64_t batch = test_case.in[0].desc.extent(0);
  const auto whole = outputs_of(test_case, data, kernel, target);
  const std::vector<std::pair<int64_t, int64_t>> parts = {
      {0, 1}, {batch / 2, 1}, {batch - 1, 1}, {0, 7}, {13, 7}, {batch - 7, 7}, {1, batch - 1}};
  for (const auto& [first, count] : parts) {
    CaseData part_data;
    const Case part = rows_of(test_case, data, first, count, part_data);
    const auto rows = outputs_of(part, part_data, kernel, target);
    const int differs = first_difference(part, first, whole, rows);
    if (differs >= 0)
      return cat("rows ", first, " to ", first + count - 1,
                 " alone differ in bits from the same in a batch of ", batch, " (output ", differs,
                 ")");
  }
  return {};
}

}  // namespace diabolo::selftest
