#include "selftest/selftest.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "ops/registry.h"
#include "selftest/check.h"

namespace diabolo {
namespace {

using selftest::Case;
using selftest::CaseData;
using selftest::CheckResult;
using selftest::Expected;
using selftest::Target;

// A case ready to be compared with: the reference runs once for all kernels.
struct PreparedCase {
  const Case& test_case;
  CaseData data;
  std::map<bool, Expected> expected;  // by whether operands may be rounded to tf32

  explicit PreparedCase(const Case& one) : test_case(one), data(selftest::data_of(one)) {}
  const Expected& on(const Target& target) {
    const bool tf32 = target.rounds_to_tf32();
    const auto found = expected.find(tf32);
    if (found != expected.end()) return found->second;
    return expected[tf32] = selftest::expected_of(test_case, data, tf32);
  }
};

// One op's kernels on all devices.
class OpRun {
 public:
  OpRun(const OpDef& op, std::span<Backend* const> backends) : backends_(backends) {
    for (Backend* backend : backends_) {
      streams_.push_back(backend->create_stream());
      targets_.push_back(selftest::targets_of(*backend, *streams_.back()));
    }
    for (const Kernel& kernel : op.kernels) {
      bool is_somewhere = false;
      for (size_t k = 0; k < backends_.size(); ++k) {
        if (kernel.space != backends_[k]->info().space) continue;
        is_somewhere = true;
        add(op, kernel, k, backends_[k]->info().name);
      }
      if (!is_somewhere) add(op, kernel, kNowhere, "-");
    }
  }

  void run(const Case& test_case) {
    PreparedCase prepared(test_case);
    for (Entry& entry : entries_)
      if (entry.backend != kNowhere) run(prepared, entry);
  }

  std::vector<SelftestRow> rows() const {
    std::vector<SelftestRow> rows;
    for (const Entry& entry : entries_) {
      SelftestRow row = entry.row;
      if (entry.backend == kNowhere)
        row.reason = entry.kernel->space == Space::kCuda ? "no CUDA device" : "no host backend";
      rows.push_back(row);
    }
    return rows;
  }

 private:
  static constexpr size_t kNowhere = ~size_t{0};
  struct Entry {
    const Kernel* kernel = nullptr;
    size_t backend = kNowhere;
    SelftestRow row;
  };

  void add(const OpDef& op, const Kernel& kernel, size_t backend, const std::string& device) {
    Entry& entry = entries_.emplace_back();
    entry.kernel = &kernel;
    entry.backend = backend;
    entry.row.op = op.name;
    entry.row.kernel = kernel.name;
    entry.row.device = device;
  }

  void run(PreparedCase& prepared, Entry& entry) {
    SelftestRow& row = entry.row;
    if (prepared.test_case.is_large && entry.kernel->is_reference) return;
    bool is_accepted = false;
    for (const Target& target : targets_[entry.backend]) {
      const std::string refusal =
          selftest::refusal(prepared.test_case, *entry.kernel, target.device);
      if (refusal.empty()) {
        is_accepted = true;
        run(prepared, *entry.kernel, target, row);
      } else if (row.cases == 0 && row.reason.empty()) {
        row.reason = refusal;
      }
      if (entry.kernel->is_reference) break;  // it asks nothing of the device
    }
    if (!is_accepted) return;
    ++row.cases;
    if (row.verdict == SelftestVerdict::kFail) return;
    row.verdict = SelftestVerdict::kPass;
    row.reason.clear();
  }

  static void run(PreparedCase& prepared, const Kernel& kernel, const Target& target,
                  SelftestRow& row) {
    const CheckResult result =
        check_kernel(prepared.test_case, prepared.data, prepared.on(target), kernel, target);
    row.worst = std::max(row.worst, result.worst);
    if (result.failure.empty() || row.verdict == SelftestVerdict::kFail) return;
    row.verdict = SelftestVerdict::kFail;
    row.reason = cat(prepared.test_case.name, " on ", target.device.name, ": ", result.failure);
  }

  std::span<Backend* const> backends_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::vector<Target>> targets_;  // by backend
  std::vector<Entry> entries_;
};

bool is_wanted(const Case& test_case, const SelftestOptions& options) {
  if (options.quick_only && !test_case.is_quick) return false;
  return test_case.name.find(options.filter) != std::string::npos;
}

}  // namespace

std::vector<SelftestRow> run_selftest(std::span<Backend* const> backends,
                                      const SelftestOptions& options) {
  std::vector<SelftestRow> rows;
  for (const OpDef* op : all_ops()) {
    const selftest::OpCases* cases = selftest::find_cases(*op);
    DIABOLO_CHECK(cases != nullptr, op->name, " has no cases");
    std::vector<Case> wanted;
    for (Case& test_case : cases_of(*cases))
      if (is_wanted(test_case, options)) wanted.push_back(std::move(test_case));
    if (wanted.empty()) continue;
    if (options.progress && !options.progress(op->name)) return rows;
    OpRun run(*op, backends);
    for (const Case& test_case : wanted) run.run(test_case);
    const auto op_rows = run.rows();
    rows.insert(rows.end(), op_rows.begin(), op_rows.end());
  }
  if (rows.empty())
    throw Error(ErrorCode::kUsage,
                cat("filter: no case's name contains '", options.filter,
                    "'; names look like 'dense_forward/relu f32 7x13x31 uniform'"));
  return rows;
}

}  // namespace diabolo
